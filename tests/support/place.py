"""A group of its own on a server that several tests share: one test's corner of a fleet."""

from itertools import count
from typing import Any

from resonate_fleet.contract.journal import Claimed, Ended, Line
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.processes import Process
from tests.support.servers import Server
from tests.support.waiting import wait_until

_numbers = count(1)
AWKWARD = "tests.support.awkward"


class Place:
    """Members and jobs of one group. `group` is new for each place."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.group = f"group-{next(_numbers)}"
        self._workers: list[Process] = []

    @property
    def server(self) -> Server:
        return self.fleet.server

    def worker(self, name: str = "w", **env: str) -> Process:
        """Start a member of this group and wait until it is ready."""
        worker = self.start_worker(name, **env)
        worker.line("member.ready", timeout=30)
        return worker

    def start_worker(self, name: str = "w", **env: str) -> Process:
        """Start a member of this group."""
        worker = self.fleet.worker(
            f"{self.group}-{name}", ready=False, WORKER_GROUP=self.group, **env
        )
        self._workers.append(worker)
        return worker

    def job(self, function: str, *args: Any, version: int = 1) -> str:
        return post_job(self.server, function, *args, group=self.group, version=version)

    def lines[L: Line](self, kind: type[L], job: str) -> list[L]:
        """Return the journal's lines of one kind about `job`."""
        return [line for line in self.fleet.journal_of(kind) if getattr(line, "job", "") == job]

    def claimed(self, job: str, times: int = 1) -> Claimed:
        """Wait until `job` has been claimed so often; return the last claim."""
        wait_until(lambda: len(self.lines(Claimed, job)) >= times, 30, f"{times} claims of {job}")
        return self.lines(Claimed, job)[-1]

    def ended(self, job: str, times: int = 1) -> Ended:
        """Wait until so many attempts of `job` have ended; return the last."""
        wait_until(lambda: len(self.lines(Ended, job)) >= times, 30, f"{times} ends of {job}")
        return self.lines(Ended, job)[-1]

    def task(self, job: str) -> dict[str, Any]:
        found = self.server.task(job)
        assert found is not None, f"no task {job}"
        return found

    def close(self) -> None:
        """Kill what the test left running, so that it does not slow the next one down."""
        for worker in self._workers:
            worker.kill()
