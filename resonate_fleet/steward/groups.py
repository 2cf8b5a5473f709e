"""One group: its matcher, the members that are present, and the stream of its hints."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from resonate_fleet.contract.loops import set_within
from resonate_fleet.contract.presence import Assign
from resonate_fleet.contract.stream import Stream, read_hint
from resonate_fleet.steward.limits import UNREAD_SECONDS
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.presence import Connection
from resonate_fleet.steward.tools import Tools

if TYPE_CHECKING:
    from resonate_fleet.steward.dispatch import Dispatch

#: Seconds that a group which has just opened waits for its first survey before it matches.
SURVEY_SECONDS = 0.25
#: Longest wait for the stream of its hints before that survey, in seconds.
HINT_SECONDS = 1.0
#: Tasks of a group kept in memory. A survey finds the others when half of these have left.
MOST_TASKS = 200_000

log = structlog.get_logger()


class Matching:
    """Calls `match` once for all that happens in one iteration of the loop.

    While matching is deferred, all of it waits for `begin`.
    """

    def __init__(self, match: Callable[[], None]) -> None:
        self._match = match
        self.deferred = self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self.deferred = False
        self.soon()

    def soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def again_in(self, seconds: float | None) -> None:
        """Match in so many seconds, None for never. The last call counts."""
        if self._timer is not None:
            self._timer.cancel()
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.001, seconds), self.soon)

    def _run(self) -> None:
        self._scheduled = False
        if not self.deferred:
            self._match()


class Group:
    """`opened_at`: from when on hints or surveys show all, Unix seconds; None before that.

    `serving` is set while any member offers its slots to this steward.
    """

    def __init__(
        self, name: str, tools: Tools, dispatch: "Dispatch", serving: asyncio.Event
    ) -> None:
        self.name = name
        self.matcher = Matcher(dispatch.promises.queue(name))
        self.present: dict[str, Connection] = {}
        self.opened_at: float | None = None
        self.serving = serving
        self.matching = Matching(self._match)
        self._tools = tools
        self._dispatch = dispatch
        self._listening: list[asyncio.Task[None]] = []
        self._stream: Stream | None = None
        self._overfull = False

    @property
    def listens(self) -> bool:
        return self._stream is not None and self._stream.connected

    # Members.

    def join(self, connection: Connection) -> None:
        hello, self.present[connection.member] = connection.hello, connection
        self.matcher.join(hello.member, hello.slots, hello.functions)

    def leave(self, member: str) -> list[str]:
        """Forget a member; return the assigned tasks that it has not answered for."""
        self.present.pop(member, None)
        unanswered = self.matcher.leave(self._tools.now(), member)
        self._serve_nobody()
        self.matching.soon()
        return unanswered

    def serve(self, connection: Connection, *, again: bool) -> None:
        """Serve a member from now on, whether it has a free slot or not.

        `again`: it had another steward before, or none for a while.
        """
        connection.offers = True
        if again:
            self._dispatch.survey_loop.want_pending()
        if not self.serving.is_set():
            self._listen()

    def withdraw(self, connection: Connection) -> None:
        connection.offers = False
        self.matcher.withdraw(connection.member)
        self._serve_nobody()

    def _serve_nobody(self) -> None:
        """Close the group if no member offers its slots any more."""
        if not any(one.offers for one in self.present.values()):
            self.close()

    # Hints.

    def _listen(self) -> None:
        self.matching.deferred = True
        self.serving.set()
        self._dispatch.promises.read_running(self)
        again = self._dispatch.survey_loop.want_survey
        stream = self._stream = self._dispatch.open_stream(self.name, again)
        loop = asyncio.get_running_loop()
        self._listening = [
            loop.create_task(stream.run(self._message)),
            loop.create_task(self._begin(stream)),
        ]

    async def _begin(self, stream: Stream) -> None:
        """Match after a survey, so that what waits already keeps its order of creation.

        Where the server gives no hints, the survey alone begins the matching.
        """
        if not await set_within(HINT_SECONDS, stream.opened):
            self._want_survey()
            await stream.opened.wait()
        self._want_survey()
        has_policy = self._dispatch.promises.has_policy(self.name)
        await asyncio.sleep(UNREAD_SECONDS if has_policy else SURVEY_SECONDS)
        self.matching.begin()

    def _want_survey(self) -> None:
        self.opened_at = self._tools.now()
        self._dispatch.survey_loop.want_survey()

    def close(self) -> None:
        """Stop listening, so that a plain SDK worker of the group gets its hints again."""
        for task in self._listening:
            task.cancel()
        self._listening, self._stream, self.opened_at = [], None, None
        self.serving.clear()

    def _message(self, text: str) -> None:
        try:
            hint = read_hint(text)
        except msgspec.MsgspecError:
            log.warning("hint.unreadable", text=text[:200])
            return
        if hint is not None:
            self._tools.meters.hints.inc()
            self._dispatch.promises.hint(self, hint)

    def offer(self, task: str, version: int, since: float, needs: str = "") -> None:
        if len(self.matcher) >= MOST_TASKS and task not in self.matcher:
            self._overfull = True
            return
        self.matcher.offer(self._tools.now(), task, version, since, needs)
        self.matching.soon()

    def _match(self) -> None:
        now = self._tools.now()
        for member, tasks in self.matcher.match(now).items():
            self.present[member].say(Assign(tasks))
            self._tools.meters.assigned.inc(len(tasks))
        wake = self.matcher.wake_at()
        self.matching.again_in(None if wake is None else wake - now)
        if self._overfull and len(self.matcher) < MOST_TASKS / 2:
            self._overfull = False
            self._dispatch.survey_loop.want_survey()
