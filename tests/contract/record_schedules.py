"""Records how the real server treats schedules: `RESONATE_SERVER_BIN=... python -m
tests.contract.record_schedules` writes `exchanges-schedules/*.jsonl` anew.

Virtual time, as in `exchanges/`. Two kinds of files: random sequences of requests in which
schedules run (`s..`), and expressions of every form at many times (`cron`).
"""

import json
import random
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from resonate_fleet.server.state import State
from resonate_fleet.server.store import Store
from tests.support.judge import Judge
from tests.support.processes import Processes
from tests.support.steps import KINDS, START, random_step

FOLDER = Path(__file__).parent / "exchanges-schedules"
FILES, STEPS, EXPRESSIONS = 8, 200, 400
#: A quarter of a century, in milliseconds.
LONG = 25 * 365 * 86_400_000

type Line = dict[str, Any]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as logs,
        Processes(Path(logs)) as processes,
        Judge.on(processes) as judge,
    ):
        for number in range(FILES):
            _write(f"s{number + 1:02}", _sequence(judge, random.Random(number)))
        _write("cron", _expressions(judge, random.Random(0)))


def _write(name: str, lines: list[Line]) -> None:
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (FOLDER / f"{name}.jsonl").write_text(text, encoding="utf-8")


def _sequence(judge: Judge, chance: random.Random) -> list[Line]:
    """Every second step is about a schedule; the embedded server only says which versions fit."""
    judge.call(0, "debug.reset", {})
    kinds = [kind for kind in KINDS if kind.startswith("schedule.")] * 4 + KINDS + ["tick"] * 6
    lines, now = [], START
    with closing(Store()) as store:
        state = State(store)
        for _ in range(STEPS):
            step = random_step(chance, kinds)
            now += step.pause
            if step.what == "tick":
                state.tick(now)
                lines.append({"at": now, "tick": True, **judge.tick(now)})
                continue
            kind, data = step.request(state, now)
            state.apply(now, kind, data)
            lines.append(_asked(judge, now, kind, data))
    return lines


def _expressions(judge: Judge, chance: random.Random) -> list[Line]:
    judge.call(0, "debug.reset", {})
    lines = []
    for number in range(EXPRESSIONS):
        now = START + chance.randrange(LONG)
        data = {
            "id": f"s{number}",
            "cron": _expression(chance),
            "promiseId": "p",
            "promiseTimeout": 1,
        }
        lines.append(_asked(judge, now, "schedule.create", data))
    return lines


def _asked(judge: Judge, now: int, kind: str, data: dict[str, Any]) -> Line:
    status, reply = judge.call(now, kind, data)
    return {"at": now, "send": {"kind": kind, "data": data}, "status": status, "data": reply}


def _expression(chance: random.Random) -> str:
    if chance.random() < 0.1:
        return chance.choice(["@yearly", "@monthly", " @weekly ", "@daily", "@hourly", "@never"])
    ranges = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (2020, 2030)]
    count = chance.choice([5, 5, 5, 6, 6, 7, 7, 4, 8])
    chosen = ranges[1:6] if count == 5 else (ranges * 2)[:count]
    return chance.choice([" ", " ", " ", "  "]).join(_field(chance, *one) for one in chosen)


def _field(chance: random.Random, low: int, high: int) -> str:
    if chance.random() < 0.5:
        return "*"
    parts = [_part(chance, low, high) for _ in range(chance.choice([1, 1, 1, 2, 3]))]
    return chance.choice([",", ",", ",", ",", ", "]).join(parts)


def _part(chance: random.Random, low: int, high: int) -> str:
    first, last = sorted((chance.randint(low, high), chance.randint(low, high)))
    odd = ["?", "0", str(high + 1), f"{last}-{first}", f"{first}/0", "x", "Mon/2", "*-3", "-1", "L"]
    named = ["Jan", "march", "DEC", "Mon-Fri", "sat", "Thurs", "sunday-Tues/2", "feb-may/2"]
    usual = [str(first), f"{first}-{last}", f"*/{last or 1}", f"{first}/3", f"{first}-{last}/2"]
    return chance.choice(chance.choices([usual, named, odd], [12, 2, 1])[0])


if __name__ == "__main__":
    main()
