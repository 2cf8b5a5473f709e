"""The command line of `python -m client`: a load from options and environment."""

import argparse
import math
import os
from collections.abc import Mapping

from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.options import Parser, add_settings, read_settings
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.submit import load
from resonate_fleet.submit.session import Order, submit
from resonate_fleet.submit.settings import ClientSettings

_ABOUT = """\
Create jobs, wait until the server has confirmed each one, print their ids, exit.
Nothing waits for results unless --wait is given: the jobs are durable.
"""

_ENDING = """\
exit codes: 0 all confirmed (with --wait: and resolved); 1 a job ended without its result;
2 wrong option or setting; 4 no answer from the server, or it refused. Ids that were confirmed are
printed in any case, and running again with the same ids doubles nothing.

examples:
  python -m client --count 10 --cost 0.5..2
  python -m client --id invoice-17 --cost 3 --wait
  python -m client --count 1000 --rate 50 --id-prefix monday --seed 7
"""


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, usage=f"{prog} [options]", description=_ABOUT, epilog=_ENDING)
    add = made.add_argument
    add("--id", action="append", default=[], metavar="ID", help="An id to use; repeatable.")
    add("--args", metavar="JSON", help=f"Instead of id and cost: {load.ARGUMENTS}.")
    add("--wait", action="store_true", help="Wait for the results and print them.")
    add("--json", action="store_true", help="Print one JSON object a line.")
    add_settings(made, ClientSettings)
    add("--url", dest="url", help=argparse.SUPPRESS)  # the older name of --server
    return made


def run(asked: argparse.Namespace) -> int:
    return submit(order(asked, os.environ), "client")


def order(asked: argparse.Namespace, env: Mapping[str, str]) -> Order:
    """Return what to submit, by the command line and the environment.

    Raises:
        Mistake: with one line for every wrong value.
    """
    wrong = []
    for id_ in asked.id:
        try:
            load.ID.read(id_)
        except ValueError:
            wrong.append(f"--id is {id_!r}; accepted: {load.ID.accepts}")
    if asked.id and asked.count is not None and asked.count != str(len(asked.id)):
        wrong.append(f"--count is {asked.count!r}; accepted: nothing beside --id")
    given: load.Arguments | None = None
    try:
        given = None if asked.args is None else load.arguments(asked.args)
    except Mistake as mistake:
        wrong += mistake.lines
    try:
        settings = read_settings(ClientSettings, asked, env)
    except Mistake as error:
        raise Mistake(*error.lines, *wrong) from None
    if wrong:
        raise Mistake(*wrong)
    return Order(
        settings=settings,
        jobs=load.make(settings, asked.id, given, new_id),
        seed=settings.seed,
        wait=math.inf if asked.wait else None,
        json=asked.json,
    )
