"""The intake: which waiting jobs this member tries to claim, and when."""

import asyncio
import contextlib
import json
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog

from contract.wire import Promise, Refused, Task, Unreachable, Wire
from contract.words import TAG_TARGET, TAG_TIMER, anycast, group_of
from worker.stream import Stream

#: Tasks that a look for waiting work asks for.
PAGE = 200
#: Seconds between two looks of an idle member: first and longest.
FIRST_REST, LONGEST_REST = 0.05, 1.0
#: Seconds for which a task is avoided that was given up here: first and longest.
FIRST_AVOID, LONGEST_AVOID = 1.0, 60.0
#: What is remembered of tasks seen (whose they are, timers, avoided ones): at most so many.
MEMORY = 10_000

#: Counts an event: a metric's name and its labels.
Count = Callable[..., None]
log = structlog.get_logger()


class Intake:
    """A `Source` of the SDK that gives it no more hints than there are free slots.

    A slot is taken when a hint is handed to the SDK and free again when `done` is called for its
    task: whoever watches the wire does so when the SDK's own task for the hint has ended, for
    whatever reason (refused, suspended, settled, released, dropped). Everything here runs on the
    event loop.

    The doors: `granted`, `refused`, `done`, `avoid` (told by the network), `close` (the drain),
    `used`, `held`, `search_allowed` (the metrics).
    """

    def __init__(
        self, wire: Wire, stream: Stream, group: str, member: str, slots: int, count: Count
    ) -> None:
        self._wire = wire
        self._stream = stream
        self._group = group
        self._member = member
        self._slots = slots
        self._count = count
        self._give: Callable[[str], None] = lambda _: None
        self._running: set[str] = set()
        self._held: OrderedDict[str, int] = OrderedDict()
        self._ours: OrderedDict[str, bool] = OrderedDict()
        self._avoided: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._window = 1
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._open = True
        self.search_allowed = True

    # The SDK's side.

    def unicast(self) -> str:
        return f"poll://uni@{self._group}/{self._member}"

    def resolve_target(self, target: str) -> str:
        return anycast(target)

    def recv(self, callback: Callable[[str], None]) -> None:
        self._give = callback

    async def start(self) -> None:
        self._wake.set()
        self._tasks = [
            asyncio.create_task(self._stream.run(self._message)),
            asyncio.create_task(self._look_for_work()),
        ]

    async def stop(self) -> None:
        self.close()

    # The member's side.

    @property
    def used(self) -> int:
        return len(self._running)

    @property
    def held(self) -> int:
        return len(self._held)

    def close(self) -> None:
        """Take nothing new: end the stream, forget the hints held, stop looking."""
        self._open = False
        self._held.clear()
        for task in self._tasks:
            task.cancel()

    def granted(self, task: str) -> None:  # noqa: ARG002 - the door's shape
        """A claim was granted."""
        self._window = max(1, self._window - 1)

    def refused(self, task: str) -> None:  # noqa: ARG002 - the door's shape
        """A claim was refused: others were faster, so choose among more."""
        self._window = min(self._window * 2, 64)

    def done(self, task: str) -> None:
        """What a hint led to is over; its slot is free."""
        self._running.discard(task)
        self._next()

    def avoid(self, task: str) -> None:
        """The job was given up here: do not try it again for a while, longer each time."""
        _, pause = self._avoided.get(task, (0.0, FIRST_AVOID / 2))
        pause = min(pause * 2, LONGEST_AVOID)
        _remember(self._avoided, task, (time.monotonic() + pause, pause))

    # Hints.

    def _message(self, text: str) -> None:
        try:
            message = json.loads(text)
            if message["kind"] != "execute":
                self._give(text)
                return
            task, version = str(message["data"]["task"]["id"]), message["data"]["task"]["version"]
        except (ValueError, KeyError, TypeError):
            log.warning("hint.unreadable", text=text[:200])
            return
        self._count("hints_received")
        self.offer(task, int(version))

    def offer(self, task: str, version: int) -> None:
        """Take a hint: hand it on where a slot is free, hold it where it may be of use soon."""
        why = self._why_not(task)
        if why is not None:
            self._count("hints_dropped", why)
        elif len(self._running) < self._slots:
            self._hand_on(task, version)
        else:
            self._held[task] = version

    def _why_not(self, task: str) -> str | None:
        if not self._open:
            return "closed"
        if task in self._running or task in self._held:
            return "known"
        if self._is_avoided(task):
            return "avoided"
        full = len(self._running) >= self._slots and len(self._held) >= self._slots
        return "full" if full else None

    def _is_avoided(self, task: str) -> bool:
        return time.monotonic() < self._avoided.get(task, (0.0, 0.0))[0]

    def _next(self) -> None:
        """Fill free slots with the hints held; look for more where they do not suffice."""
        while self._held and len(self._running) < self._slots:
            self._hand_on(*self._held.popitem(last=False))
        if len(self._running) < self._slots:
            self._wake.set()

    def _hand_on(self, task: str, version: int) -> None:
        self._running.add(task)
        if ":" in task and task not in self._ours:
            # A child's task may be a timer's, which the SDK would claim, drop and keep.
            self._tasks.append(asyncio.create_task(self._peek(task, version)))
        else:
            self._hand_over(task, version)

    def _hand_over(self, task: str, version: int) -> None:
        data: dict[str, Any] = {"task": {"id": task, "version": version}}
        self._give(json.dumps({"kind": "execute", "data": data}))

    async def _peek(self, task: str, version: int) -> None:
        try:
            ours = await self._is_ours(task)
        except (Unreachable, Refused):
            ours = False
        if ours and self._open:
            self._hand_over(task, version)
        else:
            self.done(task)
        with contextlib.suppress(ValueError):
            self._tasks.remove(asyncio.current_task())  # type: ignore[arg-type]

    # Looking for work.

    async def _look_for_work(self) -> None:
        rest = FIRST_REST
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._stream.connected:
                await self._stream.opened.wait()
            if len(self._running) >= self._slots:
                continue
            found = await self._look() if self.search_allowed else False
            rest = FIRST_REST if found else min(rest * 2, LONGEST_REST)
            if len(self._running) < self._slots:
                asyncio.get_running_loop().call_later(
                    rest * random.uniform(0.75, 1.25), self._wake.set
                )

    async def _look(self) -> bool:
        try:
            page, _ = await self._wire.search_tasks("pending", limit=PAGE)
            free = self._slots - len(self._running)
            candidates: list[Task] = []
            for task in page:
                if len(candidates) >= free + self._window:
                    break
                if self._why_not(task.id) is None and await self._is_ours(task.id):
                    candidates.append(task)
        except Unreachable:
            self._count("pulls", "failed")
            return False
        except Refused as refused:
            self._forbidden(refused)
            return False
        chosen = random.sample(candidates, min(free, len(candidates)))
        for task in sorted(chosen, key=lambda one: one.id):
            self.offer(task.id, task.version)
        self._count("pulls", "found" if chosen else "empty")
        return bool(chosen)

    def _forbidden(self, refused: Refused) -> None:
        if refused.reply.status in (401, 403):
            self.search_allowed = False
            log.warning("search.forbidden", why=str(refused))
            self._count("pulls", "forbidden")
        else:
            self._count("pulls", "failed")

    async def _is_ours(self, task: str) -> bool:
        """Tell whether a task is a job of our group, and not a timer."""
        if task not in self._ours:
            promise = await self._wire.promise(task)
            _remember(self._ours, task, promise is not None and self._fits(promise))
        return self._ours[task]

    def _fits(self, promise: Promise) -> bool:
        timer = promise.tags.get(TAG_TIMER) == "true"
        return group_of(promise.tags.get(TAG_TARGET, "")) == self._group and not timer


def _remember[V](memory: OrderedDict[str, V], key: str, value: V) -> None:
    memory[key] = value
    if len(memory) > MEMORY:
        memory.popitem(last=False)
