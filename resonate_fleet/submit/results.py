"""Waits for results: reads the server's promises until every job has ended."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.wire import Promise, Unreachable

#: Pause between two rounds of reads: while results come, and when none has come for a while.
SOON, LATER = 0.05, 0.5
#: Promises read in one round, so that waiting for many jobs does not load the server.
WINDOW = 64


def wait(
    wire: BlockingWire,
    ids: Sequence[str],
    deadline: float,
    seconds: float = math.inf,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[str, Promise | None]]:
    """Yield each of `ids` with its promise when it has ended; None if the server has none.

    After `seconds` those that have not ended are yielded as they are. Each is read at least once.

    Raises:
        Unreachable: the server did not answer for `deadline` seconds.
    """
    pending = deque(dict.fromkeys(ids))
    end = time.monotonic() + seconds
    pause = SOON
    late = False
    while pending:
        ended = 0
        for _ in range(len(pending) if late else min(len(pending), WINDOW)):
            id_ = pending.popleft()
            promise = _patiently(wire, id_, deadline, sleep)
            if promise is not None and promise.state == "pending" and not late:
                pending.append(id_)
            else:
                ended += 1
                yield id_, promise
        pause = SOON if ended else min(pause * 1.3, LATER)
        if pending and time.monotonic() < end:
            sleep(min(pause, max(end - time.monotonic(), 0)))
        late = time.monotonic() >= end


def _patiently(
    wire: BlockingWire, id_: str, deadline: float, sleep: Callable[[float], None]
) -> Promise | None:
    end = time.monotonic() + deadline
    while True:
        try:
            return wire.promise(id_)
        except Unreachable:
            if time.monotonic() >= end:
                raise
            sleep(LATER)
