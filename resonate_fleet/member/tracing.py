"""Traces of attempts, if a setting asks for them."""

from resonate_fleet.contract.settings import Mistake
from resonate_fleet.member.attempts import Attempt


class Traces:
    """Hears of attempts from the ledger. This class does nothing: traces are off."""

    def claimed(self, attempt: Attempt) -> None:
        """Begin a trace; to be called in the context that the attempt runs in."""

    def retried(self, attempt: Attempt, error: str) -> None:
        """Note that the function raised and will run again."""

    def step_ended(self, attempt: Attempt, promise: str, seconds: float) -> None:
        """Note that a step's result was checkpointed."""

    def ended(self, attempt: Attempt, outcome: str, error: str) -> None:
        """End a trace."""

    def close(self) -> None:
        """Send what has not been sent."""


def traces(kind: str, member: str, group: str) -> Traces:
    """Return traces as `WORKER_TRACES` says: `off` or `otlp`.

    Raises:
        Mistake: the extra `otel` is missing.
    """
    if kind == "off":
        return Traces()
    try:
        from resonate_fleet.member.otel import otlp  # noqa: PLC0415 - an extra that is seldom there
    except ImportError as error:
        raise Mistake(
            f"WORKER_TRACES is {kind!r}, which needs the extra `otel` ({error}); accepted: `off`"
        ) from None
    return otlp(member, group)
