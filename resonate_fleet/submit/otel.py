"""Traces by OpenTelemetry: a span a submission, from the extra `otel`.

The span's ids travel in a tag of the job, so that the attempts on the workers link to it.
"""

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from resonate_fleet.submit.load import Job
from resonate_fleet.submit.submit import Confirmation, Observer

#: Longest wait for spans to be sent when the client ends, in milliseconds.
FLUSH = 1000


def otlp(who: str) -> Observer:
    """Return traces that leave by OTLP over HTTP; the library's own variables say where to."""
    return SubmissionSpans(who, BatchSpanProcessor(OTLPSpanExporter()))


class SubmissionSpans(Observer):
    """Hands spans to `processor`."""

    def __init__(self, who: str, processor: SpanProcessor) -> None:
        resource = Resource.create(
            {"service.name": "resonate-fleet-client", "service.instance.id": who}
        )
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("client")
        self._spans: dict[str, trace.Span] = {}

    def submitted(self, job: Job) -> None:
        self._spans[job.id] = self._tracer.start_span(
            f"submit {job.call.func}",
            context=context.Context(),
            kind=trace.SpanKind.PRODUCER,
            attributes={"fleet.job": job.id, "fleet.function": job.call.func},
        )

    def traceparent(self, job: Job) -> str:
        carrier: dict[str, str] = {}
        span = trace.set_span_in_context(self._spans[job.id])
        TraceContextTextMapPropagator().inject(carrier, span)
        return carrier["traceparent"]

    def retried(self, job: Job, cause: str) -> None:
        self._spans[job.id].add_event("retried", {"cause": cause})

    def confirmed(self, confirmation: Confirmation) -> None:
        span = self._spans.pop(confirmation.job.id, None)
        if span is not None:  # None: the id was given twice
            span.set_attribute("fleet.new", confirmation.new)
            span.end()

    def close(self) -> None:
        self._provider.force_flush(FLUSH)
