"""`fleet up`: a fleet on this machine until Ctrl-C."""

import asyncio
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resonate_fleet.chaos.child import Child, StartFailed, room_command
from resonate_fleet.chaos.ports import HOST
from resonate_fleet.chaos.processes import READY_SECONDS, LocalFleet
from resonate_fleet.chaos.shape import Shape
from resonate_fleet.contract import exits
from resonate_fleet.contract.tuning import DRAIN_SECONDS, LEASE_SECONDS, SERVER_ENV
from resonate_fleet.contract.wire import Unreachable, Wire
from resonate_fleet.contract.words import DEFAULT_GROUP, STEWARD_PORT

#: Seconds between two looks whether the server still runs.
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for. `server` None starts the embedded one on `port`."""

    workers: int
    slots: int
    group: str = DEFAULT_GROUP
    port: int
    server: str | None = None
    token: str | None = None
    store: Path | None = None
    functions: str | None = None
    lease: float = LEASE_SECONDS
    drain: float = DRAIN_SECONDS
    steward_port: int = STEWARD_PORT
    runs: Path | None = None


def run(options: Options) -> int:
    """Keep a fleet up; return the exit code."""
    try:
        return asyncio.run(_keep_up(options))
    except (StartFailed, Unreachable) as failed:
        sys.stderr.write(f"fleet up: {failed}\n")
        return exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED


async def _keep_up(options: Options) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="fleet-") as temporary:
        root = options.runs or Path(temporary)
        server = await _server(options, root)
        try:
            return await _members(options, root, server, stop)
        finally:
            if server is not None:
                await server.stop(10)


async def _server(options: Options, root: Path) -> Child | None:
    """Start the embedded server on the port that clients look for, unless one was given."""
    if options.server is not None:
        await _answers(options.server, options, None)
        return None
    env = {
        **SERVER_ENV,
        "RESONATE_SERVER__PORT": str(options.port),
        "RESONATE_SERVER__HOST": HOST,
        "RESONATE_SERVER__BIND": HOST,
    }
    store = ["--store", str(options.store)] if options.store else []
    server = Child("server", room_command("server", *store), env, root / "logs" / "server.log")
    await server.line("server.ready", READY_SECONDS)
    return server


async def _answers(url: str, options: Options, _: None) -> None:
    async with Wire(url, options.token) as wire:
        await wire.wait_ready(5)


async def _members(options: Options, root: Path, server: Child | None, stop: asyncio.Event) -> int:
    url = options.server or f"http://{HOST}:{options.port}"
    functions = {"WORKER_FUNCTIONS": options.functions} if options.functions else {}
    shape = Shape(
        members=options.workers,
        slots=options.slots,
        lease=options.lease,
        drain=options.drain,
        group=options.group,
        server=url,
        token=options.token,
        worker_env=functions,
        steward_env={"STEWARD_PORT": str(options.steward_port)},
    )
    async with LocalFleet(shape, root) as fleet:
        _say(f"server   {url}")
        _say(f"steward  http://{HOST}:{options.steward_port}")
        for place in fleet.members.values():
            _say(f"worker   {place.member}  http://{HOST}:{place.port}/metrics")
        _say(f"logs     {fleet.folder.logs}", "Ctrl-C ends it.")
        while not stop.is_set():
            if server is not None and not server.running:
                raise StartFailed(f"the server ended with {server.exit_code}:\n{server.tail()}")
            if fleet.failures:
                raise StartFailed(fleet.failures[0])
            await asyncio.sleep(LOOK_SECONDS)
        _say("ending: workers finish or hand back what they hold")
    return exits.INTERRUPTED


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
