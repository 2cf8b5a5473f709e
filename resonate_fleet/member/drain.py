"""The drain: named steps to stop in order, in a thread that a blocked event loop cannot stop."""

import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from resonate_fleet.contract import exits
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.journal import DrainStep
from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.member.attempts import Attempt

if TYPE_CHECKING:
    from resonate_fleet.member.member import JobRunner

#: Seconds between two checks of what is still held.
CHECK_SECONDS = 0.02
#: Longest wait for the loop to close the intake, in seconds.
CLOSE_SECONDS = 1.0
#: Longest wait for claims and outcomes on their way, and then for the hand-back of all leases, in
#: seconds each.
HAND_BACK_SECONDS = 3.0
log = structlog.get_logger()


@dataclass(eq=False)
class Drain:
    """Waits for a signal in `signals`, then drains. A second signal ends the wait for bodies.

    Bodies may take `seconds` to finish. `not_ready` is called first, `close` last.
    """

    signals: "queue.SimpleQueue[str]"
    seconds: float
    wire: BlockingWire
    runner: "JobRunner"
    not_ready: Callable[[], None]
    close: Callable[[], None]
    _end: float = field(default=0.0, init=False)

    def start(self) -> None:
        threading.Thread(target=self.run, name="drain", daemon=True).start()

    def run(self) -> None:
        """Wait for the first signal and go through the steps."""
        log.info("signal", signal=self.signals.get())
        self._end = time.monotonic() + self.seconds
        try:
            self._steps()
        except BaseException:  # a defect, but the process must end
            log.exception("drain.failed")
            os._exit(exits.FAILED)

    def seconds_left(self) -> float:
        """Return how many seconds of the drain are left."""
        return max(0.0, self._end - time.monotonic())

    def _steps(self) -> None:
        self._step("not-ready")
        self.not_ready()
        self._step("intake-closed")
        self.runner.on_loop.wait(self.runner.intake.close, CLOSE_SECONDS)  # else it does so later
        self._step("finishing")
        self._finish()
        self.runner.claims.close()
        self._step("handing-back")
        self._hand_back()
        self._step("closed")
        self.runner.presence.leave()
        self.close()

    def _step(self, step: str) -> None:
        held = len(self.runner.table)
        self.runner.ledger.journal.write(DrainStep(step=step, held=held))

    def _finish(self) -> None:
        """Wait until no lease is held and no claim on its way, or for the end of the wait."""
        runner = self.runner
        while (len(runner.table) or runner.claims.pending) and self.seconds_left():
            try:
                log.info("signal", signal=self.signals.get(timeout=CHECK_SECONDS))
            except queue.Empty:
                continue
            return

    def _hand_back(self) -> None:
        runner, deadline = self.runner, time.monotonic() + HAND_BACK_SECONDS
        while (
            runner.claims.pending or any(one.lease.writing for one in runner.table.held())
        ) and time.monotonic() < deadline:
            time.sleep(CHECK_SECONDS)
        deadline = time.monotonic() + HAND_BACK_SECONDS
        for attempt in runner.table.held():
            if self._release(attempt, deadline) and runner.table.finish(attempt):
                runner.ledger.handed_back(attempt)
            runner.on_loop.soon(attempt.body.stop)
        self.wire.close()

    def _release(self, attempt: Attempt, deadline: float) -> bool:
        """Release the job; False if it is no longer ours or the server does not answer."""
        data = {"id": attempt.task, "version": attempt.version}
        why = "the server did not answer for those before it"
        while time.monotonic() < deadline:
            try:
                return self.wire.call("task.release", data, accept=(404, 409)).ok
            except (Unreachable, Refused) as error:
                why = str(error)
                time.sleep(0.1)
        log.warning("hand-back.failed", task=attempt.task, why=why)
        return False
