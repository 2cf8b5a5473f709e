"""A policy holds over a change of steward: real stewards and members, in virtual time."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import CodeType
from typing import Literal
from unittest.mock import patch

import msgspec
import pytest

from resonate_fleet.contract.envelope import Raw
from resonate_fleet.contract.presence import Beat, FromSteward
from resonate_fleet.contract.words import DEFAULT_GROUP, TAG_KEY, anycast
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.policy import GroupPolicy, Limit
from resonate_fleet.steward.presence import Connection
from tests.support.simulated import Fleet
from tests.support.simulated_processes import PORTS, SimSteward
from tests.support.virtual import Process

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


def test_a_limit_is_given_back_when_a_holder_dies(fleet: Fleet) -> None:
    fleet.add_steward(PORTS[0])
    jobs = two_of_acme_run(fleet)
    fleet.kill_member(fleet.holder(jobs[0]))
    assert most_at_once(fleet, jobs, 1) == 2
    assert fleet.server.model.task(jobs[0])["version"] == 2, "it runs again"


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


def change(fleet: Fleet, steward: SimSteward, policy: GroupPolicy) -> None:
    """Have a steward use another policy for all groups, as it does on SIGHUP."""

    async def apply() -> None:
        policies = dict.fromkeys((DEFAULT_GROUP, "other"), policy)
        steward._dispatch.promises.apply(policies)  # noqa: SLF001 - no file, no signal

    fleet.loop.spawn(steward.process, apply())


def test_a_limit_holds_for_what_runs_when_the_policy_changes(fleet: Fleet) -> None:
    fleet.policies.clear()
    steward = fleet.add_steward(PORTS[0])
    jobs = two_of_acme_run(fleet)
    change(fleet, steward, POLICY)
    fleet.pass_time(0.5)
    jobs += [fleet.submit(4.0, **{TAG_KEY: "acme"}) for _ in range(3)]
    assert most_at_once(fleet, jobs, 20) == 2
    assert are_done(fleet, jobs)


def test_a_limit_holds_for_what_is_on_its_way_when_the_policy_changes(fleet: Fleet) -> None:
    fleet.policies.clear()
    steward = fleet.add_steward(PORTS[0])
    members = [fleet.add_member(2) for _ in range(3)]
    fleet.pass_time(1)
    for one in members:
        one.process.lag = 0.8
    jobs = [fleet.submit(4.0, **{TAG_KEY: "acme"}) for _ in range(2)]
    fleet.pass_time(0.1)
    assert [fleet.server.model.task(job)["state"] for job in jobs] == ["pending"] * 2
    change(fleet, steward, POLICY)
    jobs += [fleet.submit(4.0, **{TAG_KEY: "acme"}) for _ in range(3)]
    assert most_at_once(fleet, jobs, 40) == 2
    assert are_done(fleet, jobs)


def test_a_policy_that_changes_while_the_server_is_away_counts_when_it_is_back(
    fleet: Fleet,
) -> None:
    fleet.policies.clear()
    steward = fleet.add_steward(PORTS[0])
    jobs = two_of_acme_run(fleet)
    steward.process.deaf = True
    change(fleet, steward, POLICY)
    fleet.pass_time(0.5)
    steward.process.deaf = False
    fleet.pass_time(1)
    jobs += [fleet.submit(4.0, **{TAG_KEY: "acme"}) for _ in range(3)]
    assert most_at_once(fleet, jobs, 20) == 2
    assert are_done(fleet, jobs)


@pytest.mark.parametrize(("before", "after"), [("work", "wait"), ("wait", "work")])
def test_members_hear_at_once_whether_they_wait_for_a_steward(
    fleet: Fleet, before: Literal["wait", "work"], after: Literal["wait", "work"]
) -> None:
    fleet.policies[DEFAULT_GROUP] = GroupPolicy(alone=before)
    steward = fleet.add_steward(PORTS[0])
    fleet.add_member()
    fleet.pass_time(1)
    change(fleet, steward, GroupPolicy(alone=after))
    fleet.pass_time(0.5)
    fleet.kill_steward(steward)
    fleet.pass_time(2)
    job = fleet.submit(0.1)
    fleet.pass_time(5)
    assert are_done(fleet, [job]) == (after == "work")


def test_all_groups_hear_once_and_at_once_while_the_server_is_away(fleet: Fleet) -> None:
    fleet.policies.clear()
    steward = fleet.add_steward(PORTS[0])
    two_of_acme_run(fleet)
    fleet.add_member(group="other")
    fleet.pass_time(1)
    fleet.submit(9.0, target=anycast("other"))
    fleet.pass_time(1)
    steward.process.deaf = True
    heard, say = Counter[str](), Connection.say

    def said(to: Connection, message: FromSteward) -> None:
        if message == Beat(waits=True) and to.hello:
            heard[to.hello.member] += 1
        say(to, message)

    with patch.object(Connection, "say", said):
        change(fleet, steward, POLICY)
        fleet.pass_time(5)
    assert heard == {one.process.name: 1 for one in fleet.members}


def test_of_two_changes_while_a_read_takes_long_the_last_counts_once(fleet: Fleet) -> None:
    fleet.policies.clear()
    steward = fleet.add_steward(PORTS[0])
    two_of_acme_run(fleet)
    steward.process.lag = 0.3
    with patch.object(Matcher, "requeue", autospec=True, side_effect=Matcher.requeue) as requeued:
        change(fleet, steward, POLICY)
        fleet.pass_time(0.1)
        change(fleet, steward, POLICY)
        fleet.pass_time(2)
    assert requeued.call_count == 1


@contextmanager
def requests(fleet: Fleet, *whose: SimSteward) -> Iterator[Counter[str]]:
    """Count what these stewards ask the server, by kind."""
    found, answer, names = Counter[str](), fleet.server.answer, [one.process for one in whose]

    def counted(process: Process, body: bytes | str) -> Raw:
        if process in names:
            found[msgspec.json.decode(body)["kind"]] += 1
        return answer(process, body)

    with patch.object(fleet.server, "answer", counted):
        yield found


def test_many_new_jobs_are_read_by_pages_and_a_single_one_at_once(fleet: Fleet) -> None:
    steward = fleet.add_steward(PORTS[0])
    fleet.add_member(2)
    fleet.pass_time(10)
    with requests(fleet, steward) as asked:
        single = fleet.submit(0.1, **{TAG_KEY: "other"})
        fleet.pass_time(1)
    assert (asked["promise.get"], asked["promise.search"]) == (1, 0)
    assert are_done(fleet, [single])
    steward.process.lag = 0.05
    with requests(fleet, steward) as asked:
        jobs = [fleet.submit(0.0, **{TAG_KEY: "other"}) for _ in range(400)]
        fleet.pass_time(60)
    assert are_done(fleet, jobs)
    assert 0 < asked["promise.search"] < 10
    assert asked["promise.get"] < 100


def work_of_a_job(policies: dict[str, GroupPolicy]) -> tuple[Counter[str], Counter[str]]:
    """Return what a steward asks and which functions it calls, for jobs without a policy."""
    calls = Counter[str]()

    def called(code: CodeType, _: int) -> None:
        if "resonate_fleet/steward/" in code.co_filename:
            calls[code.co_qualname] += 1

    with closing(Fleet(policies=policies)) as fleet:
        steward = fleet.add_steward(PORTS[0])
        fleet.add_member(2)
        fleet.pass_time(10)
        sys.monitoring.use_tool_id(sys.monitoring.PROFILER_ID, "calls")
        sys.monitoring.register_callback(
            sys.monitoring.PROFILER_ID, sys.monitoring.events.PY_START, called
        )
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, sys.monitoring.events.PY_START)
        try:
            with requests(fleet, steward) as asked:
                jobs = [fleet.submit(0.1) for _ in range(20)]
                fleet.pass_time(5)
        finally:
            sys.monitoring.set_events(sys.monitoring.PROFILER_ID, 0)
            sys.monitoring.free_tool_id(sys.monitoring.PROFILER_ID)
        assert are_done(fleet, jobs)
    return asked, calls


def test_the_policy_of_another_group_costs_a_job_no_request_and_no_call() -> None:
    asked, calls = work_of_a_job({})
    assert calls["Matcher.offer"] >= 20
    assert (asked, calls) == work_of_a_job({"another": POLICY})
