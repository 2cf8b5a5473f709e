"""One result a job and no job lost, whatever three members, a steward and an operator do.

Members here believe what they were last told and act on it however late: a lapsed or released
lease is unknown to them until they write. The steward, too, acts on what it once saw.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resonate_fleet.server.state import State
from resonate_fleet.server.store import Store
from tests.support.examples import examples

JOBS = ("job-a", "job-b", "job-c", "job-d")
MEMBERS = ("m-1", "m-2", "m-3")
TTL = 1_000
RETRY = 500
FOREVER = 10**15

jobs = st.sampled_from(JOBS)
members = st.sampled_from(MEMBERS)


class Fleet(RuleBasedStateMachine):
    """The server's pure state and what each of the others believes about it."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(retry=RETRY)
        self.server = State(self.store)
        self.now = 1_000_000
        #: Leases as each member believes to hold them, by job.
        self.held: dict[str, dict[str, int]] = {member: {} for member in MEMBERS}
        #: Leases as the steward saw them at some time: member, job, version.
        self.seen: list[tuple[str, str, int]] = []
        #: Values that the server has accepted, by job, in order.
        self.accepted: dict[str, list[str]] = {job: [] for job in JOBS}
        #: Steps that the server has accepted: promise and the version it was written under.
        self.steps: dict[str, int] = {}
        self.claims = dict.fromkeys(JOBS, 0)

    @initialize()
    def submit(self) -> None:
        for job in JOBS:
            tags = {"resonate:target": "poll://any@group"}
            assert self.ask("promise.create", id=job, timeoutAt=FOREVER, tags=tags)[0] == 200

    def teardown(self) -> None:
        try:
            self.all_ends_well()
        finally:
            self.store.close()

    def all_ends_well(self) -> None:
        """The faults end; a fresh member does whatever is left."""
        self.now += TTL + RETRY
        self.server.tick(self.now)
        for job in JOBS:
            self.ask("task.continue", id=job)
        self.now += RETRY
        self.server.tick(self.now)
        self.finish_all()
        for job in JOBS:
            promise = self.ask("promise.get", id=job)[1]["promise"]
            assert promise["state"] != "pending", f"{job} was lost"
            assert self.accepted[job] == [promise["value"]["data"]]

    def finish_all(self) -> None:
        for hint in self.server.take_outgoing(100):
            task = hint.data["task"]
            status, _ = self.acquire("m-last", task["id"], task["version"])
            if status == 200:
                assert self.settle(task["id"], task["version"] + 1, "m-last") == 200
            else:  # a hint may be stale, but then the job is over
                assert self.task(task["id"])["state"] == "fulfilled"

    # What can be asked.

    def ask(self, kind: str, **data: Any) -> tuple[int, Any]:
        reply = self.server.apply(self.now, kind, data)
        return reply.status, reply.data

    def task(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("task.get", id=job)[1]["task"]
        return found

    def acquire(self, pid: str, job: str, version: int) -> tuple[int, Any]:
        answer = self.ask("task.acquire", id=job, version=version, pid=pid, ttl=TTL)
        if answer[0] == 200:
            self.claims[job] += 1
            assert answer[1]["task"]["version"] == self.claims[job], "the version counts claims"
        return answer

    def settle(self, job: str, version: int, who: str) -> int:
        """Write a result, and check that the version alone decides whether it counts."""
        before = self.task(job)
        holds = (before["state"], before["version"]) == ("acquired", version)
        value = {"data": f"{who}/{version}"}
        verdict = {"id": job, "state": "resolved", "value": value}
        action = {"kind": "promise.settle", "head": {}, "data": verdict}
        status, _ = self.ask("task.fulfill", id=job, version=version, action=action)
        assert status == (200 if holds else 409)
        if holds:
            self.accepted[job].append(value["data"])
        return status

    # What can happen.

    @rule(ms=st.sampled_from([1, RETRY // 2, TTL // 2, TTL + 1, 3 * TTL]))
    def time_passes(self, ms: int) -> None:
        self.now += ms
        self.server.tick(self.now)

    @rule(member=members, job=jobs, behind=st.sampled_from([0, 0, 0, 1]), heard=st.booleans())
    def claim(self, member: str, job: str, behind: int, heard: bool) -> None:  # noqa: FBT001
        """By a hint that may be stale; the answer may get lost on its way back."""
        version = max(0, self.task(job)["version"] - behind)
        status, data = self.acquire(member, job, version)
        if status == 200 and heard:
            self.held[member][job] = data["task"]["version"]

    @rule(member=members)
    def beat(self, member: str) -> None:
        tasks = [{"id": job, "version": version} for job, version in self.held[member].items()]
        before = {job: self.task(job)["version"] for job in JOBS}
        assert self.ask("task.heartbeat", pid=member, tasks=tasks)[0] == 200
        assert before == {job: self.task(job)["version"] for job in JOBS}

    @rule(member=members, job=jobs)
    def fulfil(self, member: str, job: str) -> None:
        if job in self.held[member]:
            self.settle(job, self.held[member].pop(job), member)

    @rule(member=members, job=jobs, number=st.integers(1, 2))
    def checkpoint(self, member: str, job: str, number: int) -> None:
        """Write the result of a step: refused to whoever does not hold the lease any more."""
        if job not in self.held[member]:
            return
        version, before = self.held[member][job], self.task(job)
        holds = (before["state"], before["version"]) == ("acquired", version)
        step = f"{job}:{number}"
        create = {"kind": "promise.create", "data": {"id": step, "timeoutAt": FOREVER}}
        status, _ = self.ask("task.fence", id=job, version=version, action=create)
        assert (status == 200) == holds
        if not holds:
            return
        value = {"data": f"{member}/{version}"}
        verdict = {"id": step, "state": "resolved", "value": value}
        settle = {"kind": "promise.settle", "data": verdict}
        assert self.ask("task.fence", id=job, version=version, action=settle)[0] == 200
        self.steps.setdefault(step, version)

    @rule(member=members, job=jobs)
    def hand_back(self, member: str, job: str) -> None:
        if job in self.held[member]:
            version = self.held[member].pop(job)
            self.ask("task.release", id=job, version=version)

    @rule()
    def steward_looks(self) -> None:
        acquired = self.ask("task.search", state="acquired")[1]["tasks"]
        self.seen = [(task["pid"], task["id"], task["version"]) for task in acquired]

    @rule(member=members)
    def steward_hands_over(self, member: str) -> None:
        """Rightly or not, and perhaps long after it looked."""
        for pid, job, version in self.seen:
            if pid == member:
                before = self.task(job)
                status, _ = self.ask("task.release", id=job, version=version)
                holds = (before["state"], before["version"]) == ("acquired", version)
                assert (status == 200) == holds

    @rule(job=jobs)
    def steward_parks(self, job: str) -> None:
        self.ask("task.halt", id=job)

    @rule(job=jobs)
    def operator_redrives(self, job: str) -> None:
        self.ask("task.continue", id=job)

    @rule(job=jobs)
    def operator_rejects(self, job: str) -> None:
        if self.task(job)["state"] == "halted":
            value = {"data": "rejected by hand"}
            assert self.ask("promise.settle", id=job, state="rejected", value=value)[0] == 200
            self.accepted[job].append(value["data"])

    # What holds at every moment.

    @invariant()
    def one_result_and_the_job_is_over_with_it(self) -> None:
        tasks = {task["id"]: task for task in self.ask("task.search")[1]["tasks"]}
        for promise in self.ask("promise.search")[1]["promises"]:
            job, settled = promise["id"], promise["state"] != "pending"
            written = [promise["value"]["data"]] if settled else []
            if job in self.accepted:
                assert self.accepted[job] == written, "written once, for good"
                assert (tasks[job]["state"] == "fulfilled") == settled
            elif job in self.steps:
                assert written[0].endswith(f"/{self.steps[job]}"), "the first result stays"


TestFleet = pytest.mark.timeout(300)(Fleet.TestCase)
TestFleet.settings = settings(
    max_examples=examples(200, in_ci=1_000),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
