"""Liveness in its reasons, on a clock of the test's own."""

import sys
import time

import pytest

from resonate_fleet.contract.settings import Mistake
from resonate_fleet.member.attempts import Table
from resonate_fleet.member.health import Health, Probes
from resonate_fleet.member.leases import Heartbeats
from resonate_fleet.member.ledger import traces
from tests.support.model import BlockingModelWire, Model


def test_liveness_asks_for_a_loop_that_turns_and_for_heartbeats() -> None:
    now = [100.0]
    model = Model()
    heartbeats = Heartbeats(Table(), BlockingModelWire(model), "me", 60.0, lambda *_: None)
    probes = Probes(heartbeats, 10.0, lambda: True, Health(), Health(), lambda: now[0])
    assert probes.not_alive() == ["heartbeats have stopped"]
    with heartbeats:
        assert probes.not_alive() == []
        now[0] += 10.0
        assert probes.not_alive() == []
        now[0] += 1.0
        assert probes.not_alive() == ["the event loop has been blocked for 10.8 s"]
        heartbeats.woke = time.monotonic() - 1000
        assert "heartbeats have stopped" in probes.not_alive()
    model.close()


def test_readiness_asks_for_the_stream_and_no_drain() -> None:
    connected, model = [True], Model()
    heartbeats = Heartbeats(Table(), BlockingModelWire(model), "me", 60.0, lambda *_: None)
    probes = Probes(heartbeats, 10.0, lambda: connected[0], Health(), Health())
    assert probes.not_ready() == []
    connected[0] = False
    assert probes.not_ready() == ["no stream from the server"]
    probes.drain()
    assert probes.not_ready() == ["draining", "no stream from the server"]
    model.close()


def test_traces_are_off_or_their_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert traces("off", "me", "g") is None
    monkeypatch.delitem(sys.modules, "resonate_fleet.member.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(Mistake, match="WORKER_TRACES is 'otlp', which needs the extra `otel`"):
        traces("otlp", "me", "g")
