"""Traces of submissions, where somebody asks for them."""

from resonate_fleet.contract.settings import Mistake
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.submit import Confirmation


class SubmissionTraces:
    """What submission tells of jobs. This one keeps nothing: traces are off."""

    def traceparent(self, _: Job) -> str:
        """Return what the job carries to its worker, by the W3C's Trace Context, or nothing."""
        return ""

    def submitted(self, job: Job) -> None:
        """Begin the job's span."""

    def retried(self, job: Job, cause: str) -> None:
        """There was no answer; the job is sent again."""

    def confirmed(self, confirmation: Confirmation) -> None:
        """The submission is over."""

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
