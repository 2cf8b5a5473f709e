"""What the server's settings cost and bring: one setting at a time, the others as we run them.

    python -m resonate_fleet.bench.tuning [--server-bin PATH] [SETTING ...]

Prints one Markdown table a setting. `docs/tuning.md` keeps the figures that chose ours.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from resonate_fleet.bench import bound, jobs, latency, loads
from resonate_fleet.bench.place import Member, Place, end, open_place
from resonate_fleet.contract.wire import Wire

#: Columns of a row, after the setting's value.
type Row = dict[str, str]
type Probe = Callable[[Place, Wire], Awaitable[Row]]

IDLE_SECONDS, WATCH_SECONDS = 4.0, 10.0


async def start_and_idle(place: Place, wire: Wire) -> Row:
    """Idle to start, and the server's processor while nothing happens."""
    group = place.new_group("tuning")
    members = place.members("ours", group, 1, 4)
    waits = [await latency.one_start(wire, group) for _ in range(25)]
    busy = await _server_busy(place, IDLE_SECONDS)
    end(members)
    shown = f"{1000 * statistics.median(waits[5:]):.1f} ms"
    return {"idle to start, p50": shown, "idle server": f"{100 * busy:.1f} % of a core"}


async def waiting_backlog(place: Place, wire: Wire) -> Row:
    """Messages and processor for 2,000 jobs that wait while the members are busy."""
    group = place.new_group("tuning")
    members = place.members("ours", group, 1, 1)
    await jobs.submit(wire, group, [30.0] * 2000, 16)
    sent = place.server_metric("resonate_messages_total")
    began = time.monotonic()
    busy = await _server_busy(place, WATCH_SECONDS)
    sent = (place.server_metric("resonate_messages_total") - sent) / (time.monotonic() - began)
    end(members)
    return {"messages": f"{sent:.0f} a second", "server": f"{100 * busy:.1f} % of a core"}


async def busy(place: Place, wire: Wire) -> Row:
    """Processor time of the server for no-op jobs, and their rate."""
    group, count = place.new_group("tuning"), 1500
    members = place.members("ours", group, 2, 16)
    await _rate(wire, group, 200)
    before = place.server.cpu_seconds() if place.server else 0.0
    rate = await _rate(wire, group, count)
    spent = (place.server.cpu_seconds() if place.server else 0.0) - before
    end(members)
    return {"server, a job": f"{1000 * spent / count:.2f} ms", "rate": f"{rate:.0f} a second"}


async def hints_only(place: Place, wire: Wire) -> Row:
    """Makespan over the bound with and without the right to search."""
    row: Row = {}
    for what, token in (("may search", _token("")), ("may not", _token("0"))):
        group = place.new_group("tuning")
        members = [
            place.start("ours", group, 1, RESONATE_TOKEN=token, WORKER_LOG_LEVEL="error")
            for _ in range(3)
        ]
        ratios = await _ratios(place, wire, group, members)
        row[what] = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        end(members)
    return row


async def _ratios(place: Place, wire: Wire, group: str, members: Sequence[Member]) -> list[float]:
    for member in members:
        place.wait_ready(member)
    ratios = []
    for seed in range(5):
        costs = loads.uniform(seed, 24)
        ids = await jobs.submit(wire, group, costs)
        await jobs.all_done(wire, group)
        ratios.append(jobs.makespan(await jobs.read(wire, ids)) / bound.makespan(costs, 3))
    return ratios


async def _rate(wire: Wire, group: str, count: int) -> float:
    ids = await jobs.submit(wire, group, [0.0] * count, 32)
    await jobs.all_done(wire, group, 0.05)
    return count / jobs.makespan(await jobs.read(wire, [ids[0], *ids[-100:]]))


async def _server_busy(place: Place, seconds: float) -> float:
    """Return the share of a core that the server uses in the next seconds."""
    if place.server is None:
        return 0.0
    before, began = place.server.cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    return (place.server.cpu_seconds() - before) / (time.monotonic() - began)


def _token(prefix: str) -> str:
    """Return a token that nobody signed, for a server that takes those (`auth.publickey` = `none`).

    It is good for ids that begin with `prefix`; one with a prefix may not search.
    """
    claims = {"exp": int(time.time()) + 3600, "prefix": prefix}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join(part.rstrip("=") for part in coded) + ".unsigned"


#: Setting, the values to try, what to look at.
SETTINGS: dict[str, tuple[str, tuple[str, ...], Probe]] = {
    "messages": ("RESONATE_MESSAGES__POLL_INTERVAL", ("1", "5", "20", "100"), start_and_idle),
    "retry": (
        "RESONATE_TASKS__RETRY_TIMEOUT",
        ("500", "5000", "30000", "60000"),
        waiting_backlog,
    ),
    "batch": ("RESONATE_MESSAGES__BATCH_SIZE", ("10", "100", "1000"), busy),
    "timeouts": ("RESONATE_TIMEOUTS__POLL_INTERVAL", ("50", "200", "1000"), start_and_idle),
    "level": ("RESONATE_LEVEL", ("info", "warn"), busy),
    "search": ("RESONATE_TASKS__RETRY_TIMEOUT", ("500", "5000", "30000"), hints_only),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the settings asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m resonate_fleet.bench.tuning", description=__doc__
    )
    parser.add_argument("settings", nargs="*", choices=[*SETTINGS, []], metavar="SETTING")
    parser.add_argument("--server-bin", type=os.path.abspath, metavar="PATH")
    asked = parser.parse_args(argv)
    for name in asked.settings or SETTINGS:
        setting, values, probe = SETTINGS[name]
        rows = [(value, _one(asked.server_bin, name, setting, value, probe)) for value in values]
        _table(setting, rows)
    return 0


def _one(binary: str | None, name: str, setting: str, value: str, probe: Probe) -> Row:
    env = {setting: value}
    token = None
    if name == "search":
        env["RESONATE_AUTH__PUBLICKEY"] = "none"
        token = _token("")

    async def run(place: Place) -> Row:
        async with Wire(place.url, token) as wire:
            return await probe(place, wire)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tuning-")))
        return asyncio.run(run(open_place(stack, folder, None, binary, **env)))


def _table(setting: str, rows: list[tuple[str, Row]]) -> None:
    columns = list(rows[0][1])
    lines = [f"| `{setting}` | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    lines += [f"| {value} | {' | '.join(row[c] for c in columns)} |" for value, row in rows]
    sys.stdout.write("\n".join(lines) + "\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
