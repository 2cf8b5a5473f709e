"""The command line of chaos."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from resonate_fleet.chaos.scenario import BadScenario
from resonate_fleet.contract.run import PLACES, Place


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for. `scenarios` holds one run folder where the command is `replay`."""

    command: str
    scenarios: tuple[str, ...] = ()
    place: Place = "processes"
    seed: int | None = None
    tag: str = ""
    #: Runs of each scenario, with as many seeds from `seed` on.
    times: int = 1
    runs: Path = Path("runs")
    #: Seconds between the start of the fleet and the load.
    lead: float = 0.0
    strike: bool = False
    json: bool = False
    server_bin: str | None = None
    project: str = "fleet-chaos"
    #: None: that of the pod this runs in, else that of k8s/base.
    namespace: str | None = None
    log_format: str = "off"

    def at(self, place: Place) -> "Options":
        return replace(self, place=place)


class _Parser(argparse.ArgumentParser):
    """A mistake is one line, printed by whoever calls, not a page of usage."""

    def error(self, message: str) -> NoReturn:
        raise BadScenario([f"{message} ({self.prog} --help says more)"])


def parse(argv: list[str], env: Mapping[str, str] = os.environ) -> Options:
    """Read the command line; `env` may name a real server's binary.

    Raises:
        BadScenario: the command line was refused.
    """
    given = {key: value for key, value in vars(_parser().parse_args(argv)).items() if value}
    given["scenarios"] = tuple(given.get("scenarios", ()))
    given.setdefault("server_bin", env.get("RESONATE_SERVER_BIN") or None)
    return Options(**given)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="chaos", description="Strike a fleet and see that nothing is lost.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    commands.add_parser("list", help="the scenarios that come along")
    plan = commands.add_parser("plan", help="print what a run would do; touch nothing")
    run = commands.add_parser("run", help="do it")
    again = commands.add_parser("replay", help="do an earlier run's strikes again")
    for one in (plan, run):
        one.add_argument("scenarios", nargs="+", metavar="SCENARIO", help="a name or a file")
        one.add_argument("--on", dest="place", choices=PLACES, help="default: processes")
        one.add_argument("--seed", type=_whole, help="default: drawn, and printed first")
        one.add_argument("--times", type=_times, help="so many runs, each with the next seed")
        one.add_argument("--json", action="store_true", help="the plan as JSON")
    again.add_argument("scenarios", nargs=1, metavar="RUN", help="the folder of the earlier run")
    for one in (plan, run, again):
        _common(one)
    return parser


def _common(one: argparse.ArgumentParser) -> None:
    one.add_argument("--strike", action="store_true", help="really do it outside processes")
    one.add_argument("--lead", type=_seconds, metavar="S", help="wait before the load; default: 0")
    one.add_argument("--runs", type=Path, metavar="FOLDER", help="default: runs")
    one.add_argument("--tag", metavar="TEXT", help="more in the job ids: a new load on old seeds")
    one.add_argument("--server-bin", metavar="FILE", help="a real server's binary (processes)")
    one.add_argument("--project", metavar="NAME", help="Compose; default: fleet-chaos")
    one.add_argument("--namespace", metavar="NAME", help="Kubernetes; default: the pod's own")
    one.add_argument("--log-format", choices=("json", "text", "off"), help="default: off")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise ValueError
    return value


def _times(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise ValueError
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value
