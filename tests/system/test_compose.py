"""One fleet in containers through all that can happen to it, and what its Prometheus sees of it.

The tests follow each other: what one has done stands in Prometheus for the next.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from resonate_fleet.contract.journal import Claimed, DrainStep, HandedOver
from tests.support.compose import (
    Replica,
    Stack,
    build_images,
    docker,
    killers,
    need_containers,
)
from tests.support.queries import QUERIES, QUIET, alerts, dumb
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.containers,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("compose-fleet"),
]

#: Seconds from the death of a member to the next claim: at worst what processes may take, and a
#: second for the container runtime.
RECOVERY_BAR = 2.5
#: Not the default one: what watches must not rest on it.
GROUP = "blue"
#: Seconds; longer than RECOVERY_BAR, so that no lapse passes for a hand-over.
LEASE = 4
#: Three scrapes of Prometheus and three looks of the steward, in seconds.
SEEN = 25


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    need_containers()
    build_images()
    settings = {"WORKER_SLOTS": "1", "WORKER_LEASE": str(LEASE), "STEWARD_MAX_CRASHES": "1"}
    with Stack(WORKER_GROUP=GROUP, **settings) as started:
        started.up("worker", "prometheus")
        scraped = "count(fleet_worker_slots) == 3"
        wait_until(lambda: started.prometheus.query(scraped), SEEN, "all members are scraped")
        yield started


def asker(stack: Stack) -> Callable[[str], Collection[Any]]:
    """Ask Prometheus; a query that names the default group is asked for that of this fleet."""
    return lambda query: stack.prometheus.query(query.replace("worker-group", GROUP))


def holder(stack: Stack) -> tuple[Replica, str]:
    """Return a replica that holds a job, and that job."""
    replicas = {one.replica: one for one in stack.replicas()}

    def look() -> tuple[Replica, str] | None:
        for job, task in stack.held().items():
            replica = (task.pid or "").rpartition("-")[0]
            if replica in replicas:
                return replicas[replica], job
        return None

    return wait_until(look, 40, "a replica holds a job")


def active(stack: Stack) -> list[dict[str, Any]]:
    """Return what Prometheus scrapes just now."""
    found: list[dict[str, Any]] = json.loads(
        stack.prometheus.get("/api/v1/targets", state="active")
    )["data"]["activeTargets"]
    return found


def total(stack: Stack, metric: str) -> float:
    (found,) = stack.prometheus.query(f"sum({metric})")
    return float(found["value"][1])


def gives_data(stack: Stack, *names: str) -> None:
    """Wait until the queries that stand there find something."""
    assert set(names) <= {where for where, _ in QUERIES}
    ask = asker(stack)
    wait_until(lambda: dumb(ask).isdisjoint(names), SEEN, f"{', '.join(names)} give data")


def work_once(stack: Stack) -> None:
    """Have jobs done where a test is run alone: Prometheus is asked about what has happened."""
    if not stack.journal_of(Claimed):
        stack.finish(stack.submit("--count", "12", "--cost", "0.2..0.4"), within=30)


def test_every_replica_works_and_each_job_runs_once(stack: Stack) -> None:
    jobs = stack.submit("--count", "12", "--cost", "0.2..0.4", "--seed", "1")
    claims = stack.finish(jobs, within=30)
    assert set(claims.values()) == {1}
    by_replica = stack.jobs_by_replica(jobs)
    assert set(by_replica) == {one.replica for one in stack.replicas()}
    assert sum(by_replica.values()) == len(jobs)


def test_prometheus_scrapes_every_replica_once_and_knows_its_group_and_name(
    stack: Stack,
) -> None:
    def all_up() -> list[dict[str, Any]]:
        found = active(stack)
        by_job = Counter(one["labels"]["job"] for one in found if one["health"] == "up")
        return found if by_job == {"worker": 3, "steward": 1, "server": 1} else []

    targets = wait_until(all_up, SEEN, "three replicas, steward and server are scraped")
    assert {one["health"] for one in targets} == {"up"}
    seen = {
        (one["labels"]["group"], one["labels"]["pod"], one["labels"]["instance"])
        for one in targets
        if one["labels"]["job"] == "worker"
    }
    replicas = {one.replica: one.address("metrics") for one in stack.replicas()}
    assert set(replicas) == {"worker-1", "worker-2", "worker-3"}
    assert seen == {(GROUP, name, f"{address}:9464") for name, address in replicas.items()}
    work_once(stack)
    resolved = 'fleet_worker_attempts_ended_total{outcome="resolved"} > 0'
    wait_until(
        lambda: {one["metric"]["pod"] for one in stack.prometheus.query(resolved)} == set(replicas),
        SEEN,
        "the work of each is counted",
    )


def test_every_query_gives_data_and_what_watches_for_trouble_none(stack: Stack) -> None:
    work_once(stack)
    ask = asker(stack)
    silent: set[str] = set()

    def all_give_data() -> bool:
        silent.clear()
        silent.update(dumb(ask) - QUIET)
        return not silent

    try:
        wait_until(all_give_data, SEEN, "every query of panels and rules gives data")
    except AssertionError:
        pytest.fail(f"no data after {SEEN} s: {sorted(silent)}")
    assert {one["alert"] for one in alerts()} <= dumb(ask)

    def evaluated() -> list[dict[str, Any]]:
        groups = json.loads(stack.prometheus.get("/api/v1/rules"))["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = wait_until(evaluated, SEEN, "every rule was evaluated once")
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule.get("state") in ("pending", "firing")] == []


def test_a_replica_killed_in_the_middle_of_a_job_loses_nothing(stack: Stack) -> None:
    # Fewer jobs than replicas: the bar is about the hand-over, not about waiting for a free slot.
    # A client's container may take as long to go as its jobs take: it is not waited for.
    with killers(stack.replicas()) as kill, ThreadPoolExecutor() as beside:
        sent = beside.submit(stack.submit, "--count", "2", "--cost", "4", "--seed", "2")
        victim, job = holder(stack)
        killed = time.time()
        kill(victim)
        jobs = sent.result()
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

    # Prometheus tells the same story as the journals.
    wait_until(lambda: total(stack, "fleet_worker_reclaims_total") == 1, SEEN, "the claim is seen")
    wait_until(
        lambda: total(stack, "fleet_steward_handovers_total") == 1, SEEN, "so is the hand-over"
    )
    assert total(stack, "fleet_steward_deaths_total") == 1
    (handed,) = stack.journal_of(HandedOver)
    spent = total(stack, "fleet_steward_handover_duration_seconds_sum")
    assert spent == pytest.approx(handed.seconds, abs=0.05)
    gives_data(stack, "FleetRedoRateHigh")


def test_a_replica_that_is_stopped_finishes_what_it_holds(stack: Stack) -> None:
    jobs = stack.submit("--count", "9", "--cost", "1", "--seed", "3")
    victim, _ = holder(stack)
    docker("stop", "--time", "40", victim.id)
    assert victim.inspect(".State.ExitCode") == "0"
    assert set(stack.finish(jobs, within=30).values()) == {1}
    steps = [one.step for one in stack.journal_of(DrainStep) if one.who.startswith(victim.replica)]
    assert steps[0] == "not-ready"
    assert steps[-1] == "closed"
    stack.up()


def frozen(replica: Replica) -> bool:
    """Freeze it; that fails now and then while a health check starts inside."""
    docker("pause", replica.id, check=False)
    return replica.inspect(".State.Paused") == "true"


def freeze_a_holder(stack: Stack) -> tuple[Replica, str, list[str]]:
    """Freeze a replica in the middle of a job. One whose job has ended meanwhile is thawed again.

    Returns the replica, its job, and all jobs that were sent with it.
    """
    for _ in range(5):
        jobs = stack.submit("--count", "2", "--cost", "4", "--seed", "4")
        victim, job = holder(stack)
        wait_until(partial(frozen, victim), 5, "the replica stands still")
        if job in stack.held():
            return victim, job, jobs
        docker("unpause", victim.id)
        stack.finish(jobs, within=30)
    pytest.fail("each job ended before its replica was frozen")


def test_a_frozen_replica_loses_its_lease_and_its_job_ends_once(stack: Stack) -> None:
    victim, job, jobs = freeze_a_holder(stack)
    try:
        claims = stack.finish(jobs, within=30)
    finally:
        docker("unpause", victim.id)
    assert claims[job] == 2
    gives_data(stack, "FleetLeasesLost")
    assert stack.outcome(job)[1].version == 2


def test_alerts_see_a_fleet_without_members_server_and_steward(stack: Stack) -> None:
    """Last, as little is left afterwards. Each query is asked while its fault lasts."""
    jobs = stack.submit("--count", "3", "--cost", "60")
    wait_until(lambda: set(stack.held()) >= set(jobs), 20, "every replica holds a job")
    workers = stack.replicas()
    docker("kill", *(one.id for one in workers))  # stays away, as after a stop by hand
    gives_data(stack, "FleetNoMembers")

    docker("start", workers[0].id)
    one, job = holder(stack)
    one.kill_processes()  # the job's second crash: more than it may have
    gives_data(stack, "FleetJobsParked")
    assert stack.outcome(job)[1].state == "halted"

    holder(stack)
    docker("kill", *(one.id for name in ("server", "steward") for one in stack.replicas(name)))
    gives_data(stack, "FleetServerDown", "FleetStewardAbsent", "FleetHeartbeatsFailing")
