"""A file of many jobs, submitted by a command that is killed twice in the middle."""

import asyncio
import time
from pathlib import Path

from resonate_fleet.bench.figures import Figure, at_most, figure
from resonate_fleet.bench.jobs import Unfinished
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.bench.processes import Process, Spent

#: When the command is killed: at these shares of all lines.
CUTS = (0.3, 0.6)


async def batch(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Submit the file to a group that nobody serves, until the third run of the command ends."""
    count, group = asked.jobs or 100_000, place.new_group("batch")
    file = place.processes.folder / "jobs.jsonl"
    lines = (f'{{"function": "child", "args": [{number}]}}\n' for number in range(count))
    file.write_text("".join(lines))
    for cut in CUTS:
        process = _submit(place, group, file)
        await _watched(place, process, int(cut * count))
        process.kill()
    began, process = time.monotonic(), _submit(place, group, file)
    server = Spent([place.server] if place.server else [])
    client = Spent([process])
    memory, (clients, servers) = [], (0.0, 0.0)
    while process.running:
        memory.append(process.memory_bytes())
        clients, servers = client.share(), server.share()
        await asyncio.sleep(0.1)
    took = time.monotonic() - began
    there = [task.id async for task in place.wire.all_tasks("pending")]
    if len(there) != count or len(set(there)) != count:
        raise Unfinished(f"{len(there)} jobs are there:\n{process.tail()}")
    growth = memory[-2] / memory[len(memory) // 4]
    what = f"{count} lines, killed twice"
    return [
        figure("batch", f"{what}: jobs that are there", [float(len(there))]),
        figure("batch", f"{what}: lines of the last run", [count / took], "a second"),
        figure("batch", "the server's share of a core", [servers]),
        figure("batch", "the command's share of a core", [clients]),
        figure("batch", "memory at the end / after a quarter", [growth], goals=at_most(worst=1.1)),
        figure("batch", "memory at most", [max(memory) / 1e6], "MB"),
    ]


def _submit(place: BenchPlace, group: str, file: Path) -> Process:
    asked = ("submit", "--jobs", str(file), "--group", group, "--server", place.url)
    env = {"CLIENT_LOG_FORMAT": "off"}
    return place.processes.python("submit", "resonate_fleet.commands.main", env, *asked)


async def _watched(place: BenchPlace, process: Process, created: int) -> None:
    """Wait until the server has been sent so many more."""
    before = place.server_requests()["promise.create", "200"]
    while place.server_requests()["promise.create", "200"] - before < created:
        if not process.running:
            raise Unfinished(f"it ended before it could be killed:\n{process.tail()}")
        await asyncio.sleep(0.02)
