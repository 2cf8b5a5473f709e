"""The lines that stewards write, and who acts in their stead."""

import msgspec

from resonate_fleet.contract.journal.base import Line


class StewardStarted(Line, frozen=True, tag="steward.started"):
    """Both its ports are open. `port` serves the pages, `presence_port` the members."""

    version: str
    port: int = 0
    presence_port: int = 0


class Joined(Line, frozen=True, tag="member.joined"):
    """A member opened its presence with the steward."""

    member: str
    group: str


class Left(Line, frozen=True, tag="member.left"):
    """A member said goodbye and closed its presence."""

    member: str


class Died(Line, frozen=True, tag="member.died"):
    """A member's presence ended without goodbye and did not come back in time.

    `tasks` holds `[task, version]` of every lease it held then.
    """

    member: str
    tasks: list[tuple[str, int]]


class HandedOver(Line, frozen=True, tag="lease.handed-over"):
    """A dead member's lease was released. `seconds` since its presence ended."""

    job: str
    task: str
    attempt: int
    member: str
    seconds: float


class FalseAlarm(Line, frozen=True, tag="member.false-alarm"):
    """A member that was taken for dead came back."""

    member: str


class Parked(Line, frozen=True, tag="job.parked"):
    """A job was set aside (`task.halt`) after `crashes` crashes of the `members` that held it."""

    job: str
    task: str
    crashes: int
    members: list[str]


class Redriven(Line, frozen=True, tag="job.redriven"):
    """A parked job was put back to work by hand."""

    job: str


class Rejected(Line, frozen=True, tag="job.rejected-by-hand"):
    """A parked job was rejected by hand."""

    job: str
    why: str


class Acted(Line, frozen=True, tag="jobs.acted"):
    """Somebody did something to jobs on the steward's page: `by` is where the request came from.

    `members`: those to kill, one for each job; whoever started them does it.
    """

    act: str
    jobs: list[str]
    by: str
    members: list[str] = msgspec.field(default_factory=list)
