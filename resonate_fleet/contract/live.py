"""The live state of a fleet, as a steward tells it at `GET /state`.

A steward knows what it has heard: hints, members' claims and outcomes, and what its last search
showed. `complete` is False until its first survey has come to its end, at its start and again when
it begins to hear a group. Times are Unix seconds; `at` is when the state was taken, by the
steward's clock.
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

    `outcome` is that of the journal's line `job.ended`, None while it runs; `died` where its member
    did, `unknown` where nobody has told how it ended. `attempt` numbers the claims; `number` leaves
    out those that began nothing, because a member lacked the function; 0 where there were none
    that the steward heard of. `created` is when the job became claimable, None where nobody said.
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
    """A member; the dead and those that left stay for some minutes. `busy` in slot seconds."""

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
    """Counts of a group: jobs, and children that were called on a group of their own.

    `limited`: those of the waiting that wait for a limit of the policy or for their time.
    `oldest`: since when the oldest waiting one waits. `done`, `failed` and `redone` count since
    the steward's start. `blocked` says why jobs wait though slots are free, with their number;
    `stuck` names the first of each.
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
    """A task in quarantine. `since` None where this steward did not park it."""

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
    """The whole of it. `serving`: members offer this steward their slots, not another one.

    `since` is the steward's start; `searched` when its last survey of the server began. `as_of` is
    how old the figures are: now while the server's hints are heard, else the last survey; 0 before.
    `ended` and `marks` hold the last minutes, and no more than so many.
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
    """What is new since the last message of an event stream; what is left out is as it was."""

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
