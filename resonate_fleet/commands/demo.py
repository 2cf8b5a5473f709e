"""`fleet demo`: the whole story on real processes."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from rich.console import Console

from resonate_fleet.chaos.child import StartFailed
from resonate_fleet.chaos.local import LocalPlace
from resonate_fleet.chaos.place import PlaceFailed
from resonate_fleet.chaos.plan import Script
from resonate_fleet.chaos.processes import LocalFleet
from resonate_fleet.chaos.run import Runner, write_plan
from resonate_fleet.chaos.shape import Shape
from resonate_fleet.commands import demo_plan, demo_summary
from resonate_fleet.commands.addresses import addresses
from resonate_fleet.commands.demo_plan import JOBS_A_KILL, DemoOptions, wrong
from resonate_fleet.commands.keys import Keys
from resonate_fleet.commands.screen import Screen, screen_for
from resonate_fleet.commands.story import Story
from resonate_fleet.commands.tail import Tail
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.outputs import OutputFile, OutputFolder
from resonate_fleet.contract.run import Plan, RunFolder
from resonate_fleet.contract.settings import Mistake, integer, number, url
from resonate_fleet.contract.wire import Refused, Unreachable, Wire

#: Seconds between two looks at the journals.
LOOK_SECONDS = 0.1
#: When the demo is broken off, members hand back what they hold instead of finishing it.
DRAIN_SECONDS = 0.5
#: Longest wait for a given server to answer, in seconds.
ANSWER_SECONDS = 5.0


class DemoPlace(LocalPlace):
    """Processes of this machine. Who is killed stays away, which makes the story plain."""

    def __init__(self, options: DemoOptions, group: str) -> None:
        super().__init__(drain=DRAIN_SECONDS)
        self._options = options
        self._group = group
        self.token = options.token

    async def start(self, plan: Plan, folder: RunFolder) -> None:
        shape = Shape(
            members=plan.members,
            slots=plan.slots,
            lease=plan.lease,
            drain=self._drain,
            group=self._group,
            restart=False,
            server=self._options.server,
            token=self._options.token,
        )
        fleet = LocalFleet(shape, folder.root)
        try:
            if self._options.server:
                async with Wire(self._options.server, self._options.token) as wire:
                    await wire.wait_ready(ANSWER_SECONDS)
            await fleet.__aenter__()
        except StartFailed as failed:
            raise PlaceFailed(str(failed)) from None
        self._fleet = fleet
        self.url = fleet.url

    async def submit(self, options: list[str]) -> int:
        code = await super().submit(options)
        if code != exits.OK:
            raise PlaceFailed(f"the client ended with {code}:\n{self._client_log()}")
        return code

    def _client_log(self) -> str:
        log = self.fleet.folder.logs / "client.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-5:])


def parser(prog: str) -> Parser:
    known = DemoOptions()
    low, high = known.costs
    about = "The whole story on real processes: work spreads, a worker dies, nothing is lost."
    made = Parser(prog=prog, description=about)
    add = made.add_argument
    add(
        "--workers",
        type=typed(integer(1, 50)),
        default=known.workers,
        metavar="N",
        help="default: 3",
    )
    add(
        "--jobs",
        type=typed(integer(1, 10_000)),
        default=known.jobs,
        metavar="N",
        help="default: 24",
    )
    longer = f"makes jobs so many times longer; default: 1, jobs of {low:g} to {high:g} s"
    add("--scale", type=typed(number(0.01, 100)), default=known.scale, metavar="X", help=longer)
    add("--seed", type=typed(integer(0, 2**31)), default=known.seed, metavar="N", help="default: 7")
    killed = "workers to kill in the middle of a job; default: 1, where there are others and jobs"
    add("--kill", type=typed(integer(0, 49)), metavar="N", help=killed)
    add("--server", type=typed(url()), metavar="URL", help="a server that runs; default: embedded")
    add("--json", type=OutputFile, metavar="FILE", help="write the verdict with all figures there")
    add(
        "--runs",
        type=OutputFolder,
        default=OutputFolder(known.runs),
        metavar="FOLDER",
        help="default: runs",
    )
    return made


def run(asked: Namespace) -> int:
    """Play the demo; return its exit code."""
    given = vars(asked)
    if given["kill"] is None:
        given["kill"] = 1 if asked.workers > 1 and asked.jobs >= JOBS_A_KILL else 0
    options = DemoOptions(**given, token=addresses(asked).token)
    mistake = wrong(options)
    if mistake:
        raise Mistake(mistake)
    return _run(options)


def _run(options: DemoOptions) -> int:
    _quiet()
    tag = f"-{os.urandom(3).hex()}" if options.server else ""
    folder = RunFolder(_new_folder(options))
    script = demo_plan.plan(options, tag)
    write_plan(folder, script.plan)
    console = Console()
    console.print(demo_summary.opening(options, script), highlight=False, soft_wrap=True)
    try:
        asyncio.run(_play(options, script, folder, tag, console))
    except (PlaceFailed, Refused, Unreachable) as failed:
        sys.stderr.write(f"fleet demo: {failed}\n")
        return exits.FAILED
    except KeyboardInterrupt:
        sys.stderr.write("fleet demo: broken off; all its processes have ended\n")
        return exits.INTERRUPTED
    return demo_summary.closing(options, folder, console)


async def _play(
    options: DemoOptions, script: Script, folder: RunFolder, tag: str, console: Console
) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, task.cancel)
    place = DemoPlace(options, demo_plan.group_for(options, tag))
    screen = screen_for(console)
    try:
        async with _shown(screen, folder, len(script.plan.jobs)) as keys:
            keys.on_quit(task.cancel)
            await Runner(script, place, folder, lambda _: None).drive()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except ExceptionGroup as group:  # the tasks of a run fail together; the first says why
        failed = group.exceptions[0]
        raise failed if isinstance(failed, PlaceFailed) else group from None


@contextlib.asynccontextmanager
async def _shown(screen: Screen, folder: RunFolder, jobs: int) -> AsyncIterator[Keys]:
    """Keep `screen` up to date with the journals meanwhile."""
    story, tail = Story(jobs), Tail(folder.journal)

    async def follow() -> None:
        while True:
            screen.update(story, story.apply(tail.new()))
            await asyncio.sleep(LOOK_SECONDS)

    with Keys() as keys, screen:
        following = asyncio.create_task(follow())
        try:
            yield keys
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            screen.update(story, story.apply(tail.new()))


def _new_folder(options: DemoOptions) -> Path:
    """Return a folder of this run's own that is not there yet."""
    name = f"{demo_plan.NAME}-{options.seed}-{time.strftime('%m%d-%H%M%S')}"
    names = (name, *(f"{name}-{turn}" for turn in range(2, 1000)))
    return next(options.runs / one for one in names if not (options.runs / one).exists())


def _quiet() -> None:
    """The journals have everything; the screen is for the story."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=False,
    )
