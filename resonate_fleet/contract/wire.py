"""The typed client of the server's own protocol: one envelope out, one envelope back.

Protocol facts: `POST /` takes `{kind, head: {corrId, version}, data}` and answers with the same
shape, the outcome in `head.status`; the HTTP status repeats it (server v0.9.8, `src/server.rs`).
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec

from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.envelope import Raw, Value, encode_value, envelope
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.settings import Token

if TYPE_CHECKING:
    from resonate_fleet.contract.http import Poster


class Promise(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A durable promise. Times are Unix milliseconds."""

    id: str
    state: str
    param: Value = msgspec.field(default_factory=Value)
    value: Value = msgspec.field(default_factory=Value)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    timeout_at: int = 0
    created_at: int = 0
    settled_at: int | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task. `version` counts its claims; `ttl` (milliseconds) and `pid` are its lease's."""

    id: str
    state: str
    version: int
    pid: str | None = None
    ttl: int | None = None


# msgspec 0.22.0 crashes (segmentation fault) when several threads convert to a struct for its first
# time at once (122 of 1,500 starts with 8 threads). So each is converted to once here, where the
# import lock keeps other threads out.
msgspec.convert({"id": "", "state": ""}, Promise)
msgspec.convert({"id": "", "state": "", "version": 0}, Task)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the server answered: `status` as in its head (200, 300, 400, 404, 409 ...)."""

    kind: str
    status: int
    data: Any

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 400


class Unreachable(CommandFailed):
    """No answer: refused, reset, or not in time. Whether the request took effect is unknown."""

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(f"{url} cannot be reached: {cause}")
        self.url = url
        self.cause = cause


class Strange(Unreachable):
    """The answer has the protocol's form, but not the content that the protocol asks for."""

    def __init__(self, url: str, found: Exception) -> None:
        super().__init__(url, f"it answers otherwise than server v0.9.8: {found!r}")


