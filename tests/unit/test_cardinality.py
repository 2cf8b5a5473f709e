"""Ten thousand jobs make no series: each exporter, driven by what drives it in its process."""

from resonate_fleet.contract.calls import Call
from resonate_fleet.contract.live import LiveAttempt, LiveGroup, LiveMember, LiveParked, LiveState
from resonate_fleet.contract.metrics import Exporter
from resonate_fleet.member.attempts import Attempt, Callee
from resonate_fleet.member.metrics import Metrics as WorkerMetrics
from resonate_fleet.server.metrics import INSTRUMENTS as SERVER_METRICS
from resonate_fleet.steward.metrics import MOST_GROUPS, Meters
from resonate_fleet.steward.survey import OTHER
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.metrics import SubmissionMetrics as ClientMetrics
from resonate_fleet.submit.submit import Confirmation

JOBS = 10_000


def series(page: bytes | str) -> set[str]:
    """Return name and labels of each line of a scrape."""
    text = page.decode() if isinstance(page, bytes) else page
    lines = (line for line in text.splitlines() if line and line[0] != "#")
    return {line.split(" # ")[0].rpartition(" ")[0] for line in lines}


def test_the_member() -> None:
    metrics = WorkerMetrics({"f"}, 4, "1")

    def live(job: str, function: str) -> None:
        one = Attempt(job, 1, Callee(function, function))
        metrics.count("claims", "granted")
        metrics.claimed(one, 0.1)
        metrics.ended(one, "resolved", 0.5)

    for function in ("f", "stranger"):
        live("first", function)
    before = series(metrics.page("").body)
    for number in range(JOBS):
        live(f"job-{number}", f"stranger-{number}" if number % 2 else "f")
    assert series(metrics.page("").body) == before


def test_the_client() -> None:
    metrics = ClientMetrics()
    before = series(metrics.page("").body)
    for number in range(JOBS):
        job = Job(f"job-{number}", Call(func=f"f{number}"), None)
        metrics.submitted(job)
        metrics.retried(job, f"cause {number}")
        metrics.confirmed(Confirmation(job, new=True, differs=False, seconds=0.01))
    assert series(metrics.page("").body) == before


def test_the_steward() -> None:
    meters = Meters(("worker-group",))
    group = "worker-group"
    members = [
        LiveMember(member=m, group=group, slots=4, free=0, since=0.0) for m in ("m-1", "m-2")
    ]
    empty = LiveState(at=100.0, steward="s", since=0.0, members=members)
    meters.live.state = lambda: empty
    before = series(meters.page("").body)
    running = [
        LiveAttempt(
            task=f"job-{n}", job=f"job-{n}", attempt=1, function=f"f{n}", group=group,
            member=f"m-{n % 2 + 1}", since=1.0,
        )
        for n in range(JOBS)
    ]  # fmt: skip
    full = LiveState(
        at=100.0,
        steward="s",
        since=0.0,
        members=members,
        running=running,
        ended=running,
        parked=[LiveParked(task=f"job-{n}", job=f"job-{n}", attempt=1) for n in range(JOBS)],
        groups=[LiveGroup(group=group, waiting=JOBS, running=JOBS, parked=JOBS, oldest=50.0)],
    )
    meters.live.state = lambda: full
    assert series(meters.page("").body) == before


def test_groups_that_strangers_make_up() -> None:
    meters = Meters(("worker-group",))
    groups = [LiveGroup(group=f"group-{n}", waiting=1, oldest=50.0) for n in range(JOBS)]
    state = LiveState(at=100.0, steward="s", since=0.0, groups=groups)
    meters.live.state = lambda: state
    page = meters.page("").body
    text = page.decode() if isinstance(page, bytes) else page
    waiting = [line for line in text.splitlines() if line.startswith("fleet_jobs_waiting{")]
    assert len(waiting) == MOST_GROUPS + 1
    rest = JOBS - (MOST_GROUPS - 1)  # one of those told apart is the group of the settings
    assert f'fleet_jobs_waiting{{group="{OTHER}"}} {rest}.0' in waiting
    assert f'fleet_oldest_waiting_age_seconds{{group="{OTHER}"}} 50.0' in text


def test_the_server() -> None:
    exporter = Exporter("resonate_", SERVER_METRICS)
    made = exporter.made

    def serve() -> None:
        for kind, status in (("promise.create", "200"), ("task.acquire", "409")):
            made["request"].labels(kind, status).inc()
            made["request_duration_seconds"].labels(kind).observe(0.001)
        made["messages"].labels("execute").inc()

    serve()
    before = series(exporter.page("").body)
    for _ in range(JOBS):
        serve()
    assert series(exporter.page("").body) == before
