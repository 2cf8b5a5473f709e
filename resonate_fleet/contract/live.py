"""The live state of a fleet, as a steward shows it at `GET /state`.

A steward knows hints, members' reports and what its searches have shown. `complete`: every live
task is known. It is False until the first survey after the start, and again from when the steward
begins to hear a group until the next survey. Times are Unix seconds; `at` is when the state was
taken, by the steward's clock.
"""

from typing import Literal

import msgspec

#: A member is `missing` from the end of its presence to the end of its grace (`until`).
MemberState = Literal["present", "missing", "dead", "left"]
MarkKind = Literal[
    "joined", "left", "died", "false-alarm", "handed-over", "lapsed", "draining", "parked",
    "redriven", "cancelled",
]  # fmt: skip


class LiveAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """A claim of a job.

    `outcome` is as in the journal's line `job.ended`, None while it runs; `died` if its member did,
    `unknown` if its end was not reported. `attempt` numbers the claims. `number` leaves out claims
    that began nothing because the member lacked the function; 0 means that there were none.
    `created`: when the job became claimable, None if that is not known.
    """

    task: str
    job: str
    attempt: int
    function: str
    group: str
    member: str
    since: float
    created: float | None = None
    ended: float | None = None
    outcome: str | None = None
    number: int = 0

    @property
    def shown(self) -> int:
        return self.number or self.attempt


class LiveMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member; shown for some minutes after it died or left. `busy` in slot seconds."""

    member: str
    group: str
    slots: int
    free: int
    since: float
    state: MemberState = "present"
    until: float | None = None
    done: int = 0
    failed: int = 0
    busy: float = 0.0


class LiveGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a group's tasks: jobs, and children that were sent to a group.

    `limited`: the waiting tasks that wait for a limit of the policy or for their time. `oldest`:
    since when the oldest one waits. `done`, `failed` and `redone` count since the steward's start.
    `blocked`: how many tasks wait though slots are free, by the reason. `stuck`: the first task by
    each reason for which no member may begin it.
    """

    group: str
    members: int = 0
    slots: int = 0
    waiting: int = 0
    oldest: float | None = None
    limited: int = 0
    running: int = 0
    suspended: int = 0
    parked: int = 0
    done: int = 0
    failed: int = 0
    redone: int = 0
    blocked: dict[str, int] = {}
    stuck: dict[str, str] = {}


class LiveParked(msgspec.Struct, frozen=True, kw_only=True):
    """A task in quarantine. `since` is None if another steward parked it."""

    task: str
    job: str
    attempt: int
    group: str = ""
    since: float | None = None
    members: list[str] = []


class LiveMark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a member or a job."""

    at: float
    kind: MarkKind
    member: str | None = None
    job: str | None = None


class LiveState(msgspec.Struct, frozen=True, kw_only=True):
    """The live state. `serving`: members offer their slots to this steward.

    `since`: the steward's start. `searched`: when its last survey began. `as_of`: the time of the
    figures, which is now while the server's hints are heard, else that of the last search for
    waiting tasks, and 0 before the first. `ended` and `marks` hold the latest ones, up to a bound.
    """

    at: float
    steward: str
    since: float
    serving: bool = True
    complete: bool = True
    searched: float | None = None
    as_of: float = 0.0
    groups: list[LiveGroup] = []
    members: list[LiveMember] = []
    running: list[LiveAttempt] = []
    ended: list[LiveAttempt] = []
    parked: list[LiveParked] = []
    marks: list[LiveMark] = []


class LiveChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What has changed since the last message of an event stream."""

    at: float
    serving: bool
    complete: bool
    as_of: float = 0.0
    groups: list[LiveGroup] = []
    members: list[LiveMember] = []
    running: list[LiveAttempt] = []
    ended: list[LiveAttempt] = []
    marks: list[LiveMark] = []
    parked: list[LiveParked] | None = None


class Crash(msgspec.Struct, frozen=True):
    """A claim that ended in a crash of its member. `at` in Unix seconds."""

    member: str
    attempt: int
    at: float
    #: False if another task of the member was blamed.
    blamed: bool


class CrashRecord(msgspec.Struct, frozen=True):
    """The crashes of a task. `parked_at` (Unix seconds) is None unless it was parked."""

    task: str
    crashes: tuple[Crash, ...] = ()
    parked_at: float | None = None

    @property
    def count(self) -> int:
        """Crashes that count against it."""
        return sum(crash.blamed for crash in self.crashes)

    @property
    def members(self) -> list[str]:
        """The members whose crashes it was blamed for, in order."""
        return [crash.member for crash in self.crashes if crash.blamed]


class CrashRecords(msgspec.Struct):
    """The page `GET /quarantine` of a steward."""

    records: list[CrashRecord]
