"""What commands cost and how soon they work: `fleet submit --jobs`, `cancel`, `store prune`."""

import asyncio
import re
import time
from collections import Counter
from itertools import cycle, islice
from typing import Any

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import BenchFigures
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.bench.processes import Process, Spent, WorkerProcess, fleet_command, until
from resonate_fleet.chaos.child import room_command
from resonate_fleet.chaos.ports import HOST
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.journal import Claimed, Ended
from resonate_fleet.report.figures import percentile

#: When the command that submits a file is killed: at these shares of all lines.
CUTS = (0.3, 0.6)
#: Functions whose jobs are cancelled, in turn. The last two run no body then, but the last one's
#: child does.
KINDS = ("busy_in_thread", "waits_on_loop", "busy_in_step", "sleeps", "awaits_busy")
BODIES, SECONDS, SLOTS = 20, 300.0, 24
#: Beside a prune: jobs a second, seconds of them before it, and how long each takes.
RATE, ALONE, COST = 20.0, 60.0, 0.01
#: A prepared history ends now and lasts a day: this leaves an hour of it.
AGE = "1h"


async def batch(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Submit a file to a group that nobody serves; the command is killed twice in the middle."""
    count, group = asked.jobs or 100_000, place.named("batch")
    file = place.folder / "jobs.jsonl"
    lines = (f'{{"function": "child", "args": [{number}]}}\n' for number in range(count))
    file.write_text("".join(lines))
    words = ("submit", "--jobs", str(file), "--group", group, "--server", place.url)

    def submit() -> Process:
        env = {"CLIENT_LOG_FORMAT": "off"}
        command = room_command("commands.main", *words)
        return place.start(Process, place.named("submit"), command, env)

    for cut in CUTS:
        process = submit()
        await _created(place, process, int(cut * count))
        process.kill()
    began, process = time.monotonic(), submit()
    spent = {"the server's": Spent(place.server), "the command's": Spent(process)}
    memory, shares = list[int](), dict[str, float]()
    while process.running:
        memory.append(process.memory_bytes())
        shares = {whose: one.share() for whose, one in spent.items()}
        await asyncio.sleep(0.1)
    took = time.monotonic() - began
    there = [task.id async for task in place.wire.all_tasks("pending")]
    if len(there) != count or len(set(there)) != count:
        raise CommandFailed(f"{len(there)} jobs are there:\n{process.tail()}")
    what = f"{count} lines, killed twice"
    found.add(f"{what}: jobs that are there", len(there))
    found.add(f"{what}: lines of the last run", count / took, "a second")
    for whose, share in shares.items():
        found.add(f"{whose} share of a core", share)
    growth = memory[-2] / memory[len(memory) // 4]
    found.add("memory at the end / after a quarter", growth, goals="worst <= 1.1")
    found.add("memory at most", max(memory) / 1e6, "MB")


async def _created(place: BenchPlace, process: Process, count: int) -> None:
    """Wait until the server has created so many more jobs."""
    before = place.server_requests()

    def more() -> int:
        return (place.server_requests() - before)["promise.create", "200"]

    await until("its submissions", lambda: more() >= count, process)


async def cancel(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Cancel `BODIES` jobs of all kinds by one command; count from its start to each one's end."""
    took, doubled = list[float](), 0
    async with place.fleet("ours", 1, SLOTS) as fleet:
        (member,) = fleet.members
        for _ in range(asked.times(10)):
            took += await _cancel(place, fleet.group, member)
            ended = [one.task for one in member.journal(Ended) if one.outcome != "suspended"]
            doubled += sum(count > 1 for count in Counter(ended).values())
            used = await jobs.submit(place.wire, fleet.group, [0.0] * SLOTS)
            await jobs.finish(place.wire, used)
    what = f"{BODIES} jobs at work, from the command's start to each one's stop"
    found.add(what, took, "ms", "p95 <= 1000")
    found.add("bodies with two outcomes", doubled, goals="worst <= 0")


async def _cancel(place: BenchPlace, group: str, member: WorkerProcess) -> list[float]:
    """Return the milliseconds to the stop of each body, and to the end of jobs without one."""
    made = {new_id(): kind for kind in islice(cycle(KINDS), BODIES)}
    for job, kind in made.items():
        await jobs.submit_call(place.wire, group, job, kind, SECONDS)
    without = {job for job, kind in made.items() if kind in KINDS[3:]}
    bodies = made.keys() - without
    bodies |= {f"{job}:1" for job, kind in made.items() if kind == KINDS[-1]}

    def those(kind: type[Claimed | Ended]) -> set[str]:
        return {line.task for line in member.journal(kind)}

    await until("their work", lambda: bodies <= those(Claimed) and without <= those(Ended))
    began, pages = time.time(), f"http://{HOST}:{place.stewards[0].port}"
    await fleet_command("cancel", *made, "--server", place.url, "--steward", pages)
    await until("their stop", lambda: bodies <= those(Ended))
    ends = [line.at for line in member.journal(Ended) if line.task in bodies]
    ends += [await _cancelled_at(place, job) for job in without]
    return [1000 * (end - began) for end in ends]


async def _cancelled_at(place: BenchPlace, job: str) -> float:
    promise = await place.wire.promise(job)
    if promise is None or promise.state != "rejected_canceled" or promise.settled_at is None:
        raise CommandFailed(f"{job} is not cancelled")
    return promise.settled_at / 1000


async def prune(place: BenchPlace, _: Asked, found: BenchFigures) -> None:
    """Prune the prepared store while jobs are submitted steadily; compare what starts wait."""
    async with place.fleet("ours", 3, 4) as fleet:
        await _starts(place, fleet.group, asyncio.create_task(asyncio.sleep(5)))
        before = place.server_requests()
        alone = await _starts(place, fleet.group, asyncio.create_task(asyncio.sleep(ALONE)))
        words = ("store", "prune", place.store, "--older-than", AGE, "--yes")
        pruning = asyncio.create_task(fleet_command(*words))
        beside = await _starts(place, fleet.group, pruning)
        since = place.server_requests() - before
    said = re.search(
        r"(\d+) jobs [^,]*, \d+ promises, are gone after ([\d.]+) s\."
        r"\s+It was ([\d.]+) MB and is ([\d.]+) MB, of them ([\d.]+) MB free",
        pruning.result(),
    )
    if said is None:
        raise CommandFailed(f"the prune said something else: {pruning.result()}")
    deleted, seconds, was, now, free = map(float, said.groups())
    found.add("starts without a prune", alone, "ms")
    found.add("starts beside a prune", beside, "ms")
    later = percentile(beside, 0.99) - percentile(alone, 0.99)
    found.add("their p99, later by", later, "ms", "worst <= 50")
    found.add("jobs deleted", deleted)
    found.add("jobs deleted", deleted / seconds, "a second")
    failed = sum(count for (_, status), count in since.items() if status >= "500")
    found.add("requests that got 500", failed)
    found.add("size before", was, "MB")
    found.add("size afterwards", now, "MB")
    found.add("of it free for new jobs", free, "MB")


async def _starts(place: BenchPlace, group: str, over: "asyncio.Task[Any]") -> list[float]:
    """Submit steadily until that task is done; return what each start waited, in milliseconds.

    The wait counts from when the job was due, so it includes what delayed the submission.
    """
    due = await jobs.submit_steadily(place.wire, group, RATE, COST, over)
    done = await jobs.finish(place.wire, list(due))
    return [1000 * (one.began - due[one.id]) for one in done]
