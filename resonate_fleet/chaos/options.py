"""The command line of chaos."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resonate_fleet.chaos.scenario import shipped
from resonate_fleet.contract.options import Parser, complete_with, typed
from resonate_fleet.contract.paths import OutputFolder, Program
from resonate_fleet.contract.run import PLACES, Place
from resonate_fleet.contract.settings import Mistake, integer, seconds


@dataclass(frozen=True, kw_only=True)
class ChaosOptions:
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
    #: Keep the fleet, and what lasts of its faults, until Ctrl-C.
    stay: bool = False
    json: bool = False
    server_bin: str | None = None
    project: str = "fleet-chaos"
    #: None: that of the pod this runs in, else that of k8s/base.
    namespace: str | None = None


def options_of(asked: argparse.Namespace, env: Mapping[str, str] = os.environ) -> ChaosOptions:
    """Return what was asked for; `env` may name a real server's binary.

    Raises:
        Mistake: it was refused.
    """
    given = {key: value for key, value in vars(asked).items() if value}
    given["scenarios"] = tuple(given.get("scenarios", ()))
    if binary := given.get("server_bin") or env.get("RESONATE_SERVER_BIN"):
        Program(binary).check("RESONATE_SERVER_BIN")
        given["server_bin"] = str(binary)
    options = ChaosOptions(**given)
    if options.stay and len(options.scenarios) * options.times != 1:
        raise Mistake("--stay is for one run; accepted: one scenario, without --times")
    return options


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description="Strike a fleet and see that nothing is lost.")
    commands = made.add_subparsers(dest="command", required=True, metavar="list|plan|run|replay")
    described = {
        "list": "the scenarios that come along",
        "plan": "print what a run would do; touch nothing",
        "run": "do it",
        "replay": "do an earlier run's strikes again",
    }
    _, plan, run, again = (
        commands.add_parser(name, help=says, description=says) for name, says in described.items()
    )
    for one in (plan, run):
        add = one.add_argument
        named = add("scenarios", nargs="+", metavar="SCENARIO", help="a name or a file")
        complete_with(named, shipped())
        add("--on", dest="place", choices=PLACES, help="default: processes")
        seed, times = typed(integer(0, 2**63 - 1)), typed(integer(1, 1000))
        add("--seed", type=seed, metavar="N", help="default: drawn, and printed first")
        add("--times", type=times, metavar="N", help="so many runs, each with the next seed")
        add("--json", action="store_true", help="the plan as JSON")
    stay = "keep the fleet and its faults after the last strike, until Ctrl-C; one scenario, once"
    run.add_argument("--stay", action="store_true", help=stay)
    again.add_argument("scenarios", nargs=1, metavar="RUN", help="the folder of the earlier run")
    for one in (plan, run, again):
        add, lead = one.add_argument, typed(seconds(0, 3600))
        add("--strike", action="store_true", help="really do it outside processes")
        add("--lead", type=lead, metavar="S", help="wait before the load; default: 0")
        add("--runs", type=OutputFolder, metavar="FOLDER", help="default: runs")
        add("--tag", metavar="TEXT", help="more in the job ids: a new load on old seeds")
        add("--server-bin", type=Program, metavar="FILE", help="a real server (processes)")
        add("--project", metavar="NAME", help="Compose; default: fleet-chaos")
        add("--namespace", metavar="NAME", help="Kubernetes; default: the pod's own")
    for one in (run, again):
        one.set_defaults(runs=OutputFolder(ChaosOptions.runs))
    return made
