"""Faults put into the product: each is caught by the promise that it breaks.

Each comes with what must happen for it to matter; the product itself keeps the promise then.
"""

import inspect
import textwrap
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest

from resonate_fleet.contract.wire import Wire
from resonate_fleet.member.claims import Claims
from resonate_fleet.member.intake import Intake
from resonate_fleet.member.leases import Heartbeats, Revocation
from resonate_fleet.member.presence import Presence
from resonate_fleet.member.writes import Writes
from resonate_fleet.steward.dispatch import Dispatch
from resonate_fleet.steward.handover import Handover
from resonate_fleet.steward.parking import Parking
from tests.support.simulated import Broken, Fleet
from tests.support.simulated_processes import PORTS, SimMember

pytestmark = pytest.mark.usefixtures("no_logs")


@dataclass(frozen=True)
class Fault:
    """A line of the product changed: `old` of a method for `new`.

    `promise` is what it breaks where `happens`.
    """

    promise: str
    owner: type
    method: str
    old: str
    new: str
    happens: Callable[[Fleet], None]

    def put_in(self) -> Any:
        """Return a patch that puts the fault into the product while it is active."""
        function = getattr(self.owner, self.method)
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(self.old) == 1, f"{self.method} has changed: say the fault anew"
        scope: dict[str, Any] = dict(vars(inspect.getmodule(function))) | {"now": release_now}
        exec(source.replace(self.old, self.new), scope)  # noqa: S102 - the product's own source
        return patch.object(self.owner, self.method, scope[self.method])


async def release_now(wire: Wire, id: str) -> bool:
    """Release a task whatever its version is."""
    task = await wire.task(id)
    return task is not None and await wire.release(id, task.version)


def job_held(
    fleet: Fleet, members: int, cost: float, ports: Sequence[int] = PORTS
) -> tuple[str, SimMember]:
    """Two stewards, some members with one slot, and a job that one of them has."""
    for port in ports:
        fleet.add_steward(port)
    for _ in range(members):
        fleet.add_member()
    fleet.pass_time(0.5)
    job = fleet.submit(cost)
    fleet.pass_time(0.5)
    return job, fleet.holder(job)


def two_stewards_hand_over_one_death(fleet: Fleet) -> None:
    """The slow one's request arrives when another member has the job already."""
    _, holder = job_held(fleet, 2, 30.0)
    fleet.stewards[0].process.lag = 1.4
    fleet.kill_member(holder)
    fleet.pass_time(4)


def two_stewards_see_a_second_crash(fleet: Fleet) -> None:
    """One of them parks the job, slowly, while the other, younger one hands it over."""
    job, holder = job_held(fleet, 3, 30.0, PORTS[:1])
    fleet.kill_member(holder)
    fleet.pass_time(1)
    fleet.add_steward(PORTS[1])
    fleet.pass_time(1.5)
    fleet.stewards[0].process.lag = 1.4
    fleet.kill_member(fleet.holder(job))
    fleet.pass_time(4)


def heartbeats_are_slow_and_then_lost(fleet: Fleet) -> None:
    _, holder = job_held(fleet, 1, 30.0)
    holder.process.lag = 1.0
    while holder.attempts()[0].lease.stood < fleet.loop.seconds - 2.5 or fleet.loop.seconds < 4:
        fleet.pass_time(0.1)
    holder.process.deaf = True
    fleet.pass_time(12)


def a_member_is_missed_for_a_moment(fleet: Fleet) -> None:
    _, holder = job_held(fleet, 2, 30.0)
    fleet.pass_time(1.05)  # it has just sent heartbeats
    for port in PORTS:
        fleet.cut(holder, port, late=0.0, for_long=True)
    fleet.pass_time(0.3)
    fleet.heal()
    fleet.pass_time(1.2)
    fleet.check_rest()


def a_drain_begins_with_a_claim_on_its_way(fleet: Fleet) -> None:
    _, holder = job_held(fleet, 1, 1.0)
    fleet.pass_time(1.5)
    holder.process.lag = 3.0
    fleet.submit(1.0)
    fleet.pass_time(0.1)
    fleet.drain(holder)


def an_outcome_is_repeated_when_the_lease_is_gone(fleet: Fleet) -> None:
    _, holder = job_held(fleet, 2, 1.0)
    holder.process.deaf = True
    fleet.pass_time(9)
    fleet.heal()
    fleet.pass_time(3)


def a_connection_is_made_anew_before_its_end_is_seen(fleet: Fleet) -> None:
    _, holder = job_held(fleet, 1, 0.6)
    fleet.pass_time(1)  # its slot is free again
    for port in PORTS:
        fleet.cut(holder, port, late=30.0, for_long=False)
    fleet.pass_time(3)
    fleet.check_knowledge()


