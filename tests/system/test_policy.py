"""Who goes first, over real processes: priorities, shares, limits, times, changed policies."""

import itertools
import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from resonate_fleet.contract.journal import Claimed, Ended
from resonate_fleet.contract.words import DEFAULT_GROUP, TAG_KEY, TAG_NOT_BEFORE, TAG_PRIORITY
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.processes import Process, run_room
from tests.support.waiting import wait_until

POLICY = """
[groups.worker-group]
ageing = 3600
alone = "{alone}"
[groups.worker-group.keys.acme]
running = 1
"""
numbers = itertools.count(1)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY.format(alone="work"))
    return file


@pytest.fixture
def steward(fleet: Fleet, policy: Path) -> Process:
    return fleet.steward(STEWARD_POLICY=str(policy))


def presence(steward: Process) -> str:
    return f"127.0.0.1:{steward.line('steward.started')['presence_port']}"


def state(steward: Process) -> dict[str, Any]:
    port = steward.line("steward.started")["port"]
    with urlopen(f"http://127.0.0.1:{port}/state", timeout=5) as page:
        found: dict[str, Any] = json.loads(page.read())
    return found


def submit(fleet: Fleet, cost: float = 0.05, group: str = DEFAULT_GROUP, **tags: str) -> str:
    named = {"key": TAG_KEY, "priority": TAG_PRIORITY, "not_before": TAG_NOT_BEFORE}
    given = {named[name]: value for name, value in tags.items()}
    return post_job(fleet.server, "compute_something", cost, group=group, tags=given)


def started(fleet: Fleet) -> list[str]:
    return [line.job for line in fleet.journal_of(Claimed)]


def done(fleet: Fleet, jobs: list[str], seconds: float = 40) -> None:
    def all_ended() -> bool:
        return set(jobs) <= {line.job for line in fleet.journal_of(Ended)}

    wait_until(all_ended, seconds, "all jobs have ended")


def test_a_backlog_goes_by_priority_and_keys_take_turns(fleet: Fleet, steward: Process) -> None:
    low = [submit(fleet, priority="5") for _ in range(3)]
    large = [submit(fleet, key="large") for _ in range(6)]
    small = [submit(fleet, key="small") for _ in range(2)]
    high = [submit(fleet, priority="1") for _ in range(2)]
    wait_until(lambda: state(steward)["complete"], 10, "the steward has surveyed")
    fleet.worker("w", WORKER_STEWARD=presence(steward), WORKER_SLOTS="1")
    done(fleet, [*low, *large, *small, *high])
    order = started(fleet)
    assert set(order[:2]) == set(high)
    assert set(order[-3:]) == set(low)
    assert set(small) <= set(order[2:7]), "the small key does not wait for the large one"


def test_a_limit_holds_over_members_and_is_said(fleet: Fleet, steward: Process) -> None:
    for number in range(2):
        fleet.worker(f"worker-{number}", WORKER_STEWARD=presence(steward), WORKER_SLOTS="2")
    mine = [submit(fleet, 0.4, key="acme") for _ in range(4)]
    others = [submit(fleet, 0.4, key="other") for _ in range(3)]
    why = "waits for key acme: 1 of 1 running"

    def is_said() -> bool:
        (group,) = state(steward)["groups"]
        return why in group["blocked"] and group["limited"] == group["blocked"][why]

    wait_until(is_said, 10, "the state says what waits for what")
    done(fleet, [*mine, *others])
    events = sorted(
        [(line.at, 1) for line in fleet.journal_of(Claimed) if line.job in mine]
        + [(line.at, -1) for line in fleet.journal_of(Ended) if line.job in mine]
    )
    assert max(itertools.accumulate(by for _, by in events)) == 1


def test_ten_of_one_tenant_do_not_wait_for_a_flood_of_another(
    fleet: Fleet, steward: Process
) -> None:
    fleet.worker("w", WORKER_STEWARD=presence(steward), WORKER_SLOTS="4")
    flood = [submit(fleet, 0.3, key="flood") for _ in range(200)]
    others = [submit(fleet, key="other") for _ in range(10)]
    created = (fleet.server.promise(others[-1]) or {})["createdAt"] / 1000
    done(fleet, others)
    order = [line.job for line in fleet.journal_of(Claimed) if line.at > created]
    last = max(order.index(job) for job in others if job in order)
    assert len(set(order[: last + 1]) & set(flood)) <= 2 * len(others), "they take turns"
    begun = {line.job for line in fleet.journal_of(Claimed)}
    assert set(flood) - begun, "the flood was there throughout"


