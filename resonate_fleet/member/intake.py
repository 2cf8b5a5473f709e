"""The intake: which waiting jobs this member claims, and when. `worker.desk` decides."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from resonate_fleet.contract.presence import Busy, Hint, Idle
from resonate_fleet.contract.wire import Promise, Refused, Unreachable, Wire
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, anycast
from resonate_fleet.member.choice import Choice
from resonate_fleet.member.desk import Action, Census, Desk, Give, Memory, Offer, Pass, Peek, Sort
from resonate_fleet.member.looks import Look
from resonate_fleet.member.stream import Stream

#: Seconds for which a task is left alone that was given up here: first and longest.
FIRST_AVOID, LONGEST_AVOID = 1.0, 60.0
#: Seconds to wait for the stream of hints before the first look.
PATIENCE = 1.0
#: Members' leases that a census looks at.
CENSUS_PAGE = 1000

#: Counts an event: a metric's name and its labels.
Count = Callable[..., None]
#: Tells the steward something that may be lost, without waiting.
Tell = Callable[[Idle | Busy | Hint], None]
log = structlog.get_logger()


class _Task(msgspec.Struct):
    id: str
    version: int = 0


class _Data(msgspec.Struct):
    task: _Task | None = None


class _Message(msgspec.Struct):
    """The parts of a pushed message that are looked at here."""

    kind: str
    data: _Data


_decoder = msgspec.json.Decoder(_Message)


class Intake:
    """A `Source` of the SDK that gives it no more hints than there are free slots.

    A slot is taken when a hint is handed to the SDK, and free again when `ending` or `done` is
    called for its task: whoever watches the wire does so when the body is over and when the SDK's
    own task for the hint has ended, for whatever reason (refused, suspended, settled, released,
    dropped). Everything here runs on the event loop.

    The doors: `granted`, `refused`, `ending`, `done`, `avoid` (told by the network), `relayed`,
    `handed` (told by the steward), `close` (the drain), `used`, `held`, `search_allowed` (the
    metrics).
    """

    def __init__(
        self, wire: Wire, stream: Stream, group: str, member: str, slots: int, count: Count
    ) -> None:
        self._wire = wire
        self._stream = stream
        self._group = group
        self._member = member
        self._count = count
        self._give: Callable[[str], None] = lambda _: None
        self._tell: Tell = lambda _: None
        chance = random.Random()
        self._desk = Desk(slots, chance, Choice(chance, member))
        self._avoided: Memory[float] = Memory()
        self._started = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # The SDK's side.

    def unicast(self) -> str:
        return f"poll://uni@{self._group}/{self._member}"

    def resolve_target(self, target: str) -> str:
        return anycast(target)

    def recv(self, callback: Callable[[str], None]) -> None:
        self._give = callback

    async def start(self) -> None:
        self._spawn(self._stream.run(self._message))
        self._spawn(self._begin())

    async def stop(self) -> None:
        self.close()

    # The member's side.

    @property
    def used(self) -> int:
        return self._desk.used

    @property
    def held(self) -> int:
        return self._desk.hints

    @property
    def search_allowed(self) -> bool:
        return self._desk.searches

    def close(self) -> None:
        """Take nothing new: end the stream, forget the hints held, stop looking."""
        for action in self._desk.close(time.monotonic()):
            self._do(action)
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    def granted(self, task: str) -> None:
        """A claim was granted."""
        self._desk.granted(task)

    def refused(self, task: str) -> None:
        """A claim was refused; `done` follows."""
        self._desk.refused(task)

    def ending(self, task: str) -> None:
        """A body is over and its outcome is about to be written."""
        self._desk.ending(task)
        self._act()

    def done(self, task: str) -> None:
        """What a hint led to is over."""
        self._desk.done(task)
        self._act()

    def avoid(self, task: str) -> None:
        """The job was given up here: do not try it again for a while, longer each time."""
        pause = min(2 * self._avoided.get(task, FIRST_AVOID / 2), LONGEST_AVOID)
        self._avoided.note(task, pause)
        self._desk.shun(task, time.monotonic() + pause)

    def relayed(self, tell: Tell | None) -> None:
        """A steward passes hints on from now on, or (None) does not any more."""
        self._tell = tell or (lambda _: None)
        self._desk.relayed(on=tell is not None)
        self._act()

    def handed(self, task: str, version: int) -> None:
        """The steward hands over a hint that its own member could not use."""
        self._hint(self._desk.handed(time.monotonic(), task, version))

    # What is heard and asked.

    def _hint(self, dropped: str | None) -> None:
        if dropped is not None:
            self._count("hints_dropped", dropped)
        self._act()

    def _message(self, text: str) -> None:
        try:
            message = _decoder.decode(text)
        except msgspec.DecodeError:
            log.warning("hint.unreadable", text=text[:200])
            return
        if message.kind != "execute" or message.data.task is None:
            self._give(text)
            return
        self._count("hints_received")
        task = message.data.task
        self._hint(self._desk.hint(time.monotonic(), task.id, task.version))

    async def _begin(self) -> None:
        """Begin when hints can be heard. Where the server has no stream left, looks must do."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stream.opened.wait(), PATIENCE)
        self._started = True
        self._act()

    def _act(self) -> None:
        if not self._started:
            return
        for action in self._desk.step(time.monotonic()):
            self._do(action)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake = self._desk.wake_at
        if wake is not None:
            delay = max(0.001, wake - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._act)

    def _do(self, action: Action) -> None:
        match action:
            case Give(id, version):
                data = {"task": {"id": id, "version": version}}
                self._give(msgspec.json.encode({"kind": "execute", "data": data}).decode())
            case Look():
                self._spawn(self._look(action))
            case Sort():
                self._spawn(self._sort(action))
            case Census():
                self._spawn(self._take_census())
            case Peek(id):
                self._spawn(self._peek(id))
            case Pass(id, version):
                self._count("hints_passed_on")
                self._tell(Hint(id, version))
            case Offer(idle):
                self._tell(Idle() if idle else Busy())

    async def _look(self, look: Look) -> None:
        try:
            page, cursor = await self._wire.search_tasks("pending", look.limit, look.after)
        except Unreachable:
            self._look_failed("failed")
        except Refused as refused:
            self._look_refused(refused)
        else:
            self._count("pulls", "found" if page else "empty")
            tasks = [(task.id, task.version) for task in page]
            self._desk.looked(time.monotonic(), tasks, more=cursor is not None)
        self._act()

    async def _sort(self, sort: Sort) -> None:
        tags = {TAG_TARGET: anycast(self._group)}
        try:
            page, cursor = await self._wire.search_promises(
                "pending", tags, sort.limit, sort.after or None
            )
        except Unreachable:
            self._look_failed("failed")
        except Refused as refused:
            self._look_refused(refused)
        else:
            ours = {one.id for one in page if not _is_timer(one)}
            self._desk.sorted_out(time.monotonic(), ours, page[-1].id if cursor else None)
        self._act()

    def _look_refused(self, refused: Refused) -> None:
        if refused.reply.status not in (401, 403):
            self._look_failed("failed")
            return
        if self._desk.searches:
            log.warning("search.forbidden", why=str(refused), then="this member lives on hints")
        self._count("pulls", "forbidden")
        self._desk.forbidden()

    def _look_failed(self, result: str) -> None:
        self._count("pulls", result)
        self._desk.look_failed(time.monotonic())

    async def _take_census(self) -> None:
        try:
            page, _ = await self._wire.search_tasks("acquired", CENSUS_PAGE)
        except (Unreachable, Refused):
            return
        # Tasks of other groups stand in the same answer: who holds those shares nothing with us.
        ours = {task.pid for task in page if task.pid and self._desk.is_ours(task.id)}
        self._desk.met(time.monotonic(), ours)

    async def _peek(self, id: str) -> None:
        ours = None
        try:
            promise = await self._wire.promise(id)
            ours = promise is not None and not _is_timer(promise)
        except (Unreachable, Refused):
            pass  # the next hint asks again
        self._desk.peeked(time.monotonic(), id, ours)
        self._act()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_timer(promise: Promise) -> bool:
    """Tell a durable sleep, whose task the server ends itself, from work."""
    return promise.tags.get(TAG_TIMER) == "true"
