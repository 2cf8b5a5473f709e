"""The intake on the wire: groups beside each other, a token that may not search, new members."""

import asyncio
import base64
import json
import re
import time
from pathlib import Path
from urllib.request import urlopen

from resonate_fleet.bench.jobs import submit as submit_jobs
from resonate_fleet.contract.journal import Claimed, Ended
from resonate_fleet.contract.wire import Wire
from resonate_fleet.contract.words import DEFAULT_GROUP
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.processes import Processes, free_port
from tests.support.servers import Server, ServerKind
from tests.support.waiting import wait_until


def ended(fleet: Fleet, *jobs: str) -> bool:
    return set(jobs) <= {line.job for line in fleet.journal_of(Ended)}


def test_a_flood_in_one_group_does_not_delay_the_other(fleet: Fleet) -> None:
    flood = [post_job(fleet.server, "compute_something", 0.05, group="bulk") for _ in range(300)]
    fleet.worker("bulk", WORKER_GROUP="bulk", WORKER_SLOTS="2")
    fleet.worker("fast", WORKER_GROUP="fast", WORKER_SLOTS="1")
    jobs = [post_job(fleet.server, "compute_something", 0.0, group="fast") for _ in range(10)]
    wait_until(lambda: ended(fleet, *jobs), 20, "the fast jobs are done")
    done = sum(line.job in set(flood) for line in fleet.journal_of(Ended))
    assert done < len(flood), "the flood was over too soon to prove anything"
    claims = {line.job: line for line in fleet.journal_of(Claimed)}
    assert {claims[job].who.partition("-")[0] for job in jobs} == {"fast"}
    assert sorted(claims[job].waited for job in jobs)[5] < 1.0


def test_no_member_claims_another_groups_job(fleet: Fleet) -> None:
    strangers = [post_job(fleet.server, "compute_something", 0.0, group="other") for _ in range(40)]
    own = [post_job(fleet.server, "compute_something", 0.0) for _ in range(5)]
    fleet.worker("member")
    wait_until(lambda: ended(fleet, *own), 20, "our own jobs are done")
    assert all((fleet.server.task(job) or {})["version"] == 0 for job in strangers)


def test_a_new_member_starts_on_what_waits(fleet: Fleet) -> None:
    jobs = [post_job(fleet.server, "compute_something", 0.01) for _ in range(30)]
    worker = fleet.worker("late")
    ready = worker.line("member.ready")["at"]
    wait_until(lambda: ended(fleet, *jobs), 30, "30 jobs are done")
    first = min(line.at for line in fleet.journal_of(Claimed))
    # The goal is 200 ms on a quiet machine; a shared one gets room.
    assert first - float(ready) < 1.0
    assert all(line.attempt == 1 for line in fleet.journal_of(Claimed))


def test_a_token_that_may_not_search_leaves_hints(
    server_kind: ServerKind, processes: Processes, tmp_path: Path
) -> None:
    """The embedded server knows no tokens, but refuses searches alike where it is told to."""
    real = {"RESONATE_AUTH__PUBLICKEY": "none"}
    env = real if server_kind == "real" else {"DEVSERVER_FORBID_SEARCH": "true"}
    # A member may be ready before its stream is open: a hint sent until then is sent again.
    env |= {"RESONATE_TASKS__RETRY_TIMEOUT": "1000"}
    server = Server(server_kind, processes, env=env)
    fleet = Fleet(server, processes, tmp_path)
    port = free_port()
    worker = fleet.worker("limited", RESONATE_TOKEN=token("0"), WORKER_PORT=str(port))
    jobs = asyncio.run(submit(server.url, token(""), 5))
    wait_until(lambda: ended(fleet, *jobs), 30, "5 jobs are done by hints alone")
    assert len(worker.lines("search.forbidden")) == 1
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    assert re.search(r"^fleet_worker_search_allowed 0\.0$", page, re.MULTILINE)
    assert re.search(
        r'^fleet_worker_fallback_searches_total\{result="forbidden"\} 1\.0$', page, re.MULTILINE
    )


async def submit(url: str, token: str, count: int) -> list[str]:
    async with Wire(url, token) as wire:
        return await submit_jobs(wire, DEFAULT_GROUP, [0.0] * count)


def token(prefix: str) -> str:
    """A token that nobody signed, for ids that begin with `prefix`."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"exp": int(time.time()) + 600, "prefix": prefix}]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join(part.rstrip("=") for part in coded) + ".unsigned"