def test_a_job_is_not_matched_before_its_time(fleet: Fleet, steward: Process) -> None:
    fleet.worker("w", WORKER_STEWARD=presence(steward))
    at = time.time() + 2.0
    timed = submit(fleet, not_before=str(at))
    plain = submit(fleet)
    done(fleet, [timed, plain])
    claims = {line.job: line.at for line in fleet.journal_of(Claimed)}
    assert claims[plain] < at <= claims[timed]


def test_a_changed_file_counts_after_a_signal_and_a_bad_one_does_not(
    fleet: Fleet, steward: Process, policy: Path
) -> None:
    blocker = submit(fleet, 30.0, key="acme")
    fleet.worker("w", WORKER_STEWARD=presence(steward), WORKER_SLOTS="4")
    wait_until(lambda: blocker in started(fleet), 10, "the first of acme runs")
    waiting = submit(fleet, key="acme")
    wait_until(lambda: state(steward)["groups"][0]["limited"] == 1, 10, "the second waits")
    policy.write_text("[groups.worker-group]\nageing = 0\n")
    steward.send(signal.SIGHUP)
    steward.line("policy.refused")
    assert state(steward)["groups"][0]["limited"] == 1
    policy.write_text(POLICY.format(alone="work").replace("running = 1", "running = 2"))
    steward.send(signal.SIGHUP)
    done(fleet, [waiting])


def test_members_wait_for_a_steward_where_the_policy_says_so(fleet: Fleet, policy: Path) -> None:
    policy.write_text(POLICY.format(alone="wait") + '[groups.other]\nalone = "work"\n')
    steward = fleet.steward(STEWARD_POLICY=str(policy))
    waits = fleet.worker("w", WORKER_STEWARD=presence(steward))
    works = fleet.worker("other", WORKER_STEWARD=presence(steward), WORKER_GROUP="other")
    done(fleet, [submit(fleet), submit(fleet, group="other")])
    steward.kill()
    for worker in (waits, works):
        worker.line("presence.lost", 10)
    waiting = [submit(fleet), submit(fleet, 0.0)]
    # When the other one has fallen back, found a job and heard of another, this one could have.
    done(fleet, [submit(fleet, group="other")])
    done(fleet, [submit(fleet, group="other")])
    assert not set(waiting) & set(started(fleet))


def test_a_steward_with_a_bad_policy_says_all_and_does_not_start(
    fleet: Fleet, policy: Path
) -> None:
    policy.write_text("[groups.worker-group]\nageing = 0\nalone = 'no'\n")
    refused = fleet.steward(ready=False, STEWARD_POLICY=str(policy))
    assert refused.wait(20) == 2
    said = refused.err.read_text()
    assert Counter(f"policy.toml:{line}:" in said for line in (2, 3)) == {True: 2}


def test_a_job_says_what_its_tags_do_not_do(fleet: Fleet, steward: Process) -> None:
    pages = f"http://127.0.0.1:{steward.line('steward.started')['port']}"
    fleet.worker("w", WORKER_STEWARD=presence(steward))

    def shown(job: str) -> str:
        asked = ("job", job, "--server", fleet.server.url, "--steward", pages)
        return run_room("fleet", *asked).stdout

    unread, late = submit(fleet, priority="high"), submit(fleet, not_before="9999999999")
    done(fleet, [unread])
    assert "fleet:priority counts as not given; accepted: 1 to 5" in shown(unread)
    assert "waits for its time" in shown(late)
    assert "it times out before its time comes" in shown(late)
    assert "no policy" in shown(submit(fleet, group="other", key="acme"))


def test_submit_says_where_a_job_stands(fleet: Fleet) -> None:
    asked = ("submit", "compute_something", "--id", "urgent", "--priority", "1", "--key", "acme")
    done = run_room("fleet", *asked, "--not-before", "1h", "--server", fleet.server.url)
    assert done.returncode == 0, done.stderr
    tags = (fleet.server.promise("urgent") or {})["tags"]
    assert (tags[TAG_PRIORITY], tags[TAG_KEY]) == ("1", "acme")
    assert float(tags[TAG_NOT_BEFORE]) > time.time() + 3500
    refused = run_room("fleet", *asked[:4], "--priority", "6", "--server", fleet.server.url)
    assert refused.returncode == 2
