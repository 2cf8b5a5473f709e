"""What a policy costs groups with one and without, and what a flood of one tenant costs others."""

import time
from collections import deque

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import BenchFigures
from resonate_fleet.bench.latency import one_start, starts
from resonate_fleet.bench.place import Asked, BenchPlace, Requests
from resonate_fleet.bench.processes import Spent
from resonate_fleet.bench.throughput import AT_ONCE, SLOTS, ours
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.report.figures import percentile
from resonate_fleet.steward.fair import FairQueue
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.policy import Attributes, GroupPolicy, Limit

#: Jobs of the flood, what each takes, and how often ten of another tenant come meanwhile.
FLOOD, COST, TENS = 10_000, 0.05, 5
#: Slots of the fleet, and those that the flood may have where it is limited.
SHARED, FLOOD_SLOTS = 12, 9
#: Keys of the matcher alone, and jobs that wait in it throughout.
KEYS, BACKLOG = 1000, 10_000


async def policy(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Measure processes, then the matcher alone."""
    file = place.folder / "policy.toml"
    group, limited = place.named("policy"), place.named("limited")
    file.write_text(f"[groups.{group}]\n[groups.{limited}.keys.flood]\nrunning = {FLOOD_SLOTS}\n")
    await _elsewhere(place, str(file), asked.times(5), found)
    place.steward_env = {"STEWARD_POLICY": str(file)}
    waits = await starts(place, "ours", asked.times(100), group)
    found.add("idle to start, with a policy", waits, "ms", "p50 <= 12")
    async with place.fleet("ours", 2, SLOTS, group=group):
        await ours(place, group, 200)
        requests = Requests(place)
        await ours(place, group, 2000)
        found.add("requests a job, with a policy", requests.total() / 2000, "", "worst <= 4.1")
    flood = asked.jobs or FLOOD
    await _tenants(place, group, flood, "in turns", found)
    await _tenants(place, limited, flood, f"{FLOOD_SLOTS} of {SHARED} slots at most", found)
    alone = _matcher(10 * KEYS if asked.jobs else 1000 * KEYS)
    found.add(f"the matcher alone, {KEYS} keys with limits, a job", alone, "us", "p50 <= 50")


async def _elsewhere(place: BenchPlace, file: str, times: int, found: BenchFigures) -> None:
    """Run no-op jobs in turn with a policy of another group and without any."""
    rates: dict[str, list[float]] = {file: [], "": []}
    seconds: dict[str, list[float]] = {file: [], "": []}
    for number in range(times):
        for given in ("", file) if number % 2 else (file, ""):
            place.steward_env = {"STEWARD_POLICY": given}
            async with place.fleet("ours", 2, SLOTS) as fleet:
                await ours(place, fleet.group, 500)
                spent = Spent(*place.stewards)
                rates[given].append(await ours(place, fleet.group, 3000))
                seconds[given].append(spent.seconds())
    ratios = [[a / b for a, b in zip(*some.values(), strict=True)] for some in (rates, seconds)]
    found.add("throughput, policy of another group / none", ratios[0])
    what = "steward's processor time, policy of another group / none"
    found.add(what, ratios[1], goals="median <= 1.02")


async def _tenants(
    place: BenchPlace, group: str, flood: int, how: str, found: BenchFigures
) -> None:
    """Compare the waits of one tenant's jobs, idle and behind the flood of another."""
    async with place.fleet("ours", 3, SHARED // 3, group=group):
        idle = await _others(place, group)
        ids = await jobs.submit(place.wire, group, [COST] * flood, AT_ONCE, key="flood")
        flooded = await _others(place, group)
        last = await place.wire.promise(ids[-1])
        if last is None or last.state != "pending":
            raise CommandFailed("the flood was over before the others had come")
    behind = f"behind {flood} jobs of another tenant, {how}"
    for what, before in idle.items():
        later = percentile(flooded[what], 0.95) / percentile(before, 0.95)
        found.add(f"{what}: idle to start, to be compared with {behind}", before, "ms")
        found.add(f"{what}: {behind}", flooded[what], "ms")
        found.add(f"{what}: {behind}: p95 / idle p95", later, goals="worst <= 2")


async def _others(place: BenchPlace, group: str) -> dict[str, list[float]]:
    """Return the waits of another tenant's jobs in milliseconds, by how they come."""
    one = [await one_start(place, group, key="other") for _ in range(10 * TENS)]
    ten = list[float]()
    for _ in range(TENS):
        sent = time.time()
        ids = await jobs.submit(place.wire, group, [0.0] * 10, 10, key="other")
        ten += [1000 * (one.began - sent) for one in await jobs.finish(place.wire, ids, 0.02)]
    return {"one by one": one, "ten at once": ten}


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
            matcher.queue.limits.occupy(task)
            running.append(task)
        if len(running) > BACKLOG // 10:
            matcher.queue.limits.vacate(running.popleft())
        if number % KEYS == KEYS - 1:
            took.append(1e6 * (time.process_time() - began) / KEYS)
    return took
