"""How a run reaches containers: by `docker`, and by helper processes in them."""

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Self

import msgspec

from resonate_fleet.chaos.place import OPT_IN, PlaceFailed, until

#: Longest wait for one command, in seconds: images may have to be built or fetched first.
COMMAND_SECONDS: Final = 600.0
#: What Compose and we wait for a member's drain before it is killed, in seconds.
STOP_SECONDS: Final = 45
#: Longest wait for a container to be ready again, in seconds.
READY_SECONDS: Final = 180.0
#: Longest wait for a helper to start, and for a strike to take hold, in seconds.
HELPER_SECONDS: Final = 60.0
#: The helper runs each line that it reads as a program. It imports what programs use first.
PROGRAM: Final = """
import json, os, signal, sys
print("armed", flush=True)
for line in sys.stdin:
    print("heard", flush=True)
    exec(json.loads(line), {})
    print("done", flush=True)
"""
PROJECT_LABEL: Final = "com.docker.compose.project"
SERVICE_LABEL: Final = "com.docker.compose.service"
NUMBER_LABEL: Final = "com.docker.compose.container-number"


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A container as `docker inspect` shows it. `health` is empty where nothing checks it."""

    id: str
    name: str
    status: str
    started: str
    health: str
    labels: dict[str, str]

    @property
    def replica(self) -> str:
        """First part of its members' names: `worker-2`."""
        return f"{self.labels.get(SERVICE_LABEL)}-{self.labels.get(NUMBER_LABEL)}"

    @property
    def allowed(self) -> bool:
        return self.labels.get(OPT_IN[0]) == OPT_IN[1]


class Docker:
    """Runs `docker` and `docker compose` for one project. `env` goes to Compose's own variables.

    The Compose files are those of the working directory, or those that COMPOSE_FILE names.
    """

    def __init__(self, project: str, env: Mapping[str, str]) -> None:
        self.project = project
        self.env = {**os.environ, **env}

    async def run(self, *args: str, err: bool = False) -> str:
        """Return what `docker args...` printed; with `err` on both its streams.

        Raises:
            PlaceFailed: it ended with a failure, or not in time; the message ends as it ended.
        """
        if shutil.which("docker") is None:
            raise PlaceFailed("docker is not installed here")
        command = f"docker {' '.join(args)}"
        process = await asyncio.create_subprocess_exec(
            *("docker", *args),
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if err else asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, said = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
        except TimeoutError:
            raise PlaceFailed(f"{command}: not in {COMMAND_SECONDS:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            last = " | ".join((said or out).decode(errors="replace").strip().splitlines()[-3:])
            raise PlaceFailed(f"{command}: exit code {process.returncode}: {last}")
        return out.decode(errors="replace").strip()

    async def compose(self, *args: str) -> str:
        return await self.run("compose", "--project-name", self.project, *args)

    async def containers(self, service: str, *, all: bool = False) -> list[Container]:
        """Return the project's containers of a service: those that are up, or all."""
        labels = (f"label={PROJECT_LABEL}={self.project}", f"label={SERVICE_LABEL}={service}")
        filters = [word for label in labels for word in ("--filter", label)]
        ids = (await self.run("ps", *(["--all"] if all else []), "--quiet", *filters)).split()
        return await self.inspect(*ids) if ids else []

    async def left(self) -> str | None:
        """Name a container or volume that the project has on this engine."""
        mine = ("ls", "--quiet", "--filter", f"label={PROJECT_LABEL}={self.project}")
        for kind, *every in (("container", "--all"), ("volume",)):
            if found := await self.run(kind, *mine, *every):
                return f"{kind} {found.split()[0]}"
        return None

    async def inspect(self, *ids: str) -> list[Container]:
        raw: list[dict[str, Any]] = msgspec.json.decode(await self.run("inspect", *ids))
        return [_container(one) for one in raw]

    async def stop_and_start(self, one: Container) -> None:
        await self.run("stop", "--time", str(STOP_SECONDS), one.id)
        await self.run("start", one.id)

    async def healthy(self, one: Container, after: str = "") -> None:
        """Wait until it is healthy, and has been started again `after` that start."""

        async def healthy() -> bool:
            (now,) = await self.inspect(one.id)
            return now.health == "healthy" and now.started != after

        await until(healthy, READY_SECONDS, f"{one.name} healthy")


def _container(raw: dict[str, Any]) -> Container:
    return Container(
        id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        status=raw["State"]["Status"],
        started=raw["State"]["StartedAt"],
        health=raw["State"].get("Health", {}).get("Status", ""),
        labels=raw["Config"]["Labels"] or {},
    )


class Helper:
    """A helper process in a container, which `where` names: it waits for programs to run.

    `docker exec` and `kubectl exec` take from a tenth of a second to many seconds on a busy
    machine, and the job that a strike is meant for may end meanwhile. So the helper is started long
    before, and a strike is one line to it. It ends with its container, or by `close`.
    """

    def __init__(self, process: asyncio.subprocess.Process, where: str) -> None:
        assert process.stdin is not None  # noqa: S101 - `start` asks for it
        assert process.stdout is not None  # noqa: S101 - the same
        self._process, self._in, self._out = process, process.stdin, process.stdout
        self._where = where

    @classmethod
    async def start(cls, where: str, *into: str) -> Self:
        """Start it; `into` is a command that runs another one in the container, with an open input.

        Raises:
            PlaceFailed: nothing can be run there.
        """
        if shutil.which(into[0]) is None:
            raise PlaceFailed(f"{into[0]} is not installed here")
        process = await asyncio.create_subprocess_exec(
            *(*into, "python", "-IS", "-c", PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        one = cls(process, where)
        if not await one._answer("a process inside"):
            raise PlaceFailed(f"nothing can be run inside {where}")
        return one

    @property
    def alive(self) -> bool:
        return not self._out.at_eof()

    async def run(self, code: str) -> bool:
        """Run Python there; False where that has ended the helper itself, with its container.

        Raises:
            PlaceFailed: the helper had ended before.
        """
        with suppress(ConnectionError):
            self._in.write(json.dumps(code).encode() + b"\n")
            await self._in.drain()
        if not await self._answer("a strike"):
            raise PlaceFailed(f"{self._where} has ended")
        return await self._answer("a strike")

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _answer(self, what: str) -> bool:
        """Wait for the helper's next line; False where it has ended."""
        try:
            async with asyncio.timeout(HELPER_SECONDS):
                return bool(await self._out.readline())
        except BaseException as over:
            await self.close()
            if isinstance(over, TimeoutError):
                raise PlaceFailed(f"{self._where}: {what} not in {HELPER_SECONDS:g} s") from None
            raise
