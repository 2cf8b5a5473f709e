"""`fleet kill`: kills a member of a fleet that `fleet up` keeps here, and nothing else."""

import os
import signal
import sys
from argparse import Namespace
from contextlib import suppress
from typing import Final

from resonate_fleet.commands.addresses import Addresses
from resonate_fleet.commands.fleet_records import FleetRecord, MemberRecord, fleets, is_of
from resonate_fleet.commands.snapshot import by_the_steward
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.shown import clean

_ABOUT: Final = """\
Kill -9 a member of a fleet that `fleet up` keeps on this machine: the one named, else one that
holds a job. The steward hands its job over; `fleet up` starts the member again.
"""

type Candidate = tuple[FleetRecord, MemberRecord]


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description=_ABOUT)
    made.add_argument("member", nargs="?", metavar="MEMBER", help="such as worker-2; default: busy")
    return made


def run(asked: Namespace) -> int:
    here = fleets()
    found = [(fleet, one) for fleet in here for one in fleet.members]
    if not found:
        raise Mistake("`fleet up` keeps no fleet on this machine")
    if asked.member is None:
        held = {member: task for fleet in here for member, task in _held(fleet).items()}
        fleet, member = next((one for one in found if one[1].member in held), found[0])
    else:
        fleet, member = _named(asked.member, found)
        held = _held(fleet)
    if not _kill(fleet, member):
        raise Mistake(f"{member.member} has just ended by itself")
    what = clean(held.get(member.member, "nothing that the steward knows of"))
    sys.stdout.write(f"killed {member.member}, process {member.process}; it held {what}\n")
    return exits.OK


def _named(name: str, found: list[Candidate]) -> Candidate:
    fitting = [one for one in found if name in (one[1].name, one[1].member)]
    if len(fitting) == 1:
        return fitting[0]
    all_names = ", ".join(one.member for _, one in fitting or found)
    says = "is a member of several fleets" if fitting else "is no member of a fleet here"
    raise Mistake(f"{name!r} {says}; accepted: {all_names}")


def _held(fleet: FleetRecord) -> dict[str, str]:
    where = Addresses(server=fleet.url, token=None, steward=fleet.steward)
    state = by_the_steward(where) if fleet.steward else None
    return {one.member: one.task for one in state.running} if state else {}


def _kill(fleet: FleetRecord, member: MemberRecord) -> bool:
    """Kill the process, looked at again while nothing else can take its number."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(member.process) if hasattr(os, "pidfd_open") else None
        try:
            if is_of(fleet, member):
                if handle is None:
                    os.kill(member.process, signal.SIGKILL)
                else:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                return True
        finally:
            if handle is not None:
                os.close(handle)
    return False
