"""`fleet submit`: one job, or a file of them."""

import math
import os
from argparse import Namespace
from typing import Final

from resonate_fleet.commands.options import add_json
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.options import Parser, add_settings, read_settings, typed
from resonate_fleet.contract.settings import Kind, Mistake, integer, length, seconds
from resonate_fleet.submit.batch import ACCEPTED, Batch
from resonate_fleet.submit.load import (
    ARGUMENTS,
    ID,
    KEY,
    PRIORITY,
    VERSION,
    Job,
    arguments,
    beginning,
    call,
    late,
    policy_tags,
)
from resonate_fleet.submit.session import Order, submit
from resonate_fleet.submit.settings import FUNCTION, SubmitSettings

WAIT: Final[Kind[float]] = seconds(0, 10**9)
_ABOUT: Final = """\
Hand a call to any member of a group, and leave once the server has it. Without --args the
function gets no arguments.
"""
_ENDING: Final = """\
exit codes: 0 the server has all jobs (with --wait: and they ended with a result); 1 a job ended
without; 2 wrong option or setting; 3 with --wait: not ended in time; 4 no answer from the server.
The same id again, and the same file again, create nothing twice.
* Only a group whose steward has a policy (STEWARD_POLICY, docs/policy.md) goes by it.

examples:
  fleet submit resize --args '["cat.png", 200]' --wait
  fleet submit resize --args '{"picture": "cat.png", "width": 200}' --id cat-200
  fleet submit --jobs jobs.jsonl          {"function": "resize", "args": ["cat.png", 200]} a line
"""


def parser(prog: str) -> Parser:
    usage = f"{prog} FUNCTION [options]\n       {prog} --jobs FILE.jsonl [FUNCTION] [options]"
    made = Parser(prog=prog, usage=usage, description=_ABOUT, epilog=_ENDING)
    add = made.add_argument
    add("function", nargs="?", type=typed(FUNCTION), metavar="FUNCTION", help="its name")
    add("--args", metavar="JSON", help=ARGUMENTS)
    add("--version", type=typed(integer(1, 2**31)), metavar="N", help=VERSION)
    add("--id", type=typed(ID), metavar="ID", help="of the job; with --jobs: ID-00001 and so on")
    add("--jobs", metavar="FILE", help=f"{ACCEPTED}; - for stdin")
    add("--priority", type=typed(PRIORITY), metavar="N", help="1 first; default: 3 *")
    add(
        "--key",
        type=typed(KEY),
        metavar="KEY",
        help="whose share and limits it counts for, a tenant, say *",
    )
    add("--not-before", type=typed(length()), metavar="TIME", help="from now, such as 90s or 2h *")
    add_wait(made)
    add_json(made, lines=True)
    add_settings(made, SubmitSettings)
    return made


def add_wait(parser: Parser) -> None:
    parser.add_argument(
        "--wait",
        nargs="?",
        type=typed(WAIT),
        const=math.inf,
        metavar="SECONDS",
        help="wait for the result, so long at most, and print it",
    )


def run(asked: Namespace) -> int:
    settings = read_settings(SubmitSettings, asked, os.environ)
    bulk = asked.jobs is not None
    order = Order(
        settings=settings,
        jobs=_many(asked, settings) if bulk else [_one(asked, settings)],
        wait=asked.wait,
        json=asked.json,
        bulk=bulk,
    )
    return submit(order, "fleet submit")


def _one(asked: Namespace, settings: SubmitSettings) -> Job:
    if asked.function is None:
        raise Mistake("FUNCTION is missing; accepted: a function's name, or --jobs FILE")
    if wrong := late(asked.not_before, settings.timeout):
        raise Mistake(f"--{wrong}")
    made = call(asked.function, arguments(asked.args), asked.version or 1)
    tags = policy_tags(asked.priority, asked.key, asked.not_before)
    return Job(asked.id or beginning(settings.id_prefix) + new_id(), made, tags=tags)


def _many(asked: Namespace, settings: SubmitSettings) -> Batch:
    for option in ("args", "version", "priority", "key", "not_before"):
        if getattr(asked, option) is not None:
            given = option.replace("_", "-")
            raise Mistake(f"--{given} is given; accepted: nothing beside --jobs")
    return Batch(asked.jobs, asked.function, asked.id, settings)
