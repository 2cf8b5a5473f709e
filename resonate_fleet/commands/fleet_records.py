"""Records of the fleets that `fleet up` keeps on this machine, for `fleet kill`."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import msgspec

from resonate_fleet.chaos.local_fleet import LocalFleet
from resonate_fleet.contract.paths import temporary, write
from resonate_fleet.contract.settings import Mistake


class MemberRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A member's process. `name` stays over restarts; `started` tells processes apart."""

    name: str
    member: str
    process: int
    started: str


class FleetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet of this machine: the process of its `fleet up`, and where server and steward are."""

    process: int
    started: str
    url: str
    steward: str | None
    members: list[MemberRecord]


def register(fleet: LocalFleet) -> None:
    """Write down who belongs to `fleet` now; this process keeps it."""
    members = [
        MemberRecord(
            name=name,
            member=one.member,
            process=one.child.pid,
            started=_facts(one.child.pid)[1],
        )
        for name, one in fleet.members.items()
        if one.child is not None and one.member
    ]
    record = FleetRecord(
        process=os.getpid(),
        started=_facts(os.getpid())[1],
        url=fleet.url,
        steward=fleet.steward_url,
        members=members,
    )
    file = _record()  # made anew where somebody has cleared up
    new = file.with_suffix(".new")
    write(new, msgspec.json.encode(record))
    new.replace(file)


def unregister() -> None:
    _record().unlink(missing_ok=True)


def fleets() -> list[FleetRecord]:
    """Return the fleets that run, each with the members whose processes are theirs for certain."""
    found = []
    for file in sorted(_folder().glob("*.json")):
        with suppress(OSError, msgspec.MsgspecError):
            record = msgspec.json.decode(file.read_bytes(), type=FleetRecord)
            if _facts(record.process)[1] != record.started:  # it did not end in order
                file.unlink()
                continue
            members = [one for one in record.members if is_of(record, one)]
            found.append(msgspec.structs.replace(record, members=members))
    return found


def is_of(fleet: FleetRecord, one: MemberRecord) -> bool:
    """Tell whether the process is a child of the fleet's and the one that was written down."""
    return _facts(one.process) == (fleet.process, one.started)


def _facts(process: int) -> tuple[int, str]:
    """Return parent and start of a process, (0, "") where there is none."""
    with suppress(OSError, IndexError, ValueError):
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        fields = stat.rpartition(")")[2].split()
        return int(fields[1]), fields[19]
    if Path("/proc/self/stat").exists():
        return 0, ""
    command = ["ps", "-o", "ppid=,lstart=", "-p", str(process)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - our own words
    parent, _, started = shown.strip().partition(" ")
    return (int(parent), started.strip()) if parent.isdecimal() else (0, "")


def _record() -> Path:
    return _folder() / f"{os.getpid()}.json"


def _folder() -> Path:
    """Return a folder that is this user's alone: `fleet kill` believes what is in it."""
    folder = Path(temporary()) / f"resonate-fleet-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = folder.lstat()
    if owner.st_uid != os.getuid() or owner.st_mode & 0o077 or folder.is_symlink():
        raise Mistake(f"{folder} is open to others; accepted: a folder of this user alone")
    return folder
