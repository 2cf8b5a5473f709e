"""The safety argument, driven through the product's own code under whatever hypothesis finds.

Members, two stewards and the server's model run in virtual time (`tests/support/simulated.py`).
The promises are checked after every step. `EXAMPLES=1000` looks further.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.examples import examples
from tests.support.simulated import Fleet
from tests.support.simulated_processes import PORTS, SimMember

MEMBERS, MOST_JOBS = 3, 8
#: Runs of the property; more on demand.
EXAMPLES = examples(40)
which = st.integers(0, MEMBERS - 1)
ports = st.sampled_from(PORTS)
#: Requests whose answers get lost.
KINDS = ("task.acquire", "task.fulfill", "task.release", "task.heartbeat", "task.get")


pytestmark = pytest.mark.usefixtures("no_logs")


class Machine(RuleBasedStateMachine):
    """What may happen to a fleet."""

    @initialize(slots=st.integers(1, 2))
    def start(self, slots: int) -> None:
        self.fleet = Fleet()
        for port in PORTS:
            self.fleet.add_steward(port)
        for _ in range(MEMBERS):
            self.fleet.add_member(slots)
        self.fleet.pass_time(0.5)

    def teardown(self) -> None:
        if hasattr(self, "fleet"):
            try:
                self.fleet.end_well()
                self.fleet.check()
            finally:
                self.fleet.close()

    def member(self, number: int) -> SimMember:
        return self.fleet.members[number % len(self.fleet.members)]

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.3, 1.0, 2.5, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.fleet.pass_time(seconds)

    @precondition(lambda self: len(self.fleet.jobs) < MOST_JOBS)
    @rule(costs=st.lists(st.sampled_from([0.05, 1.0, 4.0, 30.0]), min_size=1, max_size=3))
    def jobs_come(self, costs: list[float]) -> None:
        for cost in costs:
            self.fleet.submit(cost)
        self.fleet.pass_time(0.02)

    @rule(number=which)
    def a_member_dies_and_another_comes(self, number: int) -> None:
        self.fleet.kill_member(self.member(number))
        self.fleet.add_member()

    @rule(number=which)
    def a_member_drains_and_another_comes(self, number: int) -> None:
        self.fleet.drain(self.member(number))
        self.fleet.add_member()

    @rule(port=ports)
    def a_steward_dies(self, port: int) -> None:
        for one in [one for one in self.fleet.stewards if one.port == port]:
            self.fleet.kill_steward(one)

    @rule(port=ports)
    def a_steward_comes(self, port: int) -> None:
        if all(one.port != port for one in self.fleet.stewards):
            self.fleet.add_steward(port)

    @rule(number=which, port=ports, late=st.sampled_from([0.0, 0.05, 3.0]), long=st.booleans())
    def a_connection_breaks(self, number: int, port: int, late: float, *, long: bool) -> None:
        self.fleet.cut(self.member(number), port, late=late, for_long=long)

    @rule(number=which, lag=st.sampled_from([0.05, 0.5, 3.0, 5.0]))
    def a_member_is_far_away(self, number: int, lag: float) -> None:
        self.member(number).process.lag = lag

    @rule(number=which, lag=st.sampled_from([0.001, 0.5, 2.0]), seconds=st.sampled_from([0.0, 9.0]))
    def a_member_reaches_no_server(self, number: int, lag: float, seconds: float) -> None:
        """Slowly first, and then not at all: for longer than a lease, perhaps."""
        process = self.member(number).process
        process.lag = lag
        self.fleet.pass_time(seconds / 3)
        process.deaf = True
        self.fleet.pass_time(seconds)

    @rule(number=which, kind=st.sampled_from(KINDS))
    def an_answer_is_lost(self, number: int, kind: str) -> None:
        self.member(number).process.loses.append(kind)

    @rule(lag=st.sampled_from([0.05, 0.5]))
    def a_steward_is_far_away(self, lag: float) -> None:
        for one in self.fleet.stewards[:1]:
            one.process.lag = lag

    @rule()
    def all_heals(self) -> None:
        self.fleet.heal()
        self.fleet.pass_time(1.5)
        self.fleet.check_rest()
        self.fleet.check_knowledge()


def run(examples: int, steps: int = 20) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(max(600, 30 * EXAMPLES))
def test_the_promises_hold_whatever_happens() -> None:
    run(examples=EXAMPLES)
