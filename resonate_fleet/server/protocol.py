"""What requests may look like: one type a kind, checked before anything is touched.

Field names, ranges and what may be left out follow server v0.9.8, `src/types.rs`. Unknown fields
are ignored there and here.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from resonate_fleet.contract.words import TAG_TARGET

#: Largest integer of the wire.
MAX = 2**63 - 1

Id = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=MAX)]
Whole = Annotated[int, msgspec.Meta(ge=-MAX - 1, le=MAX)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Tags = dict[str, str]
Verdict = Literal["resolved", "rejected", "rejected_canceled"]


@dataclass(frozen=True)
class ServerReply:
    """The answer to a request: `status` as in the head, `data` as in the body."""

    status: int
    data: Any


class RefusedRequest(Exception):  # noqa: N818 - an answer, not a failure
    """The request is answered with `status` and a sentence; what was done so far stands."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.reply = ServerReply(status, text)


class RequestData(msgspec.Struct, kw_only=True, rename="camel"):
    """Data of any request."""


class Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    headers: Tags | None = None
    data: str | None = None


class Named(RequestData):
    """All that `promise.get`, `task.get`, `task.halt` and `task.continue` say."""

    id: Id


class TaskAtVersion(Named):
    """A task at the version under which it is or was held: all that `task.release` says."""

    version: Count


class SearchPage(RequestData):
    """A part of a search: at most `limit` records with ids after `cursor`."""

    limit: Limit | None = None
    cursor: str | None = None


class NewPromise(Named):
    """`timeout_at` in Unix milliseconds."""

    timeout_at: Count
    param: Payload = Payload()
    tags: Tags = {}


class PromiseCreate(NewPromise):
    """What a caller may ask for; a schedule's template is not held to it."""

    def __post_init__(self) -> None:
        if "\0" in self.id:
            raise ValueError("a promise id holds no NUL")


class PromiseSettle(Named):
    state: Verdict
    value: Payload = Payload()


class RegisterCallback(RequestData):
    awaited: Id
    awaiter: Id

    def __post_init__(self) -> None:
        if self.awaited == self.awaiter:
            raise ValueError("a promise cannot await itself")


class RegisterListener(RequestData):
    awaited: Id
    address: Id


class PromiseSearch(SearchPage):
    state: Literal["pending", "rejected_timedout"] | Verdict | None = None
    tags: Tags | None = None


class NestedRequest[D](RequestData):
    """A request inside another one. Its `kind` and `head` must be there and mean nothing."""

    kind: str
    head: Any
    data: D


class TaskCreate(RequestData):
    """`ttl`, here and below, is the length of the lease in milliseconds."""

    pid: Id
    ttl: Positive
    action: NestedRequest[PromiseCreate]

    def __post_init__(self) -> None:
        if TAG_TARGET not in self.action.data.tags:
            raise ValueError(f"a task needs the tag {TAG_TARGET}")


class TaskAcquire(TaskAtVersion):
    pid: Id
    ttl: Positive


class TaskFulfill(TaskAtVersion):
    action: NestedRequest[PromiseSettle]

    def __post_init__(self) -> None:
        if self.action.data.id != self.id:
            raise ValueError("a task settles its own promise and no other")


class TaskSuspend(TaskAtVersion):
    actions: Annotated[list[NestedRequest[RegisterCallback]], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        if any(action.data.awaiter != self.id for action in self.actions):
            raise ValueError("the task itself must be the awaiter of each action")


class FenceAction(RequestData):
    kind: str
    data: Any

    @property
    def id(self) -> str:
        """The promise that the action is about, or nothing."""
        named = self.data.get("id") if isinstance(self.data, dict) else None
        return named if isinstance(named, str) else ""


class TaskFence(TaskAtVersion):
    action: FenceAction

    def __post_init__(self) -> None:
        if self.action.id == self.id:
            raise ValueError("the fenced action must be about another promise")


class BeatenTask(RequestData):
    id: str
    version: Whole


class TaskHeartbeat(RequestData):
    pid: Id
    tasks: list[BeatenTask]


class OneOriginHeartbeat(TaskHeartbeat):
    """The same as the server's main branch takes it: tasks of one origin, at least one."""

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ValueError("a heartbeat names at least one task")
        if len({beat.id.partition(".")[0] for beat in self.tasks}) > 1:
            raise ValueError("all tasks of a heartbeat have the same origin")


class TaskSearch(SearchPage):
    state: Literal["pending", "acquired", "suspended", "halted", "fulfilled"] | None = None


class ScheduleCreate(Named):
    """`promise_id` is a template; `promise_timeout` counts in milliseconds from each run."""

    cron: Id
    promise_id: Id
    promise_timeout: Count
    promise_param: Payload = Payload()
    promise_tags: Tags = {}


class ScheduleSearch(SearchPage):
    tags: Tags | None = None


def parse[R](type: type[R], data: Any) -> R:
    """Return `data` as the request it should be.

    Raises:
        RefusedRequest: 400, with what is wrong.
    """
    try:
        return msgspec.convert(data, type)
    except msgspec.ValidationError as error:
        raise RefusedRequest(400, f"Invalid request: {error}") from None
