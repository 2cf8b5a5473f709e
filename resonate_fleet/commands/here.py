"""Fleets of this machine: their ports, page and journals; what `fleet kill` knows them by."""

import os
import secrets
import subprocess
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from resonate_fleet.chaos.ports import Ports, free_port, is_free, take
from resonate_fleet.chaos.processes import LocalFleet
from resonate_fleet.contract.journal import Acted, BadLine, Line, read
from resonate_fleet.contract.options import Parser, temporary, typed, write
from resonate_fleet.contract.settings import Mistake, integer
from resonate_fleet.contract.words import PRESENCE_PORT, SERVER_PORT, STEWARD_PORT

_TOKEN: Final = "STEWARD_CONSOLE_TOKEN"  # noqa: S105 - the setting's name
#: Option of each field of `Ports`, its usual port (None: any free one does), what it is.
_PORTS: Final = {
    "server": ("--port", SERVER_PORT, "of the server"),
    "server_metrics": ("--metrics-port", None, "of the server's metrics"),
    "steward": ("--steward-port", STEWARD_PORT, "of the steward's pages"),
    "presence": ("--presence-port", PRESENCE_PORT, "that members keep a connection to"),
}


# Ports: the usual ones, others where these are taken.


def add_ports(parser: Parser) -> None:
    kind = typed(integer(1, 65_535))
    for name, (option, usual, what) in _PORTS.items():
        default = f"{usual}, or a free one where that is taken" if usual else "a free one"
        about = f"{what}; default: {default}"
        parser.add_argument(option, dest=f"{name}_port", type=kind, metavar="N", help=about)


def ports(asked: Namespace) -> Ports:
    """Return the ports that were asked for, the usual ones, or free ones.

    Raises:
        Mistake: one that was asked for is taken.
    """
    found: dict[str, int] = {}
    for name, (option, usual, _) in _PORTS.items():
        port = getattr(asked, f"{name}_port")
        if port is not None and not is_free(port):
            raise Mistake(f"{option} is {port}, which is taken; accepted: a port that is free")
        found[name] = port or usual_port(usual)
    return Ports(**found)


def usual_port(usual: int | None) -> int:
    """Return the usual port, or a free one where that is taken, by a run that starts too."""
    return usual if usual is not None and take(usual) else free_port()


# The steward's page.


def console_env(*, chaos: bool) -> dict[str, str]:
    """Return the stewards' settings: with this shell's token, or one of its own for chaos."""
    token = os.environ.get(_TOKEN) or (secrets.token_urlsafe(9) if chaos else "")
    kill = {"STEWARD_CONSOLE_KILL": "true"} if chaos else {}
    return {_TOKEN: token, **kill} if token else {}


def console_line(url: str, env: Mapping[str, str]) -> str:
    """Return where the page is; the token is said where this fleet made it."""
    own = _TOKEN in env and not os.environ.get(_TOKEN)
    return f"console  {url}/" + (f"  token {env[_TOKEN]}" if own else "")


def kills(lines: Iterable[Line | BadLine]) -> Iterator[tuple[str, str]]:
    """Yield member and job of each kill that was asked for on the page."""
    for line in lines:
        if isinstance(line, Acted) and line.act == "kill":
            yield from zip(line.members, line.jobs, strict=True)


class Tail:
    """Reads what is new in the journals of `folder`: whole lines, each once; of `files` alone."""

    def __init__(self, folder: Path, files: str = "*.jsonl") -> None:
        self._folder = folder
        self._files = files
        #: By name, the inode and how far it is read: a full file becomes `<who>.1.jsonl`.
        self._read: dict[str, tuple[int, int]] = {}

    def new(self) -> list[Line | BadLine]:
        """Return the lines since the last call, by time."""
        found: list[Line | BadLine] = []
        before = dict(self._read)
        for path in sorted(self._folder.glob(self._files)):
            names = (path.name.replace(".1.jsonl", ".jsonl"), path.name)
            with suppress(FileNotFoundError), path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                start = file.seek(dict(before[one] for one in names if one in before).get(inode, 0))
                chunk = file.read()
                whole = chunk[: chunk.rfind(b"\n") + 1]
                self._read[path.name] = (inode, start + len(whole))
                found += read(whole.splitlines(), path.name)
        return sorted(found, key=lambda line: line.at if isinstance(line, Line) else 0.0)


# Records of the fleets that `fleet up` keeps.


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
