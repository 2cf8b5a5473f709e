"""A job that takes its member down, and jobs that keep their member from answering."""

from pathlib import Path

import pytest

from resonate_fleet.contract.journal import Parked
from tests.support.fleet import Fleet
from tests.support.processes import Process, Processes
from tests.support.recovery import start_workers, steward_address, version, wait_all_claimed
from tests.support.servers import Server, ServerKind
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

#: The real server is as strict as its version is.
STRICT = {"DEVSERVER_STRICT_ORIGIN": "true"}


class Crew:
    """Members that are started again whenever they end, as an orchestrator would."""

    def __init__(self, fleet: Fleet, size: int, **env: str) -> None:
        self._fleet, self._env = fleet, env
        self._started = 0
        self.members = [self._start() for _ in range(size)]

    def _start(self) -> Process:
        self._started += 1
        return self._fleet.worker(f"crew-{self._started}", ready=False, **self._env)

    def keep_up(self) -> list[int]:
        """Replace the ended; return their exit codes."""
        codes = [one.exit_code for one in self.members if one.exit_code is not None]
        self.members = [one if one.running else self._start() for one in self.members]
        return codes


@pytest.mark.timeout(180)
def test_a_job_that_ends_its_process_is_parked_and_the_others_finish(fleet: Fleet) -> None:
    steward = fleet.steward(STEWARD_MAX_CRASHES="2", STEWARD_INTERVAL="0.2")
    crew = Crew(
        fleet,
        3,
        WORKER_SLOTS="3",
        WORKER_STEWARD=steward_address(steward),
        WORKER_FUNCTIONS="tests.support.bodies",
    )
    fleet.submit("--id", "poison", "--function", "end_process", "--args", '["poison", 0.2]')
    others = fleet.submit("--count", "50", "--cost", "0.1..0.3")
    codes: list[int] = []

    def keep_up() -> int:
        codes.extend(crew.keep_up())
        return len(codes)

    wait_until(lambda: keep_up() and fleet.journal_of(Parked), 90, "the poison job is parked")
    results = fleet.server.wait_results(others, 60)
    assert len(results) == 50
    (line,) = fleet.journal_of(Parked)
    # Once or twice more than the limit where an innocent one happened to be along each time.
    assert (line.job, line.crashes) == ("poison", len(set(line.members)))
    assert 3 <= line.crashes <= 5
    # The steward sees the end of a connection; the process itself may end a moment later.
    wait_until(lambda: keep_up() >= line.crashes, 10, "all that crashed have ended")
    assert codes == [137] * line.crashes
    task = fleet.server.task("poison")
    assert task is not None
    assert (task["state"], task["version"]) == ("halted", line.crashes)


def test_eight_blocking_jobs_outlast_their_lease_on_a_server_with_strict_heartbeats(
    server_kind: ServerKind, processes: Processes, tmp_path: Path
) -> None:
    fleet = Fleet(Server(server_kind, processes, env=STRICT), processes, tmp_path)
    start_workers(fleet, "a", WORKER_SLOTS="8", WORKER_LEASE="1")
    jobs = fleet.submit("--count", "8", "--cost", "3")
    wait_all_claimed(fleet, jobs)
    fleet.server.wait_results(jobs, 20)
    assert {version(fleet, job) for job in jobs} == {1}
