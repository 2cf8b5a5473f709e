"""`python -m resonate_fleet.chaos`: plan, run, replay."""

import asyncio
import logging
import random
import shutil
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import structlog

from resonate_fleet.chaos import replay, scenario
from resonate_fleet.chaos.options import ChaosOptions, options_of, parser
from resonate_fleet.chaos.place import PlaceFailed
from resonate_fleet.chaos.places import adapter_for
from resonate_fleet.chaos.plan import Script, script
from resonate_fleet.chaos.run import Runner, write_plan
from resonate_fleet.chaos.show import plan_lines
from resonate_fleet.chaos.stay import Stay
from resonate_fleet.contract import exits, logs
from resonate_fleet.contract.options import guarded
from resonate_fleet.contract.run import RunFolder
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Refused, Unreachable

#: Judges a run folder, says so on the terminal, and returns the exit code of the verdict.
Judge = Callable[[Path], int]


def main(argv: list[str] | None = None, judge: Judge | None = None) -> int:
    """Run the command; return its exit code. Without `judge` a run's folder is left unjudged."""
    return guarded("chaos", lambda: run(parser("fleet chaos").parse_args(argv), judge))


def run(asked: Namespace, judge: Judge | None = None) -> int:
    """Do what was asked for; return the exit code.

    Raises:
        Mistake: a scenario was refused.
    """
    options = options_of(asked)
    _log(options.log_format)
    try:
        return _do(options, judge)
    except (PlaceFailed, Refused, Unreachable) as failed:
        _complain(str(failed))
        return exits.FAILED
    except KeyboardInterrupt:
        _complain("interrupted; everything of this run was healed and ended")
        return exits.INTERRUPTED


def _do(options: ChaosOptions, judge: Judge | None) -> int:
    if options.command == "list":
        return _list()
    if options.command == "replay":
        return _replay(options, judge)
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    _say(f"seed {seed}")
    planned = _planned(options, seed)
    if options.command == "plan" or not _struck_for_real(options):
        for _, one in planned:
            _say(*([_json(one)] if options.json else plan_lines(one)))
        return exits.OK
    codes: list[int] = []
    for path, one in planned:
        _say(*plan_lines(one))
        codes.append(_judged(_run(one, path, options), judge))
    if len(codes) > 1:
        _say(f"{codes.count(exits.OK)} of {len(codes)} runs ended as promised")
    return max(codes, key=_gravity)


def _planned(options: ChaosOptions, seed: int) -> list[tuple[Path, Script]]:
    """Return every run that is asked for; each refusal comes before the first of them begins."""
    paths = [scenario.find(name) for name in options.scenarios]
    read = [(path, scenario.read(path)) for path in paths]
    return [
        (path, script(one, seed + turn, options.place, options.tag))
        for path, one in read
        for turn in range(options.times)
    ]


def _list() -> int:
    for name in scenario.shipped():
        _say(f"{name:<18} {scenario.read(scenario.find(name)).about}")
    return exits.OK


def _json(one: Script) -> str:
    return msgspec.json.format(msgspec.json.encode(one.plan), indent=2).decode()


def _struck_for_real(options: ChaosOptions) -> bool:
    """Outside the local place nothing is done unless asked for by name."""
    if options.place == "processes" or options.strike:
        return True
    _say(f"dry run: nothing is done on {options.place}; --strike does it")
    return False


def _gravity(code: int) -> int:
    """Of several runs the worst counts."""
    order = [exits.OK, exits.INCONCLUSIVE, exits.BROKEN, exits.FAILED, exits.INTERRUPTED]
    return order.index(code) if code in order else len(order)


def _run(one: Script, path: Path, options: ChaosOptions) -> RunFolder:
    """Do one run, from the scenario file at `path`; return its folder."""
    folder = _new_folder(options.runs, f"{one.plan.scenario}-{one.plan.seed}")
    write_plan(folder, one.plan)
    shutil.copyfile(path, folder.root / replay.SCENARIO_FILE)
    asyncio.run(_drive(one, folder, options))
    return folder


async def _drive(one: Script, folder: RunFolder, options: ChaosOptions) -> None:
    """Drive the run; SIGTERM ends it as Ctrl-C does, with everything healed and ended."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        adapter = adapter_for(options)
        if options.stay:
            await Stay(one, adapter, folder, _say).drive()
        await Runner(one, adapter, folder, _say, options.lead).drive()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _judged(folder: RunFolder, judge: Judge | None) -> int:
    if judge is None:
        _say(f"the run is in {folder.root}; `fleet report {folder.root}` judges it")
        return exits.OK
    return judge(folder.root)


def _new_folder(runs: Path, name: str) -> RunFolder:
    """A folder of its own for each run, never one that has anything in it."""
    begin = f"{name}-{time.strftime('%m%d-%H%M%S')}"
    names = [begin, *(f"{begin}-{turn}" for turn in range(2, 1000))]
    for one in names:
        if not (runs / one).exists():
            return RunFolder(runs / one)
    raise PlaceFailed(f"{runs}: no free name for a run folder")


def _replay(options: ChaosOptions, judge: Judge | None) -> int:
    root = Path(options.scenarios[0])
    then = replay.load(root)
    options = replace(options, place=then.plan.place)
    one = replay.again(then, options.tag)
    _say(f"seed {then.plan.seed}", *plan_lines(one))
    if not _struck_for_real(options):
        return exits.OK
    folder = _run(one, root / replay.SCENARIO_FILE, options)
    found = replay.differences(then.strikes, replay.strikes(folder))
    _say(*(found or ["every strike hit the holder of the same jobs as then"]))
    code = _judged(folder, judge)
    return exits.INCONCLUSIVE if code == exits.OK and found else code


def _log(format: str) -> None:
    """Set up the log; off by default: the journal's file and the lines told have it all."""
    if format != "off":
        logs.configure(format, "info", "chaos")
        return
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=False,
    )


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{clean(line)}\n" for text in lines for line in text.split("\n")))
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(f"chaos: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
