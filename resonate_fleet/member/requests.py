"""The SDK's requests: the parts that the member reads, and replies that it makes itself.

Shapes: `resonate.send` of SDK 0.8.1; states: server v0.9.8, `src/server.rs`.
"""

from typing import Any

import msgspec

from resonate_fleet.contract.envelope import Value, encode_value, envelope
from resonate_fleet.contract.wire import Promise, Reply, Task
from resonate_fleet.member.attempts import Attempt

#: Requests that only the holder of a lease may send.
FENCED = ("task.fulfill", "task.suspend", "task.release", "task.fence")
#: Status of a reply to `task.suspend`: the awaited promise is settled, so go on at once.
GO_ON = 300
#: What the member reads in replies: under which key, in which form.
PARTS: dict[str, tuple[str, type]] = {
    "task.acquire": ("promise", Promise),
    "task.get": ("task", Task),
    "promise.get": ("promise", Promise),
}


class Action(msgspec.Struct):
    """The promise operation inside of a request about a task."""

    kind: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def outcome(self) -> str:
        return "resolved" if self.data.get("state") == "resolved" else "rejected"

    @property
    def error(self) -> str:
        """The message of a rejection (`resonate.codec`), "" for none."""
        if self.data.get("state") in (None, "resolved"):
            return ""
        value = _decoded(self.data.get("value", {}))
        return str(value.get("message", "") if isinstance(value, dict) else value or "")


def _decoded(value: Any) -> Any:
    """Return the JSON value in a payload, None where it cannot be read."""
    try:
        return msgspec.convert(value, Value).decoded()
    except (ValueError, msgspec.ValidationError):
        return None


class Data(msgspec.Struct):
    id: str = ""
    version: int = -1
    pid: str = ""
    action: Action = msgspec.field(default_factory=Action)


class Request(msgspec.Struct):
    kind: str
    head: dict[str, Any] = msgspec.field(default_factory=dict)
    data: Data = msgspec.field(default_factory=Data)

    def reply(self, status: int, data: Any) -> str:
        """Return a reply that the member makes itself."""
        head = {"corrId": self.head.get("corrId", ""), "status": status}
        return msgspec.json.encode({"kind": self.kind, "head": head, "data": data}).decode()


class Answer(msgspec.Struct):
    """A reply and its text. `repeated`: an earlier try may have reached the server too.

    `final`: another try is of no use. `part`: what the reply to a request in `PARTS` has.
    """

    reply: Reply
    body: str
    repeated: bool
    final: bool = True
    part: Any = None


read = msgspec.json.Decoder(Request).decode


def made(kind: str, data: dict[str, Any]) -> tuple[Request, str]:
    """Return a request of the member's own, and its text."""
    body = msgspec.json.encode(envelope(kind, data))
    return read(body), body.decode()


def rejection(task: str, version: int, why: str, stack: str) -> dict[str, Any]:
    """Return the data of a `task.fulfill` that rejects a job, as the SDK shapes an error."""
    error = {"__type": "error", "message": why} | ({"stack": stack} if stack else {})
    settle = {"id": task, "state": "rejected", "value": encode_value(error)}
    return {"id": task, "version": version, "action": envelope("promise.settle", settle)}


def with_traceback(body: str, traceback: str) -> str:
    """Return an encoded `task.fulfill` whose error carries its traceback, as `stack`.

    The SDK stores the text of an error and its pickled form, which has none.
    """
    request = msgspec.json.decode(body)
    settle = request["data"]["action"]["data"]
    error = _decoded(settle["value"])
    if not isinstance(error, dict) or "stack" in error:
        return body
    settle["value"] = encode_value(error | {"stack": traceback})
    return msgspec.json.encode(request).decode()


def why_lost(task: Task | None, attempt: Attempt) -> str:
    """Say why the lease of `attempt` is gone, from what the server shows of its task now."""
    if task is None:
        return "gone"
    if task.version != attempt.version:
        return "taken"
    return {"pending": "lapsed", "halted": "halted"}.get(task.state, "gone")


def is_done(request: Request, task: Task) -> bool:
    """Say whether the task is as `request` would leave it, at the request's version.

    A suspended task may be pending again: what it awaited is settled.
    """
    after = {
        "task.fulfill": ("fulfilled",),
        "task.suspend": ("suspended", "pending"),
        "task.release": ("pending",),
    }
    fits = task.state in after.get(request.kind, ())
    return fits and task.version == request.data.version
