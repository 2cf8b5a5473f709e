"""Hints of busy members through a real steward: no member is idle while its group has work."""

import re
import urllib.request

import pytest

from tests.support.fleet import Fleet
from tests.support.place import Place
from tests.support.processes import Process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

#: So many hints in a row miss the busy one of two members once in 2 to the 40 runs.
MANY = 40


def passed(steward: Process) -> int:
    """Return how many hints the steward has passed on."""
    port = steward.line("steward.started")["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.search(r"^fleet_steward_hints_passed_total (\S+)$", text, re.MULTILINE)
    assert found
    return int(float(found[1]))


def test_jobs_whose_hints_go_to_a_busy_member_begin_on_an_idle_one(fleet: Fleet) -> None:
    place = Place(fleet)
    steward = fleet.steward()
    address = f"127.0.0.1:{steward.line('steward.started')['presence_port']}"
    for name in "ab":
        worker = place.worker(name, WORKER_STEWARD=address, WORKER_SLOTS="1")
        worker.line("presence.held")
    long = place.claimed(place.job("compute_something", 60.0))
    for _ in range(MANY):
        job = place.job("compute_something", 0.0)
        assert place.claimed(job).who != long.who
        wait_until(lambda: fleet.server.result(job) is not None, 10, "the job is done")  # noqa: B023
        if passed(steward):
            break
    assert passed(steward) >= 1
    place.close()
