"""What the parts of the steward share: the server, the journal, what it knows, how it fails."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from resonate_fleet.contract.loops import set_within
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.wire import Refused, Strange, Unreachable, Wire
from resonate_fleet.steward.attempts import Attempts
from resonate_fleet.steward.metrics import Meters
from resonate_fleet.steward.state_file import Memory, StateFile

#: Pauses while the server does not answer, in seconds; the last one repeats.
PAUSES = (0.05, 0.1, 0.2, 0.5)
#: Status for an expired token: its file will hold a new one.
EXPIRED = 401
#: Seconds between two log lines about the same failure.
SAID_SECONDS = 60.0


@dataclass(frozen=True)
class Tools:
    """`now` tells Unix seconds."""

    wire: Wire
    journal: Journal
    meters: Meters
    memory: Memory = field(default_factory=Memory)
    file: StateFile = field(default_factory=lambda: StateFile(None))
    now: Callable[[], float] = time.time
    attempts: Attempts = field(default_factory=Attempts)
    #: When each failure was last logged, and how often it came since.
    said: dict[str, tuple[float, int]] = field(default_factory=dict)
    #: Seconds for which a missed member may come back.
    grace: float = 0.1

    def save(self) -> None:
        """Write the memory to the state file; a failure is counted and stops nothing."""
        try:
            self.file.save(self.memory)
        except OSError as error:
            self.failed("state", error)

    async def insist[T](
        self, ask: Callable[[], Awaitable[T]], what: str, give_up: asyncio.Event | None = None
    ) -> T | None:
        """Ask until the server answers; None if `give_up` is set or the server refuses for good."""
        for tries in itertools.count():
            try:
                return await ask()
            except (Refused, Strange) as error:
                self.failed(what, error)
                if not (isinstance(error, Refused) and error.reply.status == EXPIRED):
                    return None
            except Unreachable as error:
                if tries == 0:
                    self.failed(what, error)
            if await set_within(PAUSES[min(tries, len(PAUSES) - 1)], give_up or asyncio.Event()):
                return None
        return None

    async def tell(self, kind: str, task: str) -> bool:
        """Send `task.halt` or `task.continue`; False where the task is not in a state for it."""

        async def ask() -> bool:
            return (await self.wire.call(kind, {"id": task}, accept=(404, 409))).ok

        return bool(await self.insist(ask, "quarantine"))

    def not_accepting(self, why: str) -> None:
        """Log that connections cannot be accepted; those that are open go on."""
        self.failed("accept", OSError(f"{why}: no connection can be accepted (ulimit -n)"))

    def failed(self, what: str, error: Exception) -> None:
        """Count a failure; log it once in `SAID_SECONDS`."""
        self.meters.errors.labels(what).inc()
        said_at, more = self.said.get(what, (float("-inf"), 0))
        now = time.monotonic()
        if now - said_at < SAID_SECONDS:
            self.said[what] = said_at, more + 1
            return
        self.said[what] = now, 0
        structlog.get_logger().warning("steward.failed", what=what, error=str(error), unsaid=more)
