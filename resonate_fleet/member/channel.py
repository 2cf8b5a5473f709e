"""Requests that are tried until they are answered."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import structlog
from resonate.error import ConnectorError

from resonate_fleet.contract.wire import Refused, Reply, Unreachable, Wire, parse
from resonate_fleet.member.requests import Answer

#: Seconds between two tries of a request: first and longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Seconds for which a request is repeated that the server answers with a failure of its own.
PATIENCE = 30.0
log = structlog.get_logger()


class Channel:
    """Tries requests until the server answers or `close` is called.

    The SDK's own connection keeps aiohttp's total timeout of five minutes, gives up on a request
    whose answer timed out (`TimeoutError` is not among what it retries), and pauses for up to a
    minute. Here pauses are a second at most.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._closed = False

    def close(self) -> None:
        self._closed = True

    async def exchange(self, body: str, wanted: Callable[[], bool] = lambda: True) -> Answer:
        """Send an encoded request while it is `wanted`.

        Raises:
            ConnectorError: closed, or no longer wanted, before there was an answer.
        """
        pause, repeated, patience = FIRST_PAUSE, False, time.monotonic() + PATIENCE
        while not self._closed and wanted():
            try:
                raw = await self._wire.post(body)
                reply = parse(raw)
                if reply.status < 500 or time.monotonic() > patience:
                    return Answer(reply, raw.decode(), repeated)
                why = f"{reply.kind}: {reply.status} {reply.data}"
            except Unreachable as error:
                why = error.cause
            except ValueError as error:  # a proxy's page, say
                why = str(error)
            log.debug("request.retried", why=why, pause=pause)
            repeated = True
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, LONGEST_PAUSE)
        raise ConnectorError(RuntimeError("no longer wanted: the lease is gone or the member ends"))

    async def ask(self, kind: str, id: str, **more: Any) -> Reply | None:
        """Send a request of the member's own; None when the channel is closed first."""
        pause = FIRST_PAUSE
        while not self._closed:
            try:
                return await self._wire.call(kind, {"id": id, **more}, accept=(404, 409))
            except Unreachable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Refused as refused:
                return refused.reply
        return None

    async def task(self, id: str) -> dict[str, Any] | None:
        """Return a task as the server shows it, None where there is none."""
        reply = await self.ask("task.get", id)
        return dict(reply.data["task"]) if reply is not None and reply.ok else None
