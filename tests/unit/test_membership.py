"""Who is taken for dead and who is not: real stewards and members, in virtual time."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from resonate_fleet.contract.journal import Died
from tests.support.simulated import Fleet
from tests.support.simulated_processes import PORTS, SimMember, SimSteward

pytestmark = pytest.mark.usefixtures("no_logs")


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with closing(Fleet()) as one:
        yield one


def begun(fleet: Fleet, members: int = 2) -> tuple[SimSteward, str, SimMember]:
    """Return a steward, a long job, and the member that has it."""
    steward = fleet.add_steward(PORTS[0])
    for _ in range(members):
        fleet.add_member()
    fleet.pass_time(3)
    job = fleet.submit(60)
    fleet.pass_time(0.5)
    return steward, job, fleet.holder(job)


def restarted(fleet: Fleet, steward: SimSteward) -> SimSteward:
    fleet.kill_steward(steward)
    fleet.pass_time(0.1)
    return fleet.add_steward(PORTS[0], steward.memory)


def test_who_died_with_the_steward_is_handed_over_by_the_next_one(fleet: Fleet) -> None:
    steward, job, holder = begun(fleet)
    fleet.kill_member(holder)
    restarted(fleet, steward)
    fleet.pass_time(2)
    assert fleet.holder(job) in fleet.members, "long before its lease of 6 s ends"


def test_who_comes_back_to_a_restarted_steward_keeps_its_leases(fleet: Fleet) -> None:
    steward, job, holder = begun(fleet)
    after = restarted(fleet, steward)
    fleet.pass_time(10)
    assert fleet.holder(job) is holder
    assert fleet.server.model.task(job)["version"] == 1
    assert after.journal.of(Died) == []


def test_a_restarted_steward_knows_of_nobody_who_left_or_was_handed_over(fleet: Fleet) -> None:
    steward, _, holder = begun(fleet, members=3)
    fleet.kill_member(holder)
    fleet.pass_time(1)
    fleet.drain(next(one for one in fleet.members if not one.attempts()))
    fleet.pass_time(5)
    assert steward.memory.members.keys() == {fleet.members[0].process.name}


def test_a_stranger_keeps_what_it_holds_whoever_dies_beside_it(fleet: Fleet) -> None:
    steward, _, holder = begun(fleet)
    job = fleet.submit(60)
    fleet.server.model.claim(job, "stranger", 600)
    fleet.pass_time(3)
    fleet.kill_member(holder)
    fleet.pass_time(5)
    restarted(fleet, steward)
    fleet.pass_time(15)
    task = fleet.server.model.task(job)
    assert (task["pid"], task["version"]) == ("stranger", 1)


def test_who_was_taken_for_dead_and_is_back_keeps_what_it_claims_then(fleet: Fleet) -> None:
    steward, job, holder = begun(fleet)
    fleet.cut(holder, PORTS[0], late=0.0, for_long=True)
    fleet.pass_time(1)
    assert [line.member for line in steward.journal.of(Died)] == [holder.process.name]
    fleet.heal()
    fleet.pass_time(2)
    assert fleet.holder(job) is not holder
    job = fleet.submit(60)
    fleet.pass_time(15)
    assert fleet.holder(job) is holder
    assert fleet.server.model.task(job)["version"] == 1


def test_who_is_back_before_its_end_is_seen_has_each_slot_once(fleet: Fleet) -> None:
    _, job, holder = begun(fleet, members=1)
    fleet.cut(holder, PORTS[0], late=3.0, for_long=False)
    fleet.pass_time(5)
    fleet.check_knowledge()
    assert fleet.server.model.task(job)["version"] == 1


def test_the_name_of_the_dead_is_given_to_no_other_process(fleet: Fleet) -> None:
    steward, _, holder = begun(fleet)
    fleet.kill_member(holder)
    fleet.pass_time(0.05)
    thief = SimMember(fleet, holder.process.name, 1, holder.group)
    fleet.pass_time(5)
    assert steward.credits_of(thief) == 0
    assert [line.member for line in steward.journal.of(Died)] == [holder.process.name]
