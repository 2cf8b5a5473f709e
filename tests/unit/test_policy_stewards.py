"""A policy holds over a change of steward: real stewards and members, in virtual time."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from resonate_fleet.contract.words import DEFAULT_GROUP, TAG_KEY
from resonate_fleet.steward.policy import GroupPolicy, Limit
from tests.support.simulated import Fleet
from tests.support.simulated_processes import PORTS

pytestmark = pytest.mark.usefixtures("no_logs")
POLICY = GroupPolicy(alone="wait", keys={"acme": Limit(running=2)})


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with closing(Fleet(policies={DEFAULT_GROUP: POLICY})) as fleet:
        yield fleet


def most_at_once(fleet: Fleet, jobs: list[str], seconds: float) -> int:
    """Let time pass; return how many of the jobs were held at once, at most."""
    most = 0
    for _ in range(int(seconds / 0.02)):
        fleet.pass_time(0.02)
        states = [fleet.server.model.task(job)["state"] for job in jobs]
        most = max(most, states.count("acquired"))
    return most


def are_done(fleet: Fleet, jobs: list[str]) -> bool:
    return all(fleet.server.model.promise(job)["state"] == "resolved" for job in jobs)


def two_of_acme_run(fleet: Fleet) -> list[str]:
    """The first steward has handed out as many as may run, and then another three come."""
    for _ in range(3):
        fleet.add_member(2)
    fleet.pass_time(1)
    jobs = [fleet.submit(4.0, **{TAG_KEY: "acme"}) for _ in range(2)]
    fleet.pass_time(1)
    assert [fleet.server.model.task(job)["state"] for job in jobs] == ["acquired"] * 2
    return jobs


@pytest.mark.parametrize("lag", [0.001, 0.2, 0.6])
def test_a_limit_holds_over_a_restart(fleet: Fleet, lag: float) -> None:
    before = fleet.add_steward(PORTS[0])
    jobs = two_of_acme_run(fleet)
    jobs += [fleet.submit(4.0, **{TAG_KEY: "acme"}) for _ in range(3)]
    fleet.kill_steward(before)
    fleet.pass_time(0.1)
    fleet.add_steward(PORTS[0]).process.lag = lag
    assert most_at_once(fleet, jobs, 20) == 2
    assert are_done(fleet, jobs)


@pytest.mark.parametrize("lag", [0.001, 0.2, 0.6])
def test_a_limit_holds_when_a_standby_takes_over(fleet: Fleet, lag: float) -> None:
    before = fleet.add_steward(PORTS[0])
    fleet.pass_time(0.5)
    fleet.add_steward(PORTS[1]).process.lag = lag
    jobs = two_of_acme_run(fleet)
    jobs += [fleet.submit(4.0, **{TAG_KEY: "acme"}) for _ in range(3)]
    fleet.kill_steward(before)
    assert most_at_once(fleet, jobs, 20) == 2
    assert are_done(fleet, jobs)


def test_a_limit_holds_for_what_runs_when_the_policy_changes(fleet: Fleet) -> None:
    fleet.policies.clear()
    steward = fleet.add_steward(PORTS[0])
    jobs = two_of_acme_run(fleet)
    change = steward._dispatch.obey({DEFAULT_GROUP: POLICY})  # noqa: SLF001 - as SIGHUP does
    fleet.loop.spawn(steward.process, change)
    fleet.pass_time(0.5)
    jobs += [fleet.submit(4.0, **{TAG_KEY: "acme"}) for _ in range(3)]
    assert most_at_once(fleet, jobs, 20) == 2
    assert are_done(fleet, jobs)