def a_stranger_is_quicker(fleet: Fleet) -> None:
    _, holder = job_held(fleet, 1, 1.0)
    fleet.pass_time(2)
    holder.process.lag = 0.5
    job = fleet.submit(1.0)
    fleet.pass_time(0.02)
    fleet.server.model.claim(job, "stranger", 3)
    fleet.pass_time(2)
    fleet.heal()
    fleet.check_knowledge()


def an_answer_to_a_claim_is_lost(fleet: Fleet) -> None:
    _, holder = job_held(fleet, 1, 1.0)
    fleet.pass_time(2)
    holder.process.loses.append("task.acquire")
    fleet.submit(30.0)
    fleet.pass_time(0.2)
    fleet.check_knowledge()


def the_stewards_are_away_for_a_while(fleet: Fleet) -> None:
    job_held(fleet, 2, 100.0)
    for _ in range(15):  # chance decides whether the member comes back before the first survey
        for one in list(fleet.stewards):
            fleet.kill_steward(one)
        fleet.pass_time(3)
        for port in PORTS:
            fleet.add_steward(port)
        fleet.pass_time(2)
        fleet.check_knowledge()


FAULTS = {
    "the steward releases whatever version stands now": Fault(
        "a member that was never away loses no lease to a steward",
        Handover,
        "_release",
        "self._tools.wire.release(task.id, task.version)",
        "now(self._tools.wire, task.id)",
        two_stewards_hand_over_one_death,
    ),
    "a lease's age is counted from the answer": Fault(
        "a lease is let go no later than on the server",
        Heartbeats,
        "_check",
        "attempt.lease.stood = sent",
        "attempt.lease.stood = self.now()",
        heartbeats_are_slow_and_then_lost,
    ),
    "a member ignores Released": Fault(
        "a member stops what it is told it has lost",
        Revocation,
        "released",
        "number in tasks",
        "number in ()",
        a_member_is_missed_for_a_moment,
    ),
    "parking without the second look": Fault(
        "a member that was never away loses no lease to a steward",
        Parking,
        "park",
        '("acquired", task.version)',
        "(current.state, current.version)",
        two_stewards_see_a_second_crash,
    ),
    "the drain does not refuse late claims": Fault(
        "a drained member begins nothing",
        Claims,
        "close",
        "self._closed = True",
        "pass",
        a_drain_begins_with_a_claim_on_its_way,
    ),
    "any 409 after a repeat is taken for success": Fault(
        "what a member calls done the server has accepted",
        Writes,
        "_refused",
        "and is_done(request, found)",
        "",
        an_outcome_is_repeated_when_the_lease_is_gone,
    ),
    "the slots of a connection that was made anew count for nothing": Fault(
        "a steward counts the slots that it is offered",
        Intake,
        "withdrawn",
        "self._offered = 0",
        "pass",
        a_connection_is_made_anew_before_its_end_is_seen,
    ),
    "the answer to an assignment is not heard": Fault(
        "a steward counts the slots that it is offered",
        Dispatch,
        "_report",
        "matcher.refused(now, member, task, version)",
        "pass",
        a_stranger_is_quicker,
    ),
    "a lease whose claim was answered in vain is kept": Fault(
        "a member keeps no lease that it does not know",
        Claims,
        "_refused",
        "if found and (found.pid, found.version) == (request.data.pid, version)",
        "if False",
        an_answer_to_a_claim_is_lost,
    ),
    "a member that is back does not say what it holds": Fault(
        "a steward knows what a member holds",
        Presence,
        "welcomed",
        "self.table.holdings()",
        "[]",
        the_stewards_are_away_for_a_while,
    ),
    "the fallback does not end when a steward is back": Fault(
        "a member that has a steward looks for no work itself",
        Presence,
        "_turn_to",
        "self.intake.fall_back(on=False)",
        "pass",
        the_stewards_are_away_for_a_while,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_product_is_caught_by_the_promise_that_it_breaks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = FAULTS[name]
    # Both stewards act on a death only when the one that serves is slow for long: here it is soon.
    monkeypatch.setattr("resonate_fleet.steward.handover.STANDBY_SECONDS", 0.5)
    with closing(Fleet()) as fleet:
        fault.happens(fleet)
        fleet.end_well()
        fleet.check()
    with (
        fault.put_in(),
        closing(Fleet()) as fleet,
        pytest.raises(Broken, match=f"^{fault.promise}"),
    ):
        fault.happens(fleet)
