"""Stopping in order: named steps, in a thread that a blocked event loop cannot stop."""

import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from resonate_fleet.contract import exits
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.journal import DrainStep
from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.member.attempts import Attempt, Table
from resonate_fleet.member.ledger import Ledger

#: Seconds between two looks at what is still held.
LOOK = 0.02
#: Seconds for which the hand-back is tried while the server does not answer.
HAND_BACK_PATIENCE = 3.0
log = structlog.get_logger()


@dataclass(frozen=True)
class DrainActions:
    """What the drain does, in its order. Each may be called from any thread."""

    not_ready: Callable[[], None]
    close_intake: Callable[[], None]
    #: True while a claim is on its way: it may still be granted.
    claiming: Callable[[], bool]
    #: From now on a claim that is granted goes back at once.
    refuse_claims: Callable[[], None]
    stop_body: Callable[[Attempt], None]
    close: Callable[[], None]


class Drain:
    """Waits for a signal in `signals`, then drains; a second signal ends the waiting at once.

    `seconds` is how long what is held may take to finish.
    """

    def __init__(
        self,
        signals: "queue.SimpleQueue[str]",
        seconds: float,
        table: Table,
        wire: BlockingWire,
        ledger: Ledger,
        actions: DrainActions,
    ) -> None:
        self._signals = signals
        self._seconds = seconds
        self._table = table
        self._wire = wire
        self._ledger = ledger
        self._actions = actions
        self._end = 0.0

    def start(self) -> None:
        threading.Thread(target=self.run, name="drain", daemon=True).start()

    def run(self) -> None:
        """Wait for the first signal and go through the steps."""
        log.info("signal", signal=self._signals.get())
        self._end = time.monotonic() + self._seconds
        try:
            self._steps()
        except BaseException:  # a defect: the process must end all the same
            log.exception("drain.failed")
            os._exit(exits.FAILED)

    def left(self) -> float:
        """Return how many seconds are left of the drain's time."""
        return max(0.0, self._end - time.monotonic())

    def _steps(self) -> None:
        self._step("not-ready")
        self._actions.not_ready()
        self._step("intake-closed")
        self._actions.close_intake()
        self._step("finishing")
        self._finish()
        self._actions.refuse_claims()
        self._step("handing-back")
        self._hand_back()
        self._step("closed")
        self._actions.close()

    def _step(self, step: str) -> None:
        self._ledger.journal.write(DrainStep(step=step, held=len(self._table)))

    def _finish(self) -> None:
        while len(self._table) or self._actions.claiming():
            if not self.left():
                return
            try:
                log.info("signal", signal=self._signals.get(timeout=LOOK))
            except queue.Empty:
                continue
            return

    def _hand_back(self) -> None:
        patience = time.monotonic() + HAND_BACK_PATIENCE
        while self._actions.claiming() and time.monotonic() < patience:
            time.sleep(LOOK)
        for attempt in self._table.held():
            if self._release(attempt, patience) and self._table.finish(attempt):
                self._ledger.handed_back(attempt)
            self._actions.stop_body(attempt)
        self._wire.close()

    def _release(self, attempt: Attempt, patience: float) -> bool:
        """Put the job back; False where it is no longer ours, or nobody answered."""
        data = {"id": attempt.task, "version": attempt.version}
        while True:
            try:
                return self._wire.call("task.release", data, accept=(404, 409)).ok
            except (Unreachable, Refused) as error:
                if time.monotonic() >= patience:
                    log.warning("hand-back.failed", task=attempt.task, why=str(error))
                    return False
                time.sleep(0.1)
