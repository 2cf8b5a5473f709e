"""The fleet in containers: spread, a death, a stop in order, and what Prometheus sees."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from contract.journal import Claimed, DrainStep
from tests.support.compose import Replica, Stack, docker, need_containers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.system, pytest.mark.timeout(300)]

#: Seconds from the death of a member to the next claim: half a second as on processes, a second
#: for the container runtime.
RECOVERY_BAR = 1.5


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    need_containers()
    with Stack(WORKER_SLOTS="1") as started:
        started.compose("--profile", "*", "build", "--quiet", timeout=600)
        started.up()
        yield started


def holder(stack: Stack, jobs: list[str]) -> tuple[Replica, str]:
    """Return a replica that holds one of the jobs, and that job."""

    def look() -> tuple[Replica, str] | None:
        hosts = {one.host: one for one in stack.replicas()}
        held = {job: task for job, task in stack.held().items() if job in jobs}
        for job, task in held.items():
            host = (task.pid or "").rpartition("-")[0]
            if host in hosts:
                return hosts[host], job
        return None

    return wait_until(look, 10, "a replica holds a job")


def test_every_replica_works_and_each_job_runs_once(stack: Stack) -> None:
    jobs = stack.submit("--count", "18", "--cost", "0.2..0.4", "--seed", "1")
    claims = stack.finish(jobs, within=30)
    assert set(claims.values()) == {1}
    by_host = stack.jobs_by_host(jobs)
    assert set(by_host) == {one.host for one in stack.replicas()}
    assert sum(by_host.values()) == len(jobs)


def test_a_replica_killed_in_the_middle_of_a_job_loses_nothing(stack: Stack) -> None:
    # Fewer jobs than replicas: the bar is about the hand-over, not about waiting for a free slot.
    jobs = stack.submit("--count", "2", "--cost", "2", "--seed", "2")
    victim, job = holder(stack, jobs)
    killed = time.time()
    victim.kill_processes()
    claims = stack.finish(jobs, within=30)
    assert claims[job] == 2
    assert sum(claims.values()) == len(jobs) + 1
    again = [one for one in stack.journal_of(Claimed) if one.job == job and one.attempt == 2]
    assert len(again) == 1
    assert again[0].at - killed <= RECOVERY_BAR
    wait_until(
        lambda: victim.inspect(".State.Health.Status") == "healthy" and len(stack.replicas()) == 3,
        20,
        "the dead replica is back",
    )
    assert int(victim.inspect(".RestartCount")) >= 1


def test_a_replica_that_is_stopped_finishes_what_it_holds(stack: Stack) -> None:
    jobs = stack.submit("--count", "9", "--cost", "1", "--seed", "3")
    victim, _ = holder(stack, jobs)
    docker("stop", "--time", "40", victim.id)
    assert victim.inspect(".State.ExitCode") == "0"
    assert set(stack.finish(jobs, within=30).values()) == {1}
    steps = [one.step for one in stack.journal_of(DrainStep) if one.who.startswith(victim.host)]
    assert steps[0] == "not-ready"
    assert steps[-1] == "closed"
    stack.up()


def prometheus(stack: Stack, path: str, **asked: str) -> dict[str, Any]:
    """Return the data of an answer of Prometheus."""
    url = f"{stack.url('prometheus', 9090)}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
    with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 - an address of this machine
        found: dict[str, Any] = json.load(reply)["data"]
        return found


def series(stack: Stack, query: str) -> list[dict[str, str]]:
    """Return the label sets that a query finds."""
    return [one["metric"] for one in prometheus(stack, "query", query=query)["result"]]


def test_prometheus_scrapes_every_replica_once_and_steward_and_server(stack: Stack) -> None:
    stack.compose("--profile", "observability", "up", "--detach", "--wait", "prometheus")
    wait_until(
        lambda: len(series(stack, 'up{job="worker"} == 1')) == 3, 30, "three replicas are scraped"
    )
    assert len({one["instance"] for one in series(stack, "fleet_worker_slots")}) == 3
    wait_until(
        lambda: {one["job"] for one in series(stack, "up == 1")} >= {"worker", "steward", "server"},
        20,
        "steward and server are scraped",
    )
    assert not series(stack, "up == 0")
    jobs = stack.submit("--count", "12", "--cost", "0.1")
    stack.finish(jobs, within=20)
    resolved = 'fleet_worker_attempts_ended_total{outcome="resolved"} > 0'
    wait_until(lambda: len(series(stack, resolved)) == 3, 20, "the work of each is counted")


def test_every_rule_is_evaluated_and_no_alert_fires_in_a_quiet_fleet(stack: Stack) -> None:
    stack.compose("--profile", "observability", "up", "--detach", "--wait", "prometheus")

    def evaluated() -> list[dict[str, Any]]:
        groups = prometheus(stack, "rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = wait_until(evaluated, 40, "every rule was evaluated once")
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []
