"""`python -m resonate_fleet.bench.looks`: what the steward's look costs with a backlog and a past.

Fills a server with jobs that wait and jobs that are over, then looks as the steward does.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

from resonate_fleet.chaos.processes import LocalFleet
from resonate_fleet.chaos.shape import Shape
from resonate_fleet.contract import exits
from resonate_fleet.contract.wire import Wire
from resonate_fleet.steward.looks import REST, Looks

ABREAST = 64
ROUNDS = 5


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m resonate_fleet.bench.looks", description=__doc__
    )
    parser.add_argument("--server-bin", help="a real server's binary; else the embedded one")
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--over", type=int, default=20_000)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="looks-") as root:
        asyncio.run(_measure(asked, Path(root)))
    return exits.OK


async def _measure(asked: argparse.Namespace, root: Path) -> None:
    shape = Shape(members=0, steward=False, server_bin=asked.server_bin)
    async with LocalFleet(shape, root) as fleet, Wire(fleet.url, timeout=60) as wire:
        # A promise that is created after its own timeout is over at once, its task with it.
        await _fill(wire, "over", asked.over, timeout_at=1)
        await _fill(wire, "waits", asked.waiting, timeout_at=int((time.time() + 3600) * 1000))
        looks = Looks(wire)
        _say("look", "seconds", "own CPU seconds", "waiting", "pause after it")
        for number in range(1, ROUNDS + 1):
            began, cpu = time.monotonic(), _cpu()
            view = await looks.look()
            spent = time.monotonic() - began
            waiting = sum(counts.waiting for counts in view.groups.values())
            _say(str(number), f"{spent:.3f}", f"{_cpu() - cpu:.3f}", str(waiting),
                 f">= {REST * spent:.2f} s")  # fmt: skip


async def _fill(wire: Wire, prefix: str, count: int, timeout_at: int) -> None:
    gate = asyncio.Semaphore(ABREAST)
    tags = {"resonate:target": "poll://any@worker-group"}

    async def one(number: int) -> None:
        async with gate:
            await wire.create_promise(f"{prefix}-{number:06}", timeout_at, {"func": "f"}, tags)

    await asyncio.gather(*(one(number) for number in range(count)))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _say(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
