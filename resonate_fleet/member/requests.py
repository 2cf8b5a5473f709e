"""The SDK's requests as they pass by: the parts that are looked at, and replies made here.

Shapes: `resonate.send` of SDK 0.8.1; states: server v0.9.8, `src/server.rs`.
"""

from typing import Any

import msgspec

from resonate_fleet.contract.wire import Reply, Value
from resonate_fleet.member.attempts import Attempt

#: Requests that only the holder of a lease may send.
FENCED = ("task.fulfill", "task.suspend", "task.release", "task.fence")
#: Status of a reply to `task.suspend`: what was awaited is there, go on at once.
GO_ON = 300


class Action(msgspec.Struct):
    """The promise operation inside of a request about a task."""

    kind: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def outcome(self) -> str:
        return "resolved" if self.data.get("state") == "resolved" else "rejected"

    @property
    def error(self) -> str:
        """The message that a rejection carries (`resonate.codec`), or nothing."""
        if self.data.get("state") in (None, "resolved"):
            return ""
        try:
            value = msgspec.convert(self.data.get("value", {}), Value).decoded()
        except (ValueError, msgspec.ValidationError):
            return ""
        return str(value.get("message", "")) if isinstance(value, dict) else str(value)


class Data(msgspec.Struct):
    id: str = ""
    version: int = -1
    action: Action = msgspec.field(default_factory=Action)


class Head(msgspec.Struct, rename="camel"):
    corr_id: str = ""


class Request(msgspec.Struct):
    kind: str
    head: Head = msgspec.field(default_factory=Head)
    data: Data = msgspec.field(default_factory=Data)

    def reply(self, status: int, data: Any) -> str:
        """Return a reply made here."""
        head = {"corrId": self.head.corr_id, "status": status}
        return msgspec.json.encode({"kind": self.kind, "head": head, "data": data}).decode()


class Answer(msgspec.Struct):
    """A reply, as it came, and whether an earlier try may have reached the server too."""

    reply: Reply
    body: str
    repeated: bool


read = msgspec.json.Decoder(Request).decode


def why_lost(task: dict[str, Any] | None, attempt: Attempt) -> str:
    """Say why the lease of `attempt` is gone, from what the server shows of its task now."""
    if task is None:
        return "gone"
    if task["version"] != attempt.version:
        return "taken"
    return {"pending": "lapsed", "halted": "halted"}.get(task["state"], "gone")


def is_done(request: Request, task: dict[str, Any]) -> bool:
    """Tell whether the task stands as `request` would leave it, at the request's version.

    A suspended task may be pending again already, woken by what it awaited.
    """
    after = {
        "task.fulfill": ("fulfilled",),
        "task.suspend": ("suspended", "pending"),
        "task.release": ("pending",),
    }
    fits = task["state"] in after.get(request.kind, ())
    return fits and task["version"] == request.data.version