class Refused(CommandFailed):
    """The server answered with a status that the caller did not ask to see."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.kind}: {reply.status} {reply.data}")
        self.reply = reply

    def passes(self, token: str | None, *, taken: bool) -> bool:
        """Say whether another try makes sense.

        It does where the server is busy, or where it took the token before (`taken`) and the
        token's file may soon hold another.
        """
        expired = self.reply.status == 401 and taken and isinstance(token, Token)
        return expired or self.reply.status == 429 or self.reply.status >= 500


#: HTTP statuses that pass: a server or a proxy is busy or starts.
PASSING = (408, 425, 429, 500, 502, 503, 504)


class Foreign(Exception):  # noqa: N818 - a state of the world
    """An answer that is not the protocol's: a proxy's page, or a refusal by HTTP.

    `passing`: another try makes sense. So it does after a page with status 200.
    """

    def __init__(self, status: int, text: str) -> None:
        words = " ".join(text.split())[:200]
        super().__init__(f"HTTP {status}, not the protocol: {words!r}")
        self.status = status
        self.text = words
        self.passing = status < 300 or status in PASSING


def parse(raw: Raw, kind: str) -> Reply:
    """Read a reply to a request of this kind.

    Raises:
        Foreign: the body is not of this protocol.
    """
    try:
        read = msgspec.json.decode(raw.body)
        reply = Reply(kind=read["kind"], status=read["head"]["status"], data=read["data"])
        if reply.kind == kind or not reply.ok:
            return reply
    except (msgspec.DecodeError, KeyError, TypeError):
        pass
    raise Foreign(raw.status, raw.body.decode("utf-8", "replace"))


def accepted(url: str, raw: Raw, kind: str, accept: tuple[int, ...]) -> Reply:
    """Return the reply in `raw` to a request of `kind`: its status is below 400 or in `accept`.

    Raises:
        Unreachable: it is not of this protocol, and another try makes sense.
        Refused: any other status.
    """
    try:
        reply = parse(raw, kind)
    except Foreign as foreign:
        if foreign.passing:
            raise Unreachable(url, str(foreign)) from None
        where, says = f"{url} answers by HTTP alone", foreign.text or "without a word"
        raise Refused(Reply(kind=where, status=foreign.status, data=says)) from None
    if not reply.ok and reply.status not in accept:
        raise Refused(reply)
    return reply


def part[T](url: str, reply: Reply, key: str, form: type[T]) -> T:
    """Return what the server at `url` has put under `key` into its reply.

    Raises:
        Strange: it is not there, or of another form.
    """
    try:
        return msgspec.convert(reply.data[key], form)
    except (msgspec.ValidationError, KeyError, TypeError) as found:
        raise Strange(url, found) from None


class Wire:
    """A connection to one server. Use as an async context manager.

    `timeout` is the longest wait for one answer, in seconds. No request is repeated: only the
    caller knows what a repeat would do.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 10.0) -> None:
        self.url = url.rstrip("/")
        #: The server's clock, by the answers to `call`.
        self.clock = ServerClock()
        self._token = token
        self._timeout = timeout
        self._poster: Poster | None = None

    async def __aenter__(self) -> Self:
        self._open()  # later there may be no descriptor to load a module with
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._poster is not None:
            poster, self._poster = self._poster, None
            poster.close()

    async def post(self, body: str | bytes) -> Raw:
        """Send an encoded request and return the answer, whatever its status.

        Raises:
            Unreachable: there was no answer.
        """
        try:
            return await self._open().post(body.encode() if isinstance(body, str) else body)
        except TimeoutError:
            raise Unreachable(self.url, "no answer in time") from None
        except OSError as error:
            raise Unreachable(self.url, str(error) or repr(error)) from None

    def _open(self) -> "Poster":
        # A one-shot client needs only this module's types; asyncio takes a good part of its time.
        from resonate_fleet.contract.http import Poster  # noqa: PLC0415 - see above

        if self._poster is None:
            self._poster = Poster(self.url, self._timeout, min(self._timeout, 5.0))
        return self._poster

    async def call(self, kind: str, data: Mapping[str, Any], accept: tuple[int, ...] = ()) -> Reply:
        """Send one request; return its reply, or raise, as `accepted` does."""
        began = time.monotonic()
        raw = await self.post(msgspec.json.encode(envelope(kind, data, self._token)))
        self.clock.heard(raw.date, time.monotonic() - began)
        return accepted(self.url, raw, kind, accept)

    async def promise(self, id: str) -> Promise | None:
        """Return the promise, or None where there is none of that id."""
        reply = await self.call("promise.get", {"id": id}, accept=(404,))
        return part(self.url, reply, "promise", Promise) if reply.ok else None

    async def task(self, id: str) -> Task | None:
        """Return the task, or None where there is none of that id."""
        reply = await self.call("task.get", {"id": id}, accept=(404,))
        return part(self.url, reply, "task", Task) if reply.ok else None

    async def create_promise(
        self, id: str, timeout_at: int, param: Any, tags: Mapping[str, str]
    ) -> Promise:
        """Create a promise, or return the one that has the id already: the de-duplication."""
        data = {"id": id, "timeoutAt": timeout_at, "param": encode_value(param), "tags": dict(tags)}
        return part(self.url, await self.call("promise.create", data), "promise", Promise)

    async def reject(self, id: str, why: str, state: str) -> Promise:
        """Settle a promise as `state` with an error as the SDK writes it (0.8.1, `codec`)."""
        data = {
            "id": id,
            "state": state,
            "value": encode_value({"__type": "error", "message": why}),
        }
        return part(self.url, await self.call("promise.settle", data), "promise", Promise)

    async def release(self, id: str, version: int) -> bool:
        """Put an acquired task back to pending; False if it is not held at `version` any more."""
        reply = await self.call("task.release", {"id": id, "version": version}, accept=(404, 409))
        return reply.ok

    async def pages[T](
        self, kind: str, form: type[list[T]], among: Sequence[str] = (), **asked: Any
    ) -> AsyncIterator[list[T]]:
        """Yield the pages of a search, in id order.

        With `among`, ids in order, only those pages that may hold one of them.
        """
        # The id without its last character sorts just before it, and the search begins after it.
        asked["cursor"] = among[0][:-1] if among else None
        while True:
            given = {name: value for name, value in asked.items() if value}
            reply = await self.call(kind, {"limit": 1000, **given})
            yield part(self.url, reply, kind.replace(".search", "s"), form)
            asked["cursor"] = cursor = reply.data.get("cursor")
            if cursor is None or (among and cursor >= among[-1]):
                return

    def task_pages(self, state: str, among: Sequence[str] = ()) -> AsyncIterator[list[Task]]:
        return self.pages("task.search", list[Task], among, state=state)

    def promise_pages(
        self, state: str | None = None, tags: Mapping[str, str] = {}, among: Sequence[str] = ()
    ) -> AsyncIterator[list[Promise]]:
        return self.pages("promise.search", list[Promise], among, state=state, tags=tags)

    async def all_tasks(self, state: str) -> AsyncIterator[Task]:
        """Yield every task in `state`, in id order."""
        async for page in self.task_pages(state):
            for task in page:
                yield task

    async def wait_ready(self, seconds: float) -> None:
        """Wait until the server answers.

        Raises:
            Unreachable: it did not within `seconds`.
        """
        import asyncio  # noqa: PLC0415 - see `_open`

        end = time.monotonic() + seconds
        while True:
            try:
                await self.call("promise.get", {"id": "is-anybody-there"}, accept=(401, 403, 404))
            except Unreachable:
                if time.monotonic() >= end:
                    raise
                await asyncio.sleep(0.05)
            else:
                return
