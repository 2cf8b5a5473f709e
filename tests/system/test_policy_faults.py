"""Limits under faults: how many bodies of one key really run at once, by the members' journals."""

import itertools
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from resonate_fleet.contract.journal import Claimed, Ended, FalseAlarm
from resonate_fleet.contract.words import TAG_KEY
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.processes import Process
from tests.support.proxy import Cable
from tests.support.recovery import start_workers, steward_address, wait_claims
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.long]
LIMIT = 2
POLICY = f"""
[groups.worker-group]
alone = "wait"
[groups.worker-group.keys.acme]
running = {LIMIT}
"""


class Scene:
    """Two stewards, three members with two slots each, and jobs of a key that may have two."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet = fleet
        self.policy = folder / "policy.toml"
        self.policy.write_text(POLICY)
        #: When members died, by name.
        self.died: dict[str, float] = {}
        self.jobs: list[str] = []

    def steward(self, name: str) -> Process:
        return self.fleet.steward(name, STEWARD_POLICY=str(self.policy))

    def submit(self, count: int, cost: float = 0.3) -> None:
        tags = {TAG_KEY: "acme"}
        self.jobs += [
            post_job(self.fleet.server, "compute_something", cost, tags=tags) for _ in range(count)
        ]

    def ended(self, count: int) -> None:
        wait_until(lambda: len(self.fleet.journal_of(Ended)) >= count, 60, f"{count} have ended")

    def most(self) -> int:
        """Wait for all jobs; return how many bodies ran at once at most."""
        self.fleet.server.wait_results(self.jobs, 60)
        ends = {(line.task, line.attempt): line.at for line in self.fleet.journal_of(Ended)}
        spans = [
            (line.at, ends.get((line.task, line.attempt), self.died.get(line.who, time.time())))
            for line in self.fleet.journal_of(Claimed)
        ]
        assert len(spans) >= len(self.jobs)
        events = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
        return max(itertools.accumulate(by for _, by in events))


@pytest.fixture
def scene(durable_fleet: Fleet, tmp_path: Path) -> Scene:
    return Scene(durable_fleet, tmp_path)


def test_a_death_and_a_server_restart_exceed_no_limit(scene: Scene) -> None:
    workers = start_workers(
        scene.fleet, "abc", steward_address(scene.steward("one")), WORKER_SLOTS="2"
    )
    scene.submit(20)
    scene.ended(4)
    holder = scene.fleet.journal_of(Claimed)[-1].who
    (victim,) = (one for one in workers if scene.fleet.member(one) == holder)
    os.kill(victim.pid, signal.SIGKILL)
    scene.died[holder] = time.time()
    scene.ended(8)
    scene.fleet.server.restart()
    assert scene.most() == LIMIT


def test_a_change_over_exceeds_it_by_what_is_on_its_way_at_most(scene: Scene) -> None:
    first, second = scene.steward("first"), scene.steward("second")
    both = ",".join(map(steward_address, (first, second)))
    for worker in start_workers(scene.fleet, "abc", both, WORKER_SLOTS="2"):
        wait_until(lambda w=worker: len(w.lines("presence.held")) == 2, 20, "both are met")  # type: ignore[misc] # mypy has no type for a default
    scene.submit(20)
    scene.ended(6)
    first.kill()
    assert LIMIT <= scene.most() <= 2 * LIMIT


def test_a_false_alarm_exceeds_it_by_the_bodies_that_go_on(scene: Scene) -> None:
    address = steward_address(scene.steward("one"))
    with ExitStack() as stack:
        cables = [stack.enter_context(Cable(f"http://{address}")) for _ in range(3)]
        workers = [
            start_workers(scene.fleet, name, cable.url.removeprefix("http://"))[0]
            for name, cable in zip("abc", cables, strict=True)
        ]
        scene.submit(1, 4.0)
        holder = wait_claims(scene.fleet, scene.jobs[0], 1)[0].who
        (cable,) = (
            one
            for one, worker in zip(cables, workers, strict=True)
            if scene.fleet.member(worker) == holder
        )
        scene.submit(8)
        cable.cut()
        wait_claims(scene.fleet, scene.jobs[0], 2)
        cable.mend()
        wait_until(lambda: scene.fleet.journal_of(FalseAlarm), 10, "it is back")
        assert LIMIT <= scene.most() <= LIMIT + 1
