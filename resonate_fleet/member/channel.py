"""Requests that are tried until they are answered."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from resonate.error import ConnectorError

from resonate_fleet.contract.backoff import Backoff
from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.settings import fresh_token
from resonate_fleet.contract.wire import (
    TOO_LARGE,
    Foreign,
    Reply,
    Unreachable,
    Wire,
    parse,
    part,
    too_large,
)
from resonate_fleet.member.health import Health
from resonate_fleet.member.memory import Garbage
from resonate_fleet.member.requests import PARTS, Answer, Request, made

#: Seconds between two tries of a request: first and longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Seconds for which a request is repeated while the server answers with a status of 500 or more.
RETRY_SECONDS = 30.0
#: The same while the answer refuses the sender or is not the server's: for most requests, and for a
#: write that carries a body's result. The lease bounds the latter anyway.
REFUSED_RETRY_SECONDS, WRITE_RETRY_SECONDS = 3.0, 120.0
#: Statuses that refuse the sender and not the request: a token that has expired, say.
SENDER = (401, 403)
log = structlog.get_logger()


class Channel:
    """Tries requests until the server answers or `close` is called.

    It replaces the SDK's own connection. That one has aiohttp's total timeout of five minutes, does
    not retry after a `TimeoutError`, and pauses for up to a minute. Here a pause lasts a second at
    most, and the token is read anew for each try.
    """

    def __init__(
        self,
        wire: Wire,
        health: Health | None = None,
        token: str | None = None,
        clock: ServerClock | None = None,
    ) -> None:
        self._wire = wire
        self._clock = clock or ServerClock()
        self._health = health or Health()
        self._token = token
        self._closed = False
        self._garbage = Garbage()

    def close(self) -> None:
        self._closed = True

    async def exchange(
        self,
        request: Request,
        body: str,
        wanted: Callable[[], bool] = lambda: True,
        refused_seconds: float = REFUSED_RETRY_SECONDS,
    ) -> Answer:
        """Send an encoded request while it is `wanted`.

        An answer that is not the protocol's comes back as a reply with its status.

        Raises:
            ConnectorError: closed, or no longer wanted, before there was an answer.
        """
        self._garbage.left(len(body))
        if (refused := too_large(body)) is not None:
            return _foreign(request, TOO_LARGE, refused.body.decode(), repeated=False)
        began, repeated = time.monotonic(), False
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not self._closed and wanted():
            answer = await self._try(request, body, repeated=repeated)
            if not isinstance(answer, Answer):
                why, limit = answer, float("inf")
            elif answer.final:
                return answer
            else:
                why = f"{answer.reply.status} {answer.reply.data}"
                limit = RETRY_SECONDS if answer.reply.status >= 500 else refused_seconds
            if time.monotonic() - began >= limit and isinstance(answer, Answer):
                return answer
            log.debug("request.retried", kind=request.kind, why=why)
            repeated = True
            await asyncio.sleep(pauses.next())
        raise ConnectorError(RuntimeError("no longer wanted: the lease is gone or the member ends"))

    async def _try(self, request: Request, body: str, *, repeated: bool) -> Answer | str:
        """Return an answer, or why there was none."""
        sent, began = time.time(), time.monotonic()
        try:
            raw = await self._wire.post(self._signed(body))
            self._clock.heard(raw.date, sent)
            reply = parse(raw, request.kind)
            found: Any = None
            if reply.ok and request.kind in PARTS:
                found = part(self._wire.url, reply, *PARTS[request.kind])
        except Unreachable as error:
            self._health.silent(error.cause, time.monotonic() - began)
            return error.cause
        except Foreign as foreign:
            if foreign.passing:
                self._health.silent(str(foreign))
                return str(foreign)
            if foreign.status != TOO_LARGE:
                self._health.refused(foreign.status, str(foreign))
            return _foreign(request, foreign.status, foreign.text, repeated=repeated)
        # A token for some ids only may not read others: the server knows this member.
        of_others = reply.status == 403 and reply.kind == "promise.get"
        refused = reply.status in SENDER and not of_others
        if refused:
            self._health.refused(reply.status, f"{reply.kind}: {reply.status} {reply.data}")
        else:
            self._health.answered()
        final = reply.status < 500 and not refused
        return Answer(reply, raw.body.decode(), repeated, final, found)

    def _signed(self, body: str) -> str:
        """Put the token into the head of a request of the SDK, which has none."""
        token = fresh_token(self._token)
        if not token:
            return body
        return body.replace('"head":{', f'"head":{{"auth":{_json(token)},', 1)

    async def ask(self, kind: str, id: str, **more: Any) -> Reply | None:
        """Send a request of the member's own; None when the channel is closed first."""
        answer = await self._ask(kind, {"id": id, **more})
        return answer.reply if answer is not None else None

    async def find(self, kind: str, id: str) -> Any:
        """Return what `task.get` or `promise.get` shows, None where it shows nothing."""
        answer = await self._ask(kind, {"id": id})
        return answer.part if answer is not None else None

    async def _ask(self, kind: str, data: dict[str, Any]) -> Answer | None:
        try:
            return await self.exchange(*made(kind, data))
        except ConnectorError:
            return None


def _foreign(request: Request, status: int, text: str, *, repeated: bool) -> Answer:
    """Return what somebody else answered in the shape of a reply."""
    reply = Reply(kind=request.kind, status=status, data=text)
    return Answer(reply, request.reply(status, text), repeated, status == TOO_LARGE)


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
