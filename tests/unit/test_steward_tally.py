"""What a look adds up to, and what a scrape makes of it."""

from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.wire import Promise, Task
from resonate_fleet.steward.looks import entry_of
from resonate_fleet.steward.metrics import INSTRUMENTS, Meters
from resonate_fleet.steward.rounds import pause
from resonate_fleet.steward.sights import MemberLine, member_lines
from resonate_fleet.steward.tally import Counts, Entry, View, Waiting, tally


def task(id: str, state: str, version: int = 0, pid: str | None = None) -> Task:
    return Task(id=id, state=state, version=version, pid=pid)


def view_of(tasks: list[Task], entries: dict[str, Entry], at: float = 100.0) -> View:
    by_id = {one.id: one for one in tasks}
    pending = [one for one in tasks if one.state == "pending"]
    return tally(at, by_id, entries, Waiting().since(pending, entries, at))


def scrape(meters: Meters) -> dict[str, float]:
    lines = str(meters.page("").body, "utf-8").splitlines()
    return {k: float(v) for k, _, v in (one.rpartition(" ") for one in lines) if k[0] != "#"}


def test_tasks_are_counted_by_group_and_state() -> None:
    a, b = Entry("a", 90.0, False), Entry("b", 70.0, False)
    tasks = [
        task("1", "pending"),
        task("2", "pending"),
        task("3", "acquired", 1, "m-1"),
        task("4", "acquired", 2, "m-1"),
        task("5", "suspended", 1),
        task("6", "halted", 4),
    ]
    view = view_of(tasks, {"1": a, "2": b, "3": a, "4": b, "5": a, "6": b})
    assert view.groups["a"] == Counts(waiting=1, running=1, suspended=1, parked=0, oldest=90.0)
    assert view.groups["b"] == Counts(waiting=1, running=1, suspended=0, parked=1, oldest=70.0)
    assert view.leases == {"m-1": [("3", 1), ("4", 2)]}
    assert view.groups["b"].oldest_age(view.at) == 30.0


def test_timers_wait_for_no_member() -> None:
    entries = {"job:1": Entry("a", 1.0, True), "job:2": Entry("a", 2.0, False)}
    view = view_of([task("job:1", "pending"), task("job:2", "pending")], entries)
    assert view.groups["a"].waiting == 1
    assert view.groups["a"].oldest == 2.0


def test_a_task_that_was_claimed_before_waits_since_it_was_seen_pending_again() -> None:
    waiting, entries = Waiting(), {"slept": Entry("a", 0.0, False)}
    pending = [task("slept", "pending", 3)]
    assert waiting.since(pending, entries, 50.0) == {"slept": 50.0}
    assert waiting.since(pending, entries, 60.0) == {"slept": 50.0}
    assert waiting.since([task("slept", "pending", 4)], entries, 70.0) == {"slept": 70.0}
    assert waiting.since([], entries, 80.0) == {}
    assert waiting.since(pending, entries, 90.0) == {"slept": 90.0}


def test_the_group_comes_from_the_promise() -> None:
    target = {"resonate:target": "poll://any@gpu"}
    assert entry_of(Promise(id="x", state="pending", tags=target, created_at=5000)) == Entry(
        "gpu", 5.0, False
    )
    timer = target | {"resonate:timer": "true"}
    assert entry_of(Promise(id="x", state="pending", tags=timer)).timer
    assert entry_of(Promise(id="x", state="pending")).group == "other"


def test_groups_are_zero_and_not_absent() -> None:
    meters = Meters(("quiet",))
    assert scrape(meters)['fleet_jobs_waiting{group="quiet"}'] == 0
    assert scrape(meters)['fleet_members{group="quiet"}'] == 0
    meters.truth.view = view_of([task("1", "pending")], {"1": Entry("seen", 40.0, False)})
    assert scrape(meters)['fleet_oldest_waiting_age_seconds{group="seen"}'] == 60.0
    meters.truth.view = View(at=200.0)
    after = scrape(meters)
    assert after['fleet_jobs_waiting{group="seen"}'] == 0
    assert after['fleet_oldest_waiting_age_seconds{group="seen"}'] == 0


def test_the_series_of_a_member_go_with_it() -> None:
    meters = Meters(("a",))
    for number in range(100):
        meters.truth.present = {f"m-{number}": "a"}.copy
        found = [name for name in scrape(meters) if name.startswith("fleet_member_leases")]
        assert found == [f'fleet_member_leases{{member="m-{number}"}}']
    meters.truth.present = dict
    assert not [name for name in scrape(meters) if name.startswith("fleet_member_leases{")]


def test_ten_thousand_jobs_add_no_series() -> None:
    meters = Meters(("a",))
    before = scrape(meters).keys()
    tasks = [task(f"job-{n}", "pending") for n in range(10_000)]
    entries = {one.id: Entry("a", 1.0, False) for one in tasks}
    meters.truth.view = view_of(tasks, entries)
    assert scrape(meters).keys() == before
    assert scrape(meters)['fleet_jobs_waiting{group="a"}'] == 10_000


def test_the_table_of_instruments_is_what_is_exported() -> None:
    names = {name.partition("{")[0] for name in scrape(Meters(("a",)))}
    names = {name for name in names if not name.endswith("_created")}
    declared = {name for one in INSTRUMENTS for name in _always(one)}
    assert names == declared


def _always(one: Instrument) -> tuple[str, ...]:
    return () if one.labels == ("member",) else one.exported


def test_members_page_has_the_present_and_the_holders() -> None:
    assert member_lines({}, {"m-1": [("job", 1)]}) == [
        MemberLine("m-1", None, None, present=False, leases=[("job", 1)])
    ]


def test_looks_rest_for_a_large_backlog_and_not_for_a_server_that_stumbled() -> None:
    assert pause(2.0, 0.01, 0.01) == 2.0
    assert pause(2.0, 3.0, 2.5) == 10.0
    assert pause(2.0, 9.0, 0.01) == 2.0, "it was away for nine seconds"
    assert pause(2.0, 0.0, 9.0) == 2.0, "it did not answer"
