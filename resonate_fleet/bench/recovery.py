"""How soon a job starts elsewhere, and what a fault costs.

`python -m resonate_fleet.bench.recovery` starts fleets of real processes, does the faults with real
signals, and prints a Markdown table.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from resonate_fleet.bench import faults
from resonate_fleet.bench.faults import Outcome, Recovery
from resonate_fleet.chaos.shape import Shape
from resonate_fleet.contract import exits

#: name, bar in words.
MEASURED = {
    "kill": "p50 <= 0.5 s, worst <= 1.5 s",
    "kill-alone": "<= ttl + 2 s",
    "drain": "<= 1 s after the hand-back",
    "server": "0 lost, 0 doubled, members back <= 2 s",
    "poison": "parked; others <= 1.3 x bound",
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m resonate_fleet.bench.recovery", description=__doc__
    )
    parser.add_argument("--server-bin", help="a real server's binary; else the embedded one")
    parser.add_argument("--only", action="append", choices=MEASURED, help="repeatable")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10, help="server restarts")
    asked = parser.parse_args(arguments)
    for name in asked.only or MEASURED:
        with tempfile.TemporaryDirectory(prefix="recovery-") as root:
            text = asyncio.run(_measure(name, asked, Path(root)))
        sys.stdout.write(f"| {name} | {MEASURED[name]} | {text} |\n")
        sys.stdout.flush()
    return exits.OK


async def _measure(name: str, asked: argparse.Namespace, root: Path) -> str:
    if name == "kill":
        shape = Shape(members=3, lease=60.0, server_bin=asked.server_bin)
        return _times(await faults.kills(shape, root, asked.kills))
    if name == "kill-alone":
        shape = Shape(members=3, lease=6.0, steward=False, server_bin=asked.server_bin)
        return "ttl 6 s: " + _times(await faults.kills(shape, root, max(1, asked.kills // 4)))
    if name == "drain":
        shape = Shape(members=3, drain=0.5, server_bin=asked.server_bin)
        return _times(await faults.hand_backs(shape, root, max(1, asked.kills // 2)))
    if name == "server":
        shape = Shape(members=3, slots=4, lease=20.0, server_bin=asked.server_bin)
        return _outcome(await faults.server_restarts(shape, root, asked.rounds))
    env = {"WORKER_FUNCTIONS": "resonate_fleet.bench.poison"}
    shape = Shape(members=3, server_bin=asked.server_bin, worker_env=env)
    outcome, parked = await faults.poison(shape, root)
    return f"parked after {parked.crashes} crashes; others: {_outcome(outcome)}"


def _times(found: list[Recovery]) -> str:
    took = [one.took for one in found]
    text = f"p50 {statistics.median(took):.2f} s, worst {max(took):.2f} s of {len(took)}"
    off = [one.took - one.predicted for one in found if one.predicted is not None]
    if off:
        predicted = statistics.median(one.predicted for one in found if one.predicted is not None)
        text += f"; predicted p50 {predicted:.2f} s, furthest off {max(map(abs, off)):.2f} s"
    return text


def _outcome(one: Outcome) -> str:
    text = f"{one.jobs} jobs in {one.seconds:.1f} s, {one.lost} lost, {one.doubled} doubled, "
    text += f"{one.redone} redone"
    if one.bound is not None:
        text += f", {one.seconds / one.bound:.2f} x bound"
    if one.bound_there is not None:
        text += f" ({one.seconds / one.bound_there:.2f} x that of the slots there were)"
    if one.reconnects:
        text += f"; back p50 {statistics.median(one.reconnects):.2f} s, "
        text += f"worst {max(one.reconnects):.2f} s of {len(one.reconnects)}"
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
