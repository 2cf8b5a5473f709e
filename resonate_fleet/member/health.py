"""Whether this member works and its server takes its requests, and the pages that say so."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from resonate_fleet.contract.pages import Handler, Page
from resonate_fleet.member.leases import Heartbeats

#: Seconds for which requests fail before this is logged and the member counts as not ready.
LASTING = 2.0
#: Seconds between two ticks of the loop.
TICK = 0.2
#: Seconds between two requests to a server whose stream is not open, and for which one counts.
CHECK, RECENT = 1.0, 3.0
#: Seconds that the heartbeat thread may be late; its longest wait for answers is shorter.
LATE_SECONDS = 60.0
log = structlog.get_logger()


@dataclass(eq=False)
class Health:
    """Whether the server takes this member's requests; logged once, not for each request.

    Safe to use from any thread. `count` gets the status of each answer that refuses the sender or
    is not the protocol's, and "none" for each request without an answer. `connected` says whether
    the stream is open; if it is not, that has been logged.
    """

    count: Callable[[str], None] = lambda _: None
    now: Callable[[], float] = time.monotonic
    connected: Callable[[], bool] = lambda: True
    _since: float | None = field(default=None, init=False)
    _why: str = field(default="", init=False)
    _said: bool = field(default=False, init=False)
    #: When the server last took a request.
    _answered_at: float | None = field(default=None, init=False)

    def answered(self) -> None:
        """Note that the server took a request."""
        if self._said and self._since is not None:
            log.info("requests.accepted", seconds=round(self.now() - self._since, 3))
        self._since, self._said = None, False
        self._answered_at = self.now()

    def silent(self, why: str, after: float = 0.0) -> None:
        """Note that the server gave no answer, `after` so many seconds."""
        self._fails("none", why, after, say=self.connected())

    def refused(self, status: int, why: str) -> None:
        """Note an answer that would refuse any request: to a wrong token, or of who is busy."""
        self._fails(str(status), why)

    def _fails(self, status: str, why: str, after: float = 0.0, *, say: bool = True) -> None:
        self.count(status)
        self._since = self.now() - after if self._since is None else self._since
        self._why = why
        if say and self.failing and not self._said:
            self._said = True
            log.error("requests.refused", why=why, then="asked again; this member is not ready")

    @property
    def failing(self) -> str:
        """Why requests have failed for a while, "" if they have not."""
        since = self._since
        return self._why if since is not None and self.now() - since >= LASTING else ""

    def takes(self, within: float) -> bool:
        """Say whether the server took a request in the last `within` seconds."""
        return self._answered_at is not None and self.now() - self._answered_at < within


@dataclass(eq=False)
class Probes:
    """Answers of `/livez` and `/readyz`, each with its reasons in words.

    Liveness asks whether this process works: its loop runs and its heartbeats go out. Neither a
    blocking job, which has its own thread, nor an absent server or a drain matters.

    Readiness asks whether work can be done: the stream is open, or the server takes requests. A
    proxy that buffers may keep the stream closed while nothing is sent.

    `run` is a task of the event loop; the rest is for any thread.
    """

    heartbeats: Heartbeats
    liveness: float
    connected: Callable[[], bool]
    health: Health
    heartbeat_health: Health
    now: Callable[[], float] = time.monotonic
    draining: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._ticked = self.now()

    async def run(self) -> None:
        while True:
            self._ticked = self.now()
            await asyncio.sleep(TICK)

    def lag(self) -> float:
        """Return the seconds by which the event loop is late."""
        return max(0.0, self.now() - self._ticked - TICK)

    def drain(self) -> None:
        """Stop being ready."""
        self.draining = True

    def not_alive(self) -> list[str]:
        found = []
        if self.lag() > self.liveness:
            found.append(f"the event loop has been blocked for {self.lag():.1f} s")
        late = time.monotonic() - self.heartbeats.woke - self.heartbeats.interval
        if not self.heartbeats.alive or late > LATE_SECONDS:
            found.append("heartbeats have stopped")
        return found

    def not_ready(self) -> list[str]:
        found = []
        if self.draining:
            found.append("draining")
        if why := self.health.failing or self.heartbeat_health.failing:
            found.append(f"the server takes no requests: {why}")
        elif not self.connected() and not self.health.takes(RECENT):
            found.append("no stream from the server")
        return found

    def pages(self, metrics: Handler) -> dict[str, Handler]:
        return {
            "/livez": lambda _: _answer(self.not_alive()),
            "/readyz": lambda _: _answer(self.not_ready()),
            "/metrics": metrics,
        }


def _answer(reasons: list[str]) -> Page:
    return Page("\n".join(reasons or ["ok"]) + "\n", 503 if reasons else 200)
