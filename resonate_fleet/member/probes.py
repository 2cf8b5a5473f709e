"""The pages that probes and scrapes ask for."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from resonate_fleet.contract.pages import Handler, Page
from resonate_fleet.member.health import Health
from resonate_fleet.member.leases import Heartbeats

#: Seconds between two ticks of the loop.
TICK = 0.2
#: Seconds between two requests to a server whose stream is not open, and for which one counts.
CHECK, RECENT = 1.0, 3.0
#: Seconds that the heartbeat thread may be late; its longest wait for answers is shorter.
LATE_SECONDS = 60.0


class LoopLag:
    """How late the event loop is. `run` is a task of the loop; the rest is for any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = now()

    async def run(self) -> None:
        while True:
            self._last = self._now()
            await asyncio.sleep(TICK)

    def seconds(self) -> float:
        """Return the seconds by which the loop is late."""
        return max(0.0, self._now() - self._last - TICK)


class Probes:
    """Answers of `/livez` and `/readyz`, each with its reasons in words.

    Liveness asks whether this process works: its loop runs and its heartbeats go out. Neither a
    blocking job, which has its own thread, nor an absent server or a drain matters.

    Readiness asks whether work can be done: the stream is open, or the server takes requests. A
    proxy that buffers may keep the stream closed while nothing is sent.
    """

    def __init__(
        self,
        loop_lag: LoopLag,
        heartbeats: Heartbeats,
        liveness: float,
        connected: Callable[[], bool],
        health: Health,
    ) -> None:
        self.loop_lag = loop_lag
        self._heartbeats = heartbeats
        self._liveness = liveness
        self._connected = connected
        self._health = health
        self.draining = False

    def drain(self) -> None:
        """Stop being ready."""
        self.draining = True

    def not_alive(self) -> list[str]:
        found = []
        if self.loop_lag.seconds() > self._liveness:
            found.append(f"the event loop has been blocked for {self.loop_lag.seconds():.1f} s")
        late = time.monotonic() - self._heartbeats.woke - self._heartbeats.interval
        if not self._heartbeats.alive or late > LATE_SECONDS:
            found.append("heartbeats have stopped")
        return found

    def not_ready(self) -> list[str]:
        found = []
        if self.draining:
            found.append("draining")
        if self._health.failing:
            found.append(f"the server takes no requests: {self._health.failing}")
        elif not self._connected() and not self._health.takes(RECENT):
            found.append("no stream from the server")
        return found

    def pages(self, metrics: Handler, version: Mapping[str, Any]) -> dict[str, Handler]:
        return {
            "/livez": lambda _: _answer(self.not_alive()),
            "/readyz": lambda _: _answer(self.not_ready()),
            "/metrics": metrics,
            "/version": lambda _: Page(
                json.dumps(dict(version)) + "\n", content_type="application/json"
            ),
        }


def _answer(reasons: list[str]) -> Page:
    return Page("\n".join(reasons or ["ok"]) + "\n", 503 if reasons else 200)
