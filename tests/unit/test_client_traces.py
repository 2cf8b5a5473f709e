"""Traces of submissions: a span each, whose ids travel with the job."""

import sys

import pytest

from resonate_fleet.contract.calls import Call
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.session import traces
from resonate_fleet.submit.submit import Confirmation, Observer

JOB = Job("a", Call(func="f"), 1.0)


def test_off_keeps_and_sends_nothing() -> None:
    off = traces("off", "me")
    off.submitted(JOB)
    assert type(off) is Observer
    assert off.traceparent(JOB) == ""


def test_without_the_extra_it_is_the_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resonate_fleet.submit.otel", None)
    with pytest.raises(Mistake, match="needs the extra `otel`"):
        traces("otlp", "me")


def test_a_submission_is_a_span_and_the_job_carries_its_ids() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    from opentelemetry import trace  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: PLC0415
        InMemorySpanExporter,
    )

    from resonate_fleet.submit.otel import SubmissionSpans  # noqa: PLC0415

    exported = InMemorySpanExporter()
    told = SubmissionSpans("me", SimpleSpanProcessor(exported))
    told.submitted(JOB)
    carried = told.traceparent(JOB)
    told.retried(JOB, "no answer")
    told.confirmed(Confirmation(JOB, new=True, differs=False, seconds=0.1))
    told.close()
    (span,) = exported.get_finished_spans()
    assert span.context is not None
    ids = trace.format_trace_id(span.context.trace_id), trace.format_span_id(span.context.span_id)
    assert carried.rpartition("-")[0] == f"00-{ids[0]}-{ids[1]}"
    assert int(carried[-2:], 16) & 1  # sampled
    assert span.name == "submit f"
    assert dict(span.attributes or {})["fleet.job"] == "a"
    assert [event.name for event in span.events] == ["retried"]
