"""Hints: `execute` messages of the server, each with a task's id and version."""

import msgspec


class Hint(msgspec.Struct, frozen=True):
    """The task `id` was claimable at `version` when the server wrote this."""

    id: str
    version: int = 0


class _Data(msgspec.Struct):
    task: Hint | None = None


class _Message(msgspec.Struct):
    kind: str
    data: _Data


_decode = msgspec.json.Decoder(_Message).decode


def read_hint(text: str) -> Hint | None:
    """Return the hint in a message of the server, None for a message of another kind.

    Raises:
        ValueError: the text is no message.
    """
    message = _decode(text)
    return message.data.task if message.kind == "execute" else None


def is_child(task: str) -> bool:
    """Say whether a task is a child of a job: it may be a durable sleep, which nobody runs."""
    return ":" in task
