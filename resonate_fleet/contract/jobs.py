"""Jobs as people see them: a line of a list, or a page.

Times are Unix seconds.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from resonate_fleet.contract.calls import call_of
from resonate_fleet.contract.wire import Promise, Task
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, group_of

JobState = Literal[
    "waiting", "running", "sleeping", "done", "failed", "cancelled", "timed-out", "parked"
]
STATES: Final[tuple[JobState, ...]] = get_args(JobState)
OVER: Final[dict[str, JobState]] = {
    "resolved": "done",
    "rejected": "failed",
    "rejected_canceled": "cancelled",
    "rejected_timedout": "timed-out",
}
#: What stands for the error of a job that ended without one.
BARE: Final = {
    "rejected": "no error was given",
    "rejected_canceled": "no reason was given",
    "rejected_timedout": "its timeout passed before it was done",
}
_LIVE: Final[dict[str, JobState]] = {
    "pending": "waiting",
    "acquired": "running",
    "suspended": "sleeping",
    "halted": "parked",
}


class JobLine(msgspec.Struct, frozen=True, kw_only=True):
    """A job in a list; `COLUMNS` says how its fields are shown.

    `created`: from the server, when the job was created; from a steward, since when it waits or
    sleeps (of a claimed job: when it had begun to wait). `reason`: what it waits for besides a
    slot.
    """

    id: str
    state: JobState
    function: str = ""
    group: str = ""
    member: str = ""
    attempt: int = 0
    created: float | None = None
    ended: float | None = None
    reason: str = ""

    @property
    def at(self) -> float | None:
        """When it ended or, of one that lives, `created`."""
        return self.ended or self.created


def matches(line: JobLine, asked: Mapping[str, str], after: float) -> bool:
    """Tell whether a line is one of those that are asked for.

    `asked`: the wanted value of each field, and as `search` a part of the id; empty text matches
    all. `after`: Unix seconds; a line without a time counts as later.
    """
    fields = ("state", "function", "group", "member")
    if any(asked.get(one) and asked[one] != getattr(line, one) for one in fields):
        return False
    return asked.get("search", "") in line.id and (line.at is None or line.at >= after)


class Column(msgspec.Struct, frozen=True):
    """A column of the list of jobs, in `fleet jobs` and on the console's page.

    `field`: of `JobLine`. `kind`: how it is shown; `words` may be cut, and on the page a `note`
    stands below the id. `spare`: where room is short, columns with the largest number are left out
    first, those with 0 never. The page leaves out 3 and more below 1,000 pixels, 1 and 2 below 620.
    """

    field: str
    title: str
    kind: Literal["id", "state", "words", "name", "number", "age", "time", "note"]
    spare: int = 0
    where: Literal["both", "terminal", "page"] = "both"


COLUMNS: Final = (
    Column("id", "job", "id"),
    Column("state", "state", "state"),
    Column("function", "function", "words", 1),
    Column("group", "group", "name", 3),
    Column("member", "member", "name", 2),
    Column("attempt", "attempt", "number", 4),
    Column("at", "age", "age", where="terminal"),
    Column("created", "since", "time", 3, "page"),
    Column("ended", "ended", "time", where="page"),
    Column("reason", "why", "note", 1),
)


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """A list of jobs. `more`: there are others. `unread`: jobs whose function is not known.

    `complete`: whoever made it knew every live job; a steward does after its first survey.
    `at`: when it was made, as all times Unix seconds by the server's clock.
    """

    jobs: list[JobLine]
    at: float = 0.0
    more: bool = False
    unread: int = 0
    complete: bool = True
    columns: tuple[Column, ...] = COLUMNS


class AttemptLine(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as the steward knows it."""

    attempt: int
    member: str
    since: float
    ended: float | None = None
    outcome: str | None = None


class ChildLine(msgspec.Struct, frozen=True, kw_only=True):
    """A step or a call of a job, with its own children."""

    id: str
    state: JobState
    function: str = ""
    children: list["ChildLine"] = []


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """All of a job. `claims`: how often it was claimed, by the server.

    `at`: when it was made, as all times Unix seconds by the server's clock. `repeats`: the job that
    this one runs again. `repeated`: the jobs that run this one again. `hidden`: arguments and
    results are left out. `notes`: which tags have no effect, and why.
    """

    id: str
    state: JobState
    at: float = 0.0
    function: str = ""
    version: int = 1
    group: str = ""
    created: float | None = None
    ended: float | None = None
    timeout: float | None = None
    claims: int = 0
    tags: dict[str, str] = {}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    result: Any = None
    error: str = ""
    reason: str = ""
    notes: list[str] = []
    attempts: list[AttemptLine] = []
    children: list[ChildLine] = []
    repeats: str = ""
    repeated: list[str] = []
    hidden: bool = False


def state_of(promise: Promise, task: Task | None = None) -> JobState:
    """Return the state of a job; without its task a job that is not over counts as running."""
    if promise.state in OVER:
        return OVER[promise.state]
    if promise.tags.get(TAG_TIMER) == "true":
        return "sleeping"
    return _LIVE.get(task.state, "running") if task else "running"


def line_of(promise: Promise, task: Task | None = None) -> JobLine:
    """Return a job's line by the server alone."""
    call = call_of(promise)
    return JobLine(
        id=promise.id,
        state=state_of(promise, task),
        function=call.label if call else "",
        group=group_of(promise.tags.get(TAG_TARGET, "")) or "",
        member=(task.pid or "") if task else "",
        attempt=task.version if task else 0,
        created=promise.created_at / 1000,
        ended=promise.settled_at / 1000 if promise.settled_at else None,
    )


def error_of(promise: Promise) -> str:
    """Return message and traceback of a job that ended without a result, else "".

    The SDK stores the message as `message` (0.8.1, `resonate.codec`), members the traceback as
    `stack`.
    """
    if promise.state not in OVER or promise.state == "resolved":
        return ""
    try:
        value = promise.value.decoded()
    except ValueError:
        return "an error that cannot be read"
    if not isinstance(value, dict):
        return str(value) if value else BARE[promise.state]
    parts = (str(value.get(key) or "") for key in ("message", "stack"))
    return "\n".join(part for part in parts if part) or BARE[promise.state]
