"""`python -m tests.support.container_figures`: the tables of docs/measurements/containers.md.

Needs what the tests on Compose need (`. .ci/compose-env`) and a machine at rest.
"""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

from tests.support.compose import Replica, Stack, build_images, docker

ROLES = ("worker", "steward", "client", "devserver", "chaos")
SERVICES = ("server", "steward", "worker")
#: Jobs of the load: no work in them, so that the fleet does nothing but take and give.
JOBS = 2000
STARTS = 5
MEGABYTE = 1_000_000


def main() -> int:
    build_images()
    write("image", "MB", "beyond the base", rows=sizes())
    with Stack() as stack:
        took = [seconds_of_up(stack) for _ in range(STARTS)]
        say(f"`docker compose up --detach --wait`, three workers, images there: {spread(took)} s.")
        write("container", "start to healthy, s", rows=starts(stack))
        time.sleep(10)  # caches and the first survey are behind it
        rest = memory(stack)
        with watched(stack) as most:
            stack.submit("--count", str(JOBS), "--cost", "0", "--wait")
        rows = [(name, f"{rest[name]:.0f}", f"{most[name]:.0f}") for name in sorted(rest)]
        write("container", "MB at rest", f"MB at most, {JOBS} jobs of 0 s", rows=rows)
    return 0


def sizes() -> list[tuple[str, ...]]:
    base = _size(os.environ.get("PYTHON_IMAGE", "python:3.13-slim"))
    found = {role: _size(f"resonate-fleet/{role}:0.1.0") for role in ROLES}
    return [
        (role, f"{size / MEGABYTE:.0f}", f"{(size - base) / MEGABYTE:.0f}")
        for role, size in found.items()
    ]


def _size(image: str) -> int:
    return int(docker("image", "inspect", "--format", "{{.Size}}", image))


def seconds_of_up(stack: Stack) -> float:
    stack.compose("down", "--volumes", "--timeout", "3")
    began = time.monotonic()
    stack.up()
    return time.monotonic() - began


def starts(stack: Stack) -> list[tuple[str, ...]]:
    found = {one.name.removeprefix(f"{stack.project}-"): _to_healthy(one) for one in every(stack)}
    return [(name, f"{seconds:.1f}") for name, seconds in sorted(found.items())]


def every(stack: Stack) -> Iterator[Replica]:
    for service in SERVICES:
        yield from stack.replicas(service)


def _to_healthy(one: Replica) -> float:
    """Return seconds from the start of the process to the first good health check."""
    checks = json.loads(docker("inspect", "--format", "{{json .State.Health.Log}}", one.id))
    good = min(_time(check["End"]) for check in checks if check["ExitCode"] == 0)
    return good - _time(one.inspect(".State.StartedAt"))


def _time(text: str) -> float:
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text)).timestamp()


def memory(stack: Stack) -> dict[str, float]:
    """Return MB of each container as the engine counts them, without the file cache."""
    ids = [one.id for one in every(stack)]
    lines = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *ids)
    found = [line.split() for line in lines.splitlines()]
    return {name.removeprefix(f"{stack.project}-"): _megabytes(usage) for name, usage, *_ in found}


def _megabytes(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()  # type: ignore[union-attr] # always so
    return float(number) * {"B": 1e-6, "KiB": 1024e-6, "MiB": 1.048576, "GiB": 1073.7}[unit]


@contextmanager
def watched(stack: Stack) -> Iterator[dict[str, float]]:
    """Look at the memory again and again meanwhile; the dictionary keeps the most of each."""
    most: dict[str, float] = {}
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for name, used in memory(stack).items():
                most[name] = max(most.get(name, 0.0), used)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield most
    finally:
        over.set()
        looking.join()


def spread(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}, median {median(values):.1f}"


def write(*columns: str, rows: Sequence[tuple[str, ...]]) -> None:
    say("")
    for row in (columns, ("---",) * len(columns), *rows):
        say(f"| {' | '.join(row)} |")
    say("")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    sys.exit(main())
