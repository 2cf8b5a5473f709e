"""Traces by OpenTelemetry: one trace an attempt, from the extra `otel`.

A trace's ids are made from task and attempt number. So an attempt can link to the one before it,
which ran on another member.
"""

import time
from collections.abc import Iterator
from contextvars import ContextVar
from hashlib import blake2b

import structlog
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from resonate_fleet.contract.words import TAG_TRACE
from resonate_fleet.member.attempts import Attempt

#: Longest wait for spans to be sent when the member ends, in seconds.
FLUSH = 1.0


def otlp(member: str, group: str) -> "Traces":
    """Return traces that leave by OTLP over HTTP; the library's own variables say where to."""
    return Traces(member, group, BatchSpanProcessor(OTLPSpanExporter()))


class Traces:
    """Hears of attempts from the ledger; hands spans to `processor`.

    An attempt's span is current while its function runs. The function's own spans are its children,
    and log lines carry the trace's id as `trace`.
    """

    def __init__(self, member: str, group: str, processor: SpanProcessor) -> None:
        names = {"service.name": "resonate-fleet-worker", "service.instance.id": member}
        resource = Resource.create(names | {"fleet.group": group})
        self._provider = TracerProvider(resource=resource, id_generator=_GivenIds())
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("worker")
        self._spans: dict[Attempt, trace.Span] = {}

    def claimed(self, attempt: Attempt) -> None:
        """Begin a trace; to be called in the context that the attempt runs in."""
        ids = ids_of(attempt.task, attempt.version)
        token = _wanted.set(ids)
        span = self._tracer.start_span(
            f"attempt {attempt.function}",
            context=context.Context(),
            links=list(_links(attempt)),
            attributes={
                "fleet.job": attempt.job,
                "fleet.task": attempt.task,
                "fleet.attempt": attempt.version,
                "fleet.function": attempt.function,
            },
        )
        _wanted.reset(token)
        self._spans[attempt] = span
        # It is not detached: the context ends with the SDK's task.
        context.attach(trace.set_span_in_context(span))
        structlog.contextvars.bind_contextvars(trace=trace.format_trace_id(ids[0]))

    def retried(self, attempt: Attempt, error: str) -> None:
        """Note that the function raised and will run again."""
        if (span := self._spans.get(attempt)) is not None:
            span.add_event("retried", {"error": error})

    def step_ended(self, attempt: Attempt, promise: str, seconds: float) -> None:
        """Note that a step's result was stored."""
        if (span := self._spans.get(attempt)) is None:
            return
        now = time.time_ns()
        step = self._tracer.start_span(
            "step",
            context=trace.set_span_in_context(span),
            start_time=now - int(seconds * 1e9),
            attributes={"fleet.promise": promise},
        )
        step.end(now)

    def ended(self, attempt: Attempt, outcome: str, error: str) -> None:
        """End a trace."""
        if (span := self._spans.pop(attempt, None)) is None:
            return
        span.set_attribute("fleet.outcome", outcome)
        if outcome not in ("resolved", "suspended", "released"):
            span.set_status(trace.StatusCode.ERROR, error or outcome)
        span.end()

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.force_flush(int(FLUSH * 1000))


def ids_of(task: str, version: int) -> tuple[int, int]:
    """Return trace id (128 bits) and root span id (64 bits) of an attempt."""
    digest = blake2b(f"{task}#{version}".encode(), digest_size=24).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:])


def _links(attempt: Attempt) -> Iterator[trace.Link]:
    """Link to the submission, which the client left in a tag, and to the attempt before."""
    carrier = {"traceparent": attempt.tags.get(TAG_TRACE, "")}
    found = TraceContextTextMapPropagator().extract(carrier)
    submission = trace.get_current_span(found).get_span_context()
    if submission.is_valid:
        yield trace.Link(submission, {"fleet.link": "submission"})
    if attempt.version > 1:
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
        ids = ids_of(attempt.task, attempt.version - 1)
        before = trace.SpanContext(*ids, is_remote=True, trace_flags=flags)
        yield trace.Link(before, {"fleet.link": "attempt before"})


#: The ids that the next root span is to have.
_wanted: ContextVar[tuple[int, int] | None] = ContextVar("ids", default=None)


class _GivenIds(RandomIdGenerator):
    """Gives the wanted ids if there are any, else random ones."""

    def generate_trace_id(self) -> int:
        wanted = _wanted.get()
        return super().generate_trace_id() if wanted is None else wanted[0]

    def generate_span_id(self) -> int:
        wanted = _wanted.get()
        return super().generate_span_id() if wanted is None else wanted[1]
