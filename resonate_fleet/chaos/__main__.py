"""`python -m resonate_fleet.chaos`: plan, run, replay."""

import asyncio
import random
import shutil
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from resonate_fleet.chaos import replay, scenario
from resonate_fleet.chaos.options import ChaosOptions, options_of, parser
from resonate_fleet.chaos.place import adapter_of
from resonate_fleet.chaos.plan import Script, plan_lines, script
from resonate_fleet.chaos.run import Runner, Stay, log_nothing, new_folder, write_plan
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import guarded
from resonate_fleet.contract.run import TRAITS, RunFolder
from resonate_fleet.contract.shown import clean

#: Judges a run folder, says so on the terminal, and returns the exit code of the verdict.
Judge = Callable[[Path], int]
#: Of several runs the worst counts: the last of these.
GRAVITY = (exits.OK, exits.INCONCLUSIVE, exits.BROKEN, exits.FAILED, exits.INTERRUPTED)


def main(argv: list[str] | None = None, judge: Judge | None = None) -> int:
    """Run the command; return its exit code. Without `judge` a run's folder is left unjudged."""
    return guarded("chaos", lambda: run(parser("fleet chaos").parse_args(argv), judge))


def run(asked: Namespace, judge: Judge | None = None) -> int:
    options = options_of(asked)
    log_nothing()
    commands: dict[str, Callable[[ChaosOptions, Judge], int]]
    commands = {"list": _list, "plan": _run_all, "run": _run_all, "replay": _replay}
    try:
        return commands[options.command](options, judge or _unjudged)
    except KeyboardInterrupt:
        sys.stderr.write("chaos: interrupted; everything of this run was healed and ended\n")
        return exits.INTERRUPTED


def _list(_options: ChaosOptions, _judge: Judge) -> int:
    for name in scenario.shipped():
        _say(f"{name:<18} {scenario.read(scenario.find(name)).about}")
    return exits.OK


def _run_all(options: ChaosOptions, judge: Judge) -> int:
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    _say(f"seed {seed}")
    read = [(path, scenario.read(path)) for path in map(scenario.find, options.scenarios)]
    planned = [  # each refusal comes before the first run begins
        (path, script(one, seed + number, options.place, options.tag))
        for path, one in read
        for number in range(options.times)
    ]
    if options.command == "plan" or not _strikes_for_real(options):
        for _, one in planned:
            plan = msgspec.json.format(msgspec.json.encode(one.plan), indent=2).decode()
            _say(*([plan] if options.json else plan_lines(one.plan)))
        return exits.OK
    codes: list[int] = []
    for path, one in planned:
        _say(*plan_lines(one.plan))
        codes.append(judge(_run(one, path, options).root))
    if len(codes) > 1:
        _say(f"{codes.count(exits.OK)} of {len(codes)} runs ended as promised")
    return max(codes, key=lambda code: GRAVITY.index(code) if code in GRAVITY else len(GRAVITY))


def _strikes_for_real(options: ChaosOptions) -> bool:
    if options.strike or not TRAITS[options.place].asks:
        return True
    _say(f"dry run: nothing is done on {options.place}; --strike does it")
    return False


def _run(one: Script, path: Path, options: ChaosOptions) -> RunFolder:
    """Do one run, from the scenario file at `path`; return its folder."""
    folder = new_folder(options.runs, f"{one.plan.scenario}-{one.plan.seed}")
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
        adapter, kind = adapter_of(options.place).chosen(options), Stay if options.stay else Runner
        await kind(one, adapter, folder, _say, options.lead).drive()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _unjudged(root: Path) -> int:
    _say(f"the run is in {root}; `fleet report {root}` judges it")
    return exits.OK


def _replay(options: ChaosOptions, judge: Judge) -> int:
    root = Path(options.scenarios[0])
    then = replay.load(root)
    options = replace(options, place=then.plan.place)
    one = replay.again(then, options.tag)
    _say(f"seed {then.plan.seed}", *plan_lines(one.plan))
    if not _strikes_for_real(options):
        return exits.OK
    folder = _run(one, root / replay.SCENARIO_FILE, options)
    found = replay.differences(then.strikes, replay.strikes(folder))
    _say(*(found or ["every strike hit the holder of the same jobs as then"]))
    code = judge(folder.root)
    return exits.INCONCLUSIVE if code == exits.OK and found else code


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{clean(line)}\n" for text in lines for line in text.split("\n")))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
