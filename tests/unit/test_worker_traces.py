"""Traces: one an attempt, linked to the submission and to the attempt before."""

import asyncio
from collections.abc import Iterator

import pytest
import structlog

from resonate_fleet.contract.words import TAG_TRACE
from resonate_fleet.member.attempts import Attempt, Callee
from resonate_fleet.member.ledger import traces

pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")

from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from resonate_fleet.member.otel import Traces

SUBMISSION = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    with structlog.contextvars.bound_contextvars():
        yield InMemorySpanExporter()


def made(version: int = 1) -> Attempt:
    return Attempt("j", version, Callee("f", "f"), {TAG_TRACE: SUBMISSION})


async def live(told: Traces, attempt: Attempt, outcome: str = "resolved") -> str:
    """Live an attempt in a task of its own; return the trace id that its log lines carry."""

    async def body() -> str:
        told.claimed(attempt)
        with trace.get_tracer("function").start_as_current_span("inside"):
            told.step_ended(attempt, "j:1", 0.5)
        told.retried(attempt, "ValueError: no")
        told.ended(attempt, outcome, "")
        return str(structlog.contextvars.get_contextvars()["trace"])

    return await asyncio.create_task(body())


async def test_an_attempt_is_a_trace_with_its_steps(exported: InMemorySpanExporter) -> None:
    told = Traces("me-1", "g", SimpleSpanProcessor(exported))
    shown = await live(told, made())
    step, root = exported.get_finished_spans()
    assert root.context is not None
    assert root.name == "attempt f"
    assert root.parent is None
    assert trace.format_trace_id(root.context.trace_id) == shown
    assert step.parent is not None
    assert step.parent.span_id == root.context.span_id
    assert (step.end_time or 0) - (step.start_time or 0) == 500_000_000
    assert [event.name for event in root.events] == ["retried"]
    assert root.resource.attributes["service.instance.id"] == "me-1"
    (link,) = root.links
    assert trace.format_trace_id(link.context.trace_id) == SUBMISSION.split("-")[1]


async def test_an_attempt_elsewhere_links_to_the_one_before(
    exported: InMemorySpanExporter,
) -> None:
    for member, version in (("first", 1), ("second", 2)):
        told = Traces(member, "g", SimpleSpanProcessor(exported))
        await live(told, made(version), "lost" if version == 1 else "resolved")
    first, second = [span for span in exported.get_finished_spans() if span.parent is None]
    assert first.context is not None
    before = second.links[1].context
    assert (before.trace_id, before.span_id) == (first.context.trace_id, first.context.span_id)
    assert not first.status.is_ok
    assert second.status.is_unset


def test_off_is_nothing() -> None:
    assert traces("off", "me", "g") is None
