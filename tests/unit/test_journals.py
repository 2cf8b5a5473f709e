"""What happens to a fleet stands in its journals, once, whoever reads them later.

Stewards and members are the product's own, in virtual time (`tests/support/simulated.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import msgspec
import pytest

from resonate_fleet.commands.journals import Tail, kills
from resonate_fleet.contract import journal as j
from resonate_fleet.contract.calls import Call
from resonate_fleet.contract.journal import Line
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.stream import Stream
from resonate_fleet.contract.wire import Wire
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.metrics import Metrics
from resonate_fleet.member.upstream import Upstream, Wires
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.output import Recorder
from resonate_fleet.submit.submit import Confirmation
from tests.support.simulated import Fleet
from tests.support.simulated_processes import LEASE, PORTS, Kept, SimMember

pytestmark = pytest.mark.usefixtures("no_logs")

#: Steps of a drain, in order.
STEPS = ("not-ready", "intake-closed", "finishing", "handing-back", "closed")


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """A steward."""
    with closing(Fleet()) as made:
        made.add_steward(PORTS[0])
        made.pass_time(0.5)
        yield made


def busy(fleet: Fleet) -> SimMember:
    """Return a new member, which holds `job-0`."""
    member = fleet.add_member()
    fleet.pass_time(0.5)
    fleet.submit(30.0)
    fleet.pass_time(0.5)
    assert len(member.attempts()) == 1
    return member


def a_member_comes(fleet: Fleet) -> list[Line]:
    member = fleet.add_member()
    fleet.pass_time(0.5)
    return [j.Joined(member=member.process.name, group="worker-group")]


def it_comes_back_within_the_grace(fleet: Fleet) -> list[Line]:
    member = busy(fleet)
    fleet.cut(member, PORTS[0], late=0.0, for_long=False)
    fleet.pass_time(1.0)
    return [j.Joined(member=member.process.name, group="worker-group")]


def a_member_leaves(fleet: Fleet) -> list[Line]:
    member = busy(fleet)
    fleet.drain(member)
    fleet.pass_time(1.0)
    return [j.Left(member=member.process.name)]


def it_drains(fleet: Fleet) -> list[Line]:
    fleet.drain(busy(fleet))
    return [j.DrainStep(step=step, held=int(step != "closed")) for step in STEPS]


def a_member_dies(fleet: Fleet) -> list[Line]:
    member = busy(fleet)
    fleet.kill_member(member)
    fleet.pass_time(1.0)
    return [j.Died(member=member.process.name, tasks=[("job-0", 1)])]


def a_job_kills_its_members(fleet: Fleet) -> list[Line]:
    """One crash is forgiven."""
    first = busy(fleet)
    fleet.kill_member(first)
    second = fleet.add_member()
    fleet.pass_time(2.0)
    fleet.kill_member(second)
    fleet.pass_time(1.0)
    members = [first.process.name, second.process.name]
    return [j.Parked(job="job-0", task="job-0", crashes=2, members=members)]


def a_claim_comes_too_late(fleet: Fleet) -> list[Line]:
    member = fleet.add_member()
    fleet.pass_time(0.5)
    member.process.lag = 0.3
    fleet.submit(1.0)
    fleet.pass_time(0.1)
    fleet.server.model.claim("job-0", "another", 60)
    fleet.pass_time(1.0)
    return [j.ClaimRefused(task="job-0", version=0)]


def a_lease_is_taken(fleet: Fleet) -> list[Line]:
    member = busy(fleet)
    fleet.server.model.call("task.release", id="job-0", version=1)
    fleet.server.model.claim("job-0", "another", 60)
    fleet.pass_time(LEASE)
    assert not member.attempts()
    return [j.LeaseLost(job="job-0", task="job-0", attempt=1, why="taken")]


HAPPENINGS = (
    a_member_comes,
    it_comes_back_within_the_grace,
    a_member_leaves,
    it_drains,
    a_member_dies,
    a_job_kills_its_members,
    a_claim_comes_too_late,
    a_lease_is_taken,
)


@pytest.mark.parametrize("happens", HAPPENINGS)
def test_it_is_written_down_once(fleet: Fleet, happens: Callable[[Fleet], list[Line]]) -> None:
    expected = happens(fleet)
    journals = [one.journal for one in fleet.stewards]
    journals += [one.journal for one in (*fleet.members, *fleet.gone)]
    found = [line for one in journals for line in one.of(type(expected[0]))]
    assert [msgspec.structs.replace(line, at=0.0) for line in found] == expected


class Streams(Wires):
    """Its streams say when they lost the server, and when it is back."""

    def __init__(self) -> None:
        """Connect to nothing."""

    def new(self) -> Wire:
        return Wire("http://nowhere")

    def stream(
        self, group: str, lost: Callable[[str], None], back: Callable[[float | None], None]
    ) -> Stream:
        self.group, self.lost, self.back = group, lost, back
        return Stream("http://nowhere", None, lost, back)


def of_a_member(journal: Kept) -> None:
    streams = Streams()
    Upstream(streams, Ledger(journal, Metrics(set(), 1, "test")), None)
    streams.back(None)  # the first time
    streams.lost("refused")
    streams.back(2.00049)


def of_a_client(journal: Kept) -> None:
    clock = iter([10.0, 12.00049])
    job = Job("job", Call(func="f"), 1.0)
    output: Any = Mock(group="g")
    with patch("resonate_fleet.submit.output.time.monotonic", lambda: next(clock)):
        recorder = Recorder(output, journal, "client")
        recorder.retried(job, "refused")
        recorder.retried(job, "again")
        for name in ("job", "next"):
            recorder.confirmed(Confirmation(replace(job, id=name), True, False, 0.1))


@pytest.mark.parametrize("outage", [of_a_member, of_a_client])
def test_an_outage_of_the_server_has_one_beginning_and_one_end(
    outage: Callable[[Kept], None],
) -> None:
    journal = Kept("me")
    outage(journal)
    assert [line.why for line in journal.of(j.ServerLost)] == ["refused"]
    assert [line.seconds for line in journal.of(j.ServerBack)] == [2.0]


def test_a_tail_reads_each_line_once_also_of_a_file_that_goes_on_under_another_name(
    tmp_path: Path,
) -> None:
    """Else a kill that the page asked for long ago would be done again."""
    tail, asked, heard = Tail(tmp_path), [f"job-{number}" for number in range(30)], []
    with closing(Journal("steward-1", tmp_path, Mock(), file_bytes=1000)) as journal:
        for job in asked:
            journal.write(j.Acted(act="kill", jobs=[job], by="me", members=["m"]))
            heard += [job for _, job in kills(tail.new())]
    assert (tmp_path / "steward-1.1.jsonl").exists()
    assert heard == asked
