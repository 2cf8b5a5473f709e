"""The call and the result that a promise carries, in the shape of the SDK."""

from typing import Any

import msgspec

from resonate_fleet.contract.envelope import Value
from resonate_fleet.contract.wire import Promise


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """The call inside a promise's parameter, in the SDK's own shape (`resonate.types.TaskData`)."""

    func: str
    args: list[Any] = msgspec.field(default_factory=list)
    kwargs: dict[str, Any] = msgspec.field(default_factory=dict)
    version: int = 1

    @property
    def label(self) -> str:
        return label(self.func, self.version)


msgspec.convert({"func": ""}, Call)  # see `contract.wire`


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the worker image's functions, which says who brought it.

    The function gives `id`, `cost` (the seconds that were asked for) and `steps`. Its member fills
    in the rest: its name, the `attempt`, and when the body `began` and `ended`, in Unix seconds.
    """

    id: str
    member: str = ""
    attempt: int = 0
    began: float = 0.0
    ended: float = 0.0
    cost: float = 0.0
    steps: int = 0


def label(name: str, version: int) -> str:
    """Return a function's label: `name`, or past version 1 `name@version`."""
    return name if version == 1 else f"{name}@{version}"


def call_of(promise: Promise) -> Call | None:
    """Return the call that `promise` carries, or None where it carries none (a timer, say)."""
    return _read(promise.param, Call)


def result_of(promise: Promise) -> Result | None:
    """Return the result in `promise` if it is one of the worker image's own."""
    return _read(promise.value, Result) if promise.state == "resolved" else None


def _read[T](value: Value, form: type[T]) -> T | None:
    try:
        return msgspec.convert(value.decoded(), form)
    except ValueError:  # msgspec's own is one
        return None
