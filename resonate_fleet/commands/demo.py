"""`fleet demo`: the whole story on real processes."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from rich.console import Console

from resonate_fleet.chaos.plan import Script
from resonate_fleet.chaos.ports import HOST, Ports
from resonate_fleet.chaos.processes import LocalPlace
from resonate_fleet.chaos.run import Runner, log_nothing, new_folder, write_plan
from resonate_fleet.chaos.shape import Shape
from resonate_fleet.commands import demo_story
from resonate_fleet.commands.addresses import addresses
from resonate_fleet.commands.changes import of_a_run
from resonate_fleet.commands.demo_story import JOBS_A_KILL, DemoOptions, wrong
from resonate_fleet.commands.journals import Tail, kills
from resonate_fleet.commands.ports_and_page import console_env, console_line, usual_port
from resonate_fleet.commands.snapshot import FleetSnapshot
from resonate_fleet.commands.state_stream import StateStream
from resonate_fleet.commands.view import Keys, View
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.paths import OutputFile, OutputFolder
from resonate_fleet.contract.run import Plan, RunFolder
from resonate_fleet.contract.screen import Screen
from resonate_fleet.contract.settings import Mistake, integer, number, url
from resonate_fleet.contract.words import STEWARD_PORT

#: Seconds between two pictures.
LOOK_SECONDS = 0.1
#: When the demo is broken off, members hand back what they hold instead of finishing it.
DRAIN_SECONDS = 0.5
#: With a page: time to open it before the first job, in seconds.
LEAD_SECONDS = 4.0


class DemoPlace(LocalPlace):
    """Processes of this machine. Who is killed stays away, which makes the story plain.

    With a page the killed come back, as more can be killed there, and the steward stays until
    `end`. `on_end` is called before the members are ended.
    """

    def __init__(self, options: DemoOptions, group: str) -> None:
        ports = Ports(steward=usual_port(STEWARD_PORT)) if options.web else Ports()
        super().__init__(ports=ports)
        self._options = options
        self._console = console_env(chaos=True) if options.web else {}
        #: Where the page is going to be.
        self.page = console_line(f"http://{HOST}:{ports.steward}", self._console)
        self._group = group
        self.token = options.token
        self.is_up = asyncio.Event()
        self.on_end: Callable[[], object] = lambda: None

    async def start(self, plan: Plan, folder: RunFolder) -> None:
        await super().start(plan, folder)
        self.is_up.set()

    def shape(self, plan: Plan, folder: RunFolder) -> Shape:
        return replace(
            super().shape(plan, folder),
            drain=DRAIN_SECONDS,
            group=self._group,
            restart=self._options.web,
            steward_env=self._console,
            server=self._options.server,
            token=self._options.token,
        )

    async def end_members(self) -> None:
        self.on_end()
        await super().end_members()

    async def stop(self) -> None:
        if not self._options.web:
            await self.end()

    async def end(self) -> None:
        await super().stop()


def parser(prog: str) -> Parser:
    known = DemoOptions()
    low, high = known.costs
    about = "The whole story on real processes: work spreads, a worker dies, nothing is lost."
    made = Parser(prog=prog, description=about)
    add = made.add_argument
    for option, most in (("workers", 50), ("jobs", 10_000)):
        usual = getattr(known, option)
        kind, says = typed(integer(1, most)), f"default: {usual}"
        add(f"--{option}", type=kind, default=usual, metavar="N", help=says)
    longer = f"makes jobs so many times longer; default: 1, jobs of {low:g} to {high:g} s"
    add("--scale", type=typed(number(0.01, 100)), default=known.scale, metavar="X", help=longer)
    add("--seed", type=typed(integer(0, 2**31)), default=known.seed, metavar="N", help="default: 7")
    killed = "workers to kill in the middle of a job; default: 1, where there are others and jobs"
    add("--kill", type=typed(integer(0, 49)), metavar="N", help=killed)
    add("--server", type=typed(url()), metavar="URL", help="a server that runs; default: embedded")
    web = "print the address of the steward's page, and keep it up until Ctrl-C"
    add("--web", action="store_true", help=web)
    add("--json", type=OutputFile, metavar="FILE", help="write the verdict with all figures there")
    runs = OutputFolder(known.runs)
    add("--runs", type=OutputFolder, default=runs, metavar="FOLDER", help="default: runs")
    return made


def run(asked: Namespace) -> int:
    given = vars(asked)
    if given["kill"] is None:
        given["kill"] = 1 if asked.workers > 1 and asked.jobs >= JOBS_A_KILL else 0
    options = DemoOptions(**given, token=addresses(asked).token)
    if mistake := wrong(options):
        raise Mistake(mistake)
    log_nothing()
    tag = f"-{os.urandom(3).hex()}" if options.server else ""
    folder = new_folder(options.runs, f"{demo_story.NAME}-{options.seed}")
    script = demo_story.plan(options, tag)
    write_plan(folder, script.plan)
    console = Screen()
    try:
        console.print(demo_story.opening(options, script), highlight=False, soft_wrap=True)
        return asyncio.run(_play(options, script, folder, tag, console))
    except (KeyboardInterrupt, asyncio.CancelledError):  # the latter while it ends anyway
        sys.stderr.write("fleet demo: broken off; all its processes have ended\n")
        return exits.INTERRUPTED


async def _play(
    options: DemoOptions, script: Script, folder: RunFolder, tag: str, console: Console
) -> int:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    _on_signals(task.cancel)
    place = DemoPlace(options, demo_story.group_for(options, tag))
    lead = LEAD_SECONDS if options.web else 0.0
    runner = Runner(script, place, folder, lambda _: None, lead)
    if options.web:
        console.print(place.page, highlight=False, soft_wrap=True)
    try:
        async with _shown(console, place, folder, runner, task.cancel):
            await runner.drive()
        code = demo_story.closing(options, folder, console)
        if options.web:
            console.print(f"{place.page}\nCtrl-C ends it.", highlight=False, soft_wrap=True)
            over = asyncio.Event()
            _on_signals(over.set)
            await over.wait()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        await place.end()
    return code


def _on_signals(do: Callable[[], object]) -> None:
    """Call `do` instead of ending, when Ctrl-C or a SIGTERM comes."""
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, do)


@contextlib.asynccontextmanager
async def _shown(
    console: Console,
    place: DemoPlace,
    folder: RunFolder,
    runner: Runner,
    on_quit: Callable[[], object],
) -> AsyncIterator[None]:
    """Show meanwhile what the steward and the journals say; kill whom the page asks for."""
    began, tail = time.time(), Tail(folder.journal)
    words = f"{len(runner.plan.jobs)} jobs"
    view = View(console, "fleet demo", words, lambda at: f"{max(at - began, 0):6.2f} s")

    async def heed(keys: Keys) -> None:
        while True:
            if "q" in keys.wait(0):
                on_quit()
            await asyncio.sleep(LOOK_SECONDS)

    async def follow() -> None:
        await place.is_up.wait()
        with StateStream(place.fleet.steward_url) as stream:
            while True:
                if state := await asyncio.to_thread(stream.state):
                    view.take(FleetSnapshot(state, state.steward))
                lines = tail.new()
                view.news += of_a_run(lines)
                for _, job in kills(lines):
                    runner.kill(job)
                    write_plan(folder, runner.plan)
                view.show()
                await asyncio.sleep(LOOK_SECONDS)

    with Keys() as keys, view:
        following, heeding = (asyncio.create_task(one) for one in (follow(), heed(keys)))
        place.on_end = following.cancel
        try:
            yield
        finally:
            following.cancel()
            heeding.cancel()
            await asyncio.gather(following, heeding, return_exceptions=True)
            view.news += of_a_run(tail.new())
    view.tell()
