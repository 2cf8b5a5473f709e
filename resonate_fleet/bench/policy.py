"""What a policy costs groups with one and without, and what a flood of one tenant costs others."""

import time
from collections import deque

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, at_most, figure, percentile
from resonate_fleet.bench.latency import one_start, starts
from resonate_fleet.bench.place import Asked, BenchPlace, Requests
from resonate_fleet.bench.processes import Spent
from resonate_fleet.bench.throughput import AT_ONCE, SLOTS, ours
from resonate_fleet.contract.ids import new_id
from resonate_fleet.steward.fair import FairQueue
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.policy import Attributes, GroupPolicy, Limit

#: Jobs of the flood, what each takes, and how often ten of another tenant come meanwhile.
FLOOD, COST, TENS = 10_000, 0.05, 5
#: Slots of the fleet, and those that the flood may have where it is limited.
SHARED, FLOOD_SLOTS = 12, 9
#: Keys of the matcher alone, and jobs that wait in it throughout.
KEYS, BACKLOG = 1000, 10_000


async def policy(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Measure processes, then the matcher alone."""
    file = place.processes.folder / "policy.toml"
    group, limited = place.new_group("policy"), place.new_group("limited")
    file.write_text(f"[groups.{group}]\n[groups.{limited}.keys.flood]\nrunning = {FLOOD_SLOTS}\n")
    rates, spent = await _elsewhere(place, str(file), asked.times(5))
    place.steward_env = {"STEWARD_POLICY": str(file)}
    waits = await starts(place, "ours", asked.times(100), group)
    requests = await _requests(place, group)
    flood = asked.jobs or FLOOD
    shared = await _tenants(place, group, flood, "in turns")
    shared += await _tenants(place, limited, flood, f"{FLOOD_SLOTS} of {SHARED} slots at most")
    alone = _matcher(10 * KEYS if asked.jobs else 1000 * KEYS)
    return [
        figure("policy", "throughput, policy of another group / none", rates),
        figure("policy", "steward's processor time, policy of another group / none", spent,
               goals=at_most(median=1.02)),
        figure("policy", "idle to start, with a policy", waits, "ms", at_most(p50=12)),
        figure("policy", "requests a job, with a policy", [requests], goals=at_most(worst=4.1)),
        *shared,
        figure("policy", f"the matcher alone, {KEYS} keys with limits, a job", alone, "us",
               at_most(p50=50)),
    ]  # fmt: skip


async def _elsewhere(place: BenchPlace, file: str, times: int) -> tuple[list[float], list[float]]:
    """Run no-op jobs in turn with a policy of another group and without any; return both ratios."""
    rates, spent = list[float](), list[float]()
    for number in range(times):
        found = {}
        for given in ("", file) if number % 2 else (file, ""):
            found[given] = await _no_ops(place, {"STEWARD_POLICY": given})
        rates.append(found[file][0] / found[""][0])
        spent.append(found[file][1] / found[""][1])
    return rates, spent


async def _no_ops(place: BenchPlace, steward_env: dict[str, str]) -> tuple[float, float]:
    """Return jobs a second, and the steward's processor seconds."""
    place.steward_env = steward_env
    with place.fleet("ours", 2, SLOTS) as fleet:
        await ours(place, fleet.group, 500)
        spent = Spent([one.process for one in fleet.stewards])
        return await ours(place, fleet.group, 3000), spent.seconds()


async def _requests(place: BenchPlace, group: str) -> float:
    with place.fleet("ours", 2, SLOTS, group=group):
        await ours(place, group, 200)
        requests = Requests(place)
        await ours(place, group, 2000)
        return requests.total() / 2000


async def _tenants(place: BenchPlace, group: str, flood: int, how: str) -> list[Figure]:
    """Compare the waits of one tenant's jobs, idle and behind the flood of another."""
    with place.fleet("ours", 3, SHARED // 3, group=group):
        idle = await _others(place, group)
        ids = [new_id() for _ in range(flood)]
        flood_jobs = [(job, COST) for job in ids]
        await jobs.submit_all(place.wire, group, flood_jobs, AT_ONCE, key="flood")
        flooded = await _others(place, group)
        last = await place.wire.promise(ids[-1])
        if last is None or last.state != "pending":
            raise jobs.Unfinished("the flood was over before the others had come")
    behind = f"behind {flood} jobs of another tenant, {how}"
    figures: list[Figure] = []
    for what, before in idle.items():
        later = percentile(flooded[what], 0.95) / percentile(before, 0.95)
        figures += [
            figure("policy", f"{what}: idle to start, to be compared with {behind}", before, "ms"),
            figure("policy", f"{what}: {behind}", flooded[what], "ms"),
            figure("policy", f"{what}: {behind}: p95 / idle p95", [later], goals=at_most(worst=2)),
        ]
    return figures


async def _others(place: BenchPlace, group: str) -> dict[str, list[float]]:
    """Return the waits of another tenant's jobs in milliseconds, by how they come."""
    one = [await one_start(place, group, key="other") for _ in range(10 * TENS)]
    ten = [await _ten_starts(place, group) for _ in range(TENS)]
    return {"one by one": one, "ten at once": [wait for some in ten for wait in some]}


async def _ten_starts(place: BenchPlace, group: str) -> list[float]:
    ids, sent = [new_id() for _ in range(10)], time.time()
    ten = [(job, 0.0) for job in ids]
    await jobs.submit_all(place.wire, group, ten, len(ten), key="other")
    return [1000 * (one.began - sent) for one in await jobs.finish(place.wire, ids, 0.02)]


def _matcher(count: int) -> list[float]:
    """Return the processor time a job of the steward's matcher, a value for each thousand jobs.

    All keys have waiting jobs throughout; three in ten of them may have two jobs running.
    """
    keys = {f"k{number}": Limit(running=2) for number in range(0, KEYS, 3)}
    queue = FairQueue(GroupPolicy(keys=keys), lambda task: Attributes(key=task.partition("-")[0]))
    matcher, running, took = Matcher(queue), deque[str](), list[float]()
    matcher.join("member", BACKLOG)
    for number in range(count + BACKLOG):
        if number % KEYS == 0:
            began = time.process_time()
        now = number / KEYS
        matcher.offer(now, f"k{number * 7 % KEYS}-{number}", 0, now)
        if number < BACKLOG:
            continue
        matcher.credit("member", 1)
        for task, _ in matcher.match(now).get("member", ()):
            matcher.claimed(now, "member", task, 1)
            matcher.queue.occupy(task)
            running.append(task)
        if len(running) > BACKLOG // 10:
            matcher.queue.vacate(running.popleft())
        if number % KEYS == KEYS - 1:
            took.append(1e6 * (time.process_time() - began) / KEYS)
    return took
