"""`fleet up`: a fleet on this machine until Ctrl-C."""

import asyncio
import signal
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from resonate_fleet.chaos.child import StartFailed, ended
from resonate_fleet.chaos.faults import strike
from resonate_fleet.chaos.local_fleet import LocalFleet
from resonate_fleet.chaos.place import PlaceFailed
from resonate_fleet.chaos.ports import HOST
from resonate_fleet.chaos.processes import LocalPlace
from resonate_fleet.chaos.shape import Shape
from resonate_fleet.commands.addresses import addresses
from resonate_fleet.commands.fleet_records import register, unregister
from resonate_fleet.commands.journals import Tail, kills
from resonate_fleet.commands.ports_and_page import add_ports, console_env, console_line, ports
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.paths import OutputFile, OutputFolder, temporary
from resonate_fleet.contract.settings import Mistake, integer, name, path, seconds, url
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.tuning import DRAIN_SECONDS, LEASE_SECONDS
from resonate_fleet.contract.words import DEFAULT_GROUP, SERVER_PORT, STEWARD_PORT
from resonate_fleet.member.settings import MODULE

#: Seconds between two looks whether everything still runs.
LOOK_SECONDS: Final = 0.2


def parser(prog: str) -> Parser:
    about = "A server, a steward and workers on this machine, until Ctrl-C."
    made = Parser(prog=prog, usage=f"{prog} [options]", description=about)
    add = made.add_argument
    add("--workers", type=typed(integer(1, 100)), default=3, metavar="N", help="default: 3")
    add("--stewards", type=typed(integer(0, 9)), default=1, metavar="N", help="default: 1")
    add("--slots", type=typed(integer(1, 1000)), default=1, metavar="N", help="of each; default: 1")
    functions = "with `register(registry)`; default: the examples'"
    add("--functions", type=typed(MODULE), metavar="MODULE", help=functions)
    group = f"default: {DEFAULT_GROUP}"
    add("--policy", type=typed(path()), metavar="FILE", help="of the stewards; see docs/policy.md")
    chaos = "offer on the steward's page to kill a job's member, and print the page's token"
    add("--chaos", action="store_true", help=chaos)
    add("--group", type=typed(name("group")), default=DEFAULT_GROUP, metavar="NAME", help=group)
    for option, low, default in (("--lease", 0.3, LEASE_SECONDS), ("--drain", 0, DRAIN_SECONDS)):
        kind, says = typed(seconds(low, 86_400)), f"default: {default:g}"
        add(option, type=kind, default=default, metavar="SECONDS", help=says)
    add("--server", type=typed(url()), metavar="URL", help="a server that runs; default: embedded")
    add("--store", type=OutputFile, metavar="FILE", help="keeps all jobs; default: as --runs")
    add("--runs", type=OutputFolder, metavar="FOLDER", help="keeps all; default: until the end")
    add_ports(made)
    return made


def run(asked: Namespace) -> int:
    policy = {"STEWARD_POLICY": str(asked.policy.resolve())} if asked.policy else {}
    shape = Shape(
        members=asked.workers,
        stewards=asked.stewards,
        slots=asked.slots,
        lease=asked.lease,
        drain=asked.drain,
        group=asked.group,
        server=asked.server,
        store=asked.store,
        token=addresses(asked).token,
        steward_env=console_env(chaos=asked.chaos) | policy,
        worker_env={"WORKER_FUNCTIONS": asked.functions} if asked.functions else {},
    )
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-", dir=temporary()) as own:
            root = asked.runs or Path(own)
            return asyncio.run(_keep_up(LocalFleet(shape, root, ports(asked))))
    except StartFailed as failed:
        head, *rest = str(failed).splitlines()
        if head.rstrip(":").endswith(ended(exits.USAGE)) and rest:  # the user is wrong
            raise Mistake(*(one for one in rest if not one.startswith("{"))) from None
        raise


async def _keep_up(fleet: LocalFleet) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with fleet:
        fleet.on_change = lambda: register(fleet)
        fleet.on_change()
        fleet.say = _say
        _introduce(fleet)
        place, tail = LocalPlace.over(fleet), Tail(fleet.folder.journal, "steward-*.jsonl")
        try:
            while not stop.is_set():
                _look_after(fleet)
                if fleet.shape.steward_env:
                    await _kill(place, kills(tail.new()))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            fleet.on_change = lambda: None
            unregister()
        _say("ending: workers finish or hand back what they hold")
    return exits.INTERRUPTED


def _introduce(fleet: LocalFleet) -> None:
    _say(f"server   {fleet.url}")
    for one in fleet.stewards:
        _say(f"steward  {one.url}  presence {HOST}:{one.presence}")
    for one in fleet.stewards[:1]:
        _say(console_line(one.url, fleet.shape.steward_env))
    for one in fleet.members.values():
        process = "" if one.child is None else f"  process {one.child.pid}"
        _say(f"worker   {one.member}  http://{HOST}:{one.port}/metrics{process}")
    _say(f"logs     {fleet.folder.logs}")
    if (fleet.url, fleet.ports.steward) != (f"http://{HOST}:{SERVER_PORT}", STEWARD_PORT):
        steward = f" FLEET_STEWARD_URL={fleet.steward_url}" if fleet.stewards else ""
        _say(f"export   RESONATE_URL={fleet.url}{steward}")
    _say("Ctrl-C ends it.")


async def _kill(place: LocalPlace, asked: Iterable[tuple[str, str]]) -> None:
    """Kill members that the page asks for, if they are this fleet's own."""
    for member, job in asked:
        try:
            found = await place.find(member)
            done = await strike(place, "kill", found) if found else "it is gone"
        except PlaceFailed as failed:
            done = str(failed)
        _say(f"{clean(member)}, which held {clean(job)}, is killed as the page asked: {done}")


def _look_after(fleet: LocalFleet) -> None:
    """Raises StartFailed where a process has ended that is not started again."""
    server = fleet.server
    if server is not None and not server.running:
        raise StartFailed(f"the server {ended(server.exit_code)}:\n{server.tail()}")
    if fleet.failures:
        raise StartFailed(fleet.failures[0])


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
