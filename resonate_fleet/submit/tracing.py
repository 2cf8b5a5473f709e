"""Traces of submissions, if a setting asks for them."""

from resonate_fleet.contract.settings import Mistake
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.submit import Confirmation


class SubmissionTraces:
    """Hears of submissions. This class does nothing: traces are off."""

    def traceparent(self, _: Job) -> str:
        """Return the job's `traceparent` (W3C Trace Context), "" for none."""
        return ""

    def submitted(self, job: Job) -> None:
        """Begin the job's span."""

    def retried(self, job: Job, cause: str) -> None:
        """Note that the job is sent again."""

    def confirmed(self, confirmation: Confirmation) -> None:
        """End the job's span."""

    def close(self) -> None:
        """Send what has not been sent."""


def traces(kind: str, who: str) -> SubmissionTraces:
    """Return traces as `CLIENT_TRACES` says: `off` or `otlp`.

    Raises:
        Mistake: the extra `otel` is missing.
    """
    if kind == "off":
        return SubmissionTraces()
    try:
        from resonate_fleet.submit.otel import otlp  # noqa: PLC0415 - an extra that is seldom there
    except ImportError as error:
        raise Mistake(
            f"CLIENT_TRACES is {kind!r}, which needs the extra `otel` ({error}); accepted: `off`"
        ) from None
    return otlp(who)
