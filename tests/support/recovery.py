"""What the recovery tests share: a fleet with its steward, and times read off the journals."""

import time
from collections.abc import Iterable

from resonate_fleet.contract.journal import Claimed, Ended
from tests.support.fleet import Fleet
from tests.support.processes import Process
from tests.support.waiting import wait_until


def steward_address(steward: Process) -> str:
    return f"127.0.0.1:{steward.line('steward.started')['presence_port']}"


def start_workers(
    fleet: Fleet, names: Iterable[str], steward: str | None = None, **env: str
) -> list[Process]:
    """Start members at the same time; wait until all listen and the `steward` watches them."""
    more = {"WORKER_STEWARD": steward} if steward else {}
    workers = [fleet.worker(name, ready=False, **more, **env) for name in names]
    for worker in workers:
        worker.line("member.ready", timeout=60)
        if steward:
            worker.line("presence.held", timeout=60)
    return workers


class Pair:
    """Two members and a job that one of them, the victim, has claimed."""

    def __init__(self, fleet: Fleet, workers: list[Process], *job: str) -> None:
        (self.job,) = fleet.submit(*job)
        holder = wait_claims(fleet, self.job, 1)[0].who
        by_name = {fleet.member(worker): worker for worker in workers}
        self.victim = by_name.pop(holder)
        self.victim_name = holder
        ((self.other_name, self.other),) = by_name.items()


def claims(fleet: Fleet, job: str) -> list[Claimed]:
    return [line for line in fleet.journal_of(Claimed) if line.job == job]


def ends(fleet: Fleet, job: str, outcome: str) -> list[Ended]:
    found = fleet.journal_of(Ended)
    return [line for line in found if (line.job, line.outcome) == (job, outcome)]


def wait_claims(fleet: Fleet, job: str, count: int, timeout: float = 10.0) -> list[Claimed]:
    """Wait until `job` has been claimed `count` times; return those claims, by time."""
    wait_until(lambda: len(claims(fleet, job)) >= count, timeout, f"{job} is claimed {count} x")
    return claims(fleet, job)


def wait_all_claimed(fleet: Fleet, jobs: list[str], timeout: float = 20.0) -> None:
    def look() -> bool:
        return {line.job for line in fleet.journal_of(Claimed)} >= set(jobs)

    wait_until(look, timeout, f"all {len(jobs)} jobs are running")


def version(fleet: Fleet, job: str) -> int:
    """Return how often `job` was claimed, by the server."""
    task = fleet.server.task(job)
    assert task is not None, f"{job} is lost"
    return int(task["version"])


def restarted(fleet: Fleet, job: str, since: float, timeout: float) -> float:
    """Wait for the next claim of `job` after `since` (Unix seconds); return how long it took."""

    def look() -> Claimed | None:
        return next((line for line in claims(fleet, job) if line.at > since), None)

    return wait_until(look, timeout, f"{job} is claimed again").at - since


def now() -> float:
    return time.time()
