"""In which order a steward takes what the server tells it: real stewards, in virtual time."""

from contextlib import closing

import pytest

from tests.support.simulated import Fleet
from tests.support.simulated_processes import PORTS

pytestmark = pytest.mark.usefixtures("no_logs")


def test_hints_of_one_tick_count_as_heard_at_once() -> None:
    """The server sends job-10 before job-2; both became claimable in the same 5 ms."""
    with closing(Fleet()) as fleet:
        fleet.add_steward(PORTS[0])
        fleet.add_member()
        fleet.pass_time(10)
        jobs = [fleet.submit(0.1) for _ in range(12)]
        begun: list[str] = []
        for _ in range(200):
            fleet.pass_time(0.02)
            states = {job: fleet.server.model.task(job)["state"] for job in jobs}
            begun += [job for job in jobs if states[job] != "pending" and job not in begun]
        assert begun == jobs
