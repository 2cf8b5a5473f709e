"""What a look makes of the server's answers: ages of leases, jobs that have ended."""

import tracemalloc
from collections.abc import AsyncIterator

import pytest

from resonate_fleet.chaos.observer import RunObserver, records
from resonate_fleet.chaos.triggers import HeldLease
from resonate_fleet.contract.run import Plan, PlannedJob
from resonate_fleet.contract.wire import Promise, Task, Wire


class Shown(Wire):
    """A server that shows what the test says, at the time that the test says."""

    def __init__(self) -> None:
        super().__init__("http://nowhere.invalid")
        self.now = 100.0
        self.held: dict[str, tuple[str, int]] = {}
        self.states: dict[str, str] = {}
        self.halted: set[str] = set()

    async def all_tasks(self, state: str, limit: int = 1000) -> AsyncIterator[Task]:
        assert (state, limit) == ("acquired", 1000)
        for id_, (member, version) in self.held.items():
            yield Task(id=id_, state="acquired", version=version, pid=member)

    async def promise(self, id: str) -> Promise | None:
        return Promise(id=id, state=self.states[id]) if id in self.states else None

    async def task(self, id: str) -> Task | None:
        return Task(id=id, state="halted" if id in self.halted else "pending", version=1)


def plan_of(jobs: int, steps: int = 0) -> Plan:
    planned = [
        PlannedJob(id=f"j-{n}", at=0, function="f", cost=10.0, group="g", steps=steps)
        for n in range(1, jobs + 1)
    ]
    return Plan(
        scenario="s",
        seed=1,
        place="processes",
        members=1,
        slots=1,
        lease=60.0,
        steward=True,
        deadline=60.0,
        jobs=planned,
        strikes=[],
    )


def observer(wire: Shown, jobs: int, steps: int = 0) -> RunObserver:
    plan = plan_of(jobs, steps)
    wire.states |= {job.id: "pending" for job in plan.jobs}
    return RunObserver(wire, plan, now=lambda: wire.now)


async def only_hold(one: RunObserver) -> HeldLease:
    (hold,) = (await one.observe()).holds
    return hold


async def test_a_lease_grows_older_from_the_look_before_it() -> None:
    wire = Shown()
    one = observer(wire, 1)
    await one.observe()
    wire.now, wire.held = 100.5, {"j-1": ("m", 1)}
    assert (await only_hold(one)).part == 0.05
    wire.now = 104.0
    assert (await only_hold(one)).part == 0.4
    wire.now = 200.0
    assert (await only_hold(one)).part == 1.0


async def test_a_lease_found_after_a_time_without_looks_counts_as_old() -> None:
    wire = Shown()
    one = observer(wire, 1)
    await one.observe()
    wire.now, wire.held = 109.0, {"j-1": ("m", 1)}
    assert (await only_hold(one)).part == 0.9


async def test_a_new_claim_begins_anew() -> None:
    wire = Shown()
    one = observer(wire, 1)
    wire.held = {"j-1": ("m", 1)}
    await one.observe()
    wire.now = 108.0
    assert (await only_hold(one)).part == 0.8
    wire.held = {"j-1": ("other", 2)}
    wire.now = 109.0
    hold = await only_hold(one)
    assert (hold.member, hold.version, hold.part) == ("other", 2, 0.1)


async def test_a_job_with_steps_is_as_far_as_its_steps() -> None:
    wire = Shown()
    one = observer(wire, 1, steps=4)
    wire.held = {"j-1": ("m", 1)}
    wire.states |= {"j-1:1": "resolved", "j-1:2": "resolved", "j-1:3": "pending"}
    assert (await only_hold(one)).part == 0.5


async def test_settled_and_parked_jobs_have_ended_and_strangers_are_not_looked_at() -> None:
    wire = Shown()
    one = observer(wire, 3)
    wire.held = {"j-1": ("m", 1), "stranger": ("m", 1)}
    wire.states["j-2"] = "resolved"
    wire.halted.add("j-3")
    view = await one.observe()
    assert [hold.job for hold in view.holds] == ["j-1"]
    assert view.ended == {"j-2", "j-3"}
    assert (view.done, view.total) == (2, 3)


async def test_of_a_store_with_a_long_history_the_runs_own_tasks_alone_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def tasks(state: str) -> AsyncIterator[Task]:
        for number in range(20_000 if state == "fulfilled" else 0):
            yield Task(id=f"j-{number}", state=state, version=1)

    async def pages() -> AsyncIterator[list[Promise]]:
        yield [Promise(id=name, state="resolved") for name in ("j-1", "k-1")]

    wire = Wire("http://nowhere.invalid")
    monkeypatch.setattr(wire, "all_tasks", tasks)
    monkeypatch.setattr(wire, "promise_pages", pages)
    tracemalloc.start()
    try:
        found = await records(wire, plan_of(2), "")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(one.promise.id, one.task and one.task.id) for one in found.records] == [("j-1", "j-1")]
    assert peak < 1_000_000, "20,000 tasks take more"
