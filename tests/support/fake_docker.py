"""Stands in for `docker`: containers are lines of a file, and what runs inside only says so.

Run as a command; `FAKE_DOCKER` names the folder with its state. A container that is killed from
inside is started again, as its restart policy has it; one that is killed by hand is not. What an
armed process is told to run is written down and not run: `kill -1` means every process.
"""

import fcntl
import json
import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT, SERVICE, NUMBER = (
    f"com.docker.compose.{key}" for key in ("project", "service", "container-number")
)
Containers = dict[str, dict[str, Any]]


@contextmanager
def state() -> Iterator[Containers]:
    """Containers by id, as they are now; what is changed is kept."""
    folder = Path(os.environ["FAKE_DOCKER"])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = folder / "containers.json"
        found: Containers = json.loads(file.read_text()) if file.exists() else {}
        yield found
        new = folder / "containers.new"  # whoever is killed meanwhile leaves the old one
        new.write_text(json.dumps(found))
        new.replace(file)


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def tell(*words: str) -> None:
    """Write down what was asked for."""
    with (Path(os.environ["FAKE_DOCKER"]) / "asked.jsonl").open("a") as file:
        file.write(json.dumps(words) + "\n")


def started(one: dict[str, Any]) -> None:
    one["State"]["StartedAt"] = str(int(one["State"]["StartedAt"]) + 1)
    one["State"]["Status"] = "running"


def scaled(found: Containers, project: str, service: str, count: int) -> None:
    there = [one for one in found.values() if one["Config"]["Labels"][SERVICE] == service]
    for number in range(len(there) + 1, count + 1):
        labels = {PROJECT: project, SERVICE: service, NUMBER: str(number)}
        found[f"{service}{number}"] = {
            "Id": f"{service}{number}",
            "Name": f"/{project}-{service}-{number}",
            "State": {"Status": "running", "StartedAt": "1", "Health": {"Status": "healthy"}},
            "Config": {"Labels": labels | {"fleet.chaos": "allowed"}},
        }
    for one in there[count:]:
        del found[one["Id"]]


def compose(project: str, verb: str, *rest: str) -> None:
    if verb == "config":
        say(json.dumps({"services": {"server": {"environment": {}}}}))
    with state() as found:
        if verb == "up":
            counts = re.findall(r"(\w+)=(\d+)", " ".join(rest))
            for service, count in [*([] if "--no-deps" in rest else [("server", "1")]), *counts]:
                scaled(found, project, service, int(count))
        if verb == "stop":
            for one in found.values():
                if one["Config"]["Labels"][SERVICE] == rest[0]:
                    one["State"]["Status"] = "exited"
        if verb == "down":
            found.clear()


def main(verb: str, *rest: str) -> int:
    if verb == "compose":
        compose(*rest[1:])
        return 0
    if verb == "exec" and rest[0] == "--interactive":
        return armed(rest[1])
    tell(verb, *rest)
    with state() as found:
        return on_containers(found, verb, *rest)


def on_containers(found: Containers, verb: str, *rest: str) -> int:
    if verb == "ps":
        labels = dict(word[6:].split("=", 1) for word in rest if word.startswith("label="))
        for one in found.values():
            up = "--all" in rest or one["State"]["Status"] == "running"
            if up and labels.items() <= one["Config"]["Labels"].items():
                say(one["Id"])
    elif verb == "inspect":
        say(json.dumps([found[one] for one in rest]))
    elif verb == "logs":
        say(f"{rest[2]} is worker-{rest[2][-1]}-s{rest[1]}")
    elif verb == "exec" and rest[1] == "sh":
        started(found[rest[0]])
        return 137
    elif verb == "exec":  # does this steward serve? the one that has been up the longest
        stewards = [one for one in found.values() if "steward" in one["Id"]]
        say(min(stewards, key=lambda one: int(one["State"]["StartedAt"]))["Id"] == rest[0])
    elif verb in ("kill", "stop"):
        found[rest[-1]]["State"]["Status"] = "exited"
    elif verb == "start":
        started(found[rest[-1]])
    return 0


def armed(container: str) -> int:
    """Wait inside a container until it is started again."""
    with state() as found:
        start = found[container]["State"]
    say("armed")
    while True:
        with state() as found:
            if found[container]["State"] != start:
                return 137
        if not select.select([sys.stdin], [], [], 0.05)[0]:
            continue
        code = json.loads(sys.stdin.readline() or '""')
        tell("inside", container, code)
        say("heard")
        if not code or "SIGKILL" in code or "memfd" in code:
            with state() as found:
                started(found[container])
            return 137
        say("done")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
