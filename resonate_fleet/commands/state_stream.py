"""The steward's event stream: how a fleet stands, followed as it changes."""

import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from typing import IO, Final, Self

import msgspec

from resonate_fleet.commands.addresses import direct
from resonate_fleet.contract.live import LiveChange, LiveState

#: A stream that says nothing for so long has ended: it speaks four times a second.
SILENCE_SECONDS: Final = 3.0
#: Seconds between two attempts to open a stream.
AGAIN_SECONDS: Final = 0.5
#: Those that died or left are shown for so long, in seconds.
GONE_SECONDS: Final = 300.0
#: Marks, and ended attempts, that are kept for the next look.
MARKS, ENDED = 100, 500


class _Whole(LiveState, frozen=True, kw_only=True):
    """How a stream begins: the state, and the pages of other stewards."""

    peers: list[str] = msgspec.field(default_factory=list)


class StateStream:
    """Follows the steward at `url`, or one of its peers when it is gone, while entered."""

    def __init__(self, url: str | None) -> None:
        self._urls = [url] if url else []
        self._state: LiveState | None = None
        self._asked = threading.Event()

    def __enter__(self) -> Self:
        if self._urls:
            threading.Thread(target=self._follow, name="events", daemon=True).start()
        else:
            self._asked.set()
        return self

    def __exit__(self, *_: object) -> None:
        self._urls = []

    def state(self) -> LiveState | None:
        """Return the state as it is, None where no steward answers."""
        self._asked.wait(SILENCE_SECONDS)
        return self._state

    def _follow(self) -> None:
        while self._urls:
            try:
                events = f"{self._urls[0]}/events"
                with direct().open(events, timeout=SILENCE_SECONDS) as answer:
                    self._hear(answer)
            except (OSError, HTTPException, ValueError):
                pass
            self._state = None
            self._asked.set()
            self._urls = self._urls[1:] + self._urls[:1]
            time.sleep(AGAIN_SECONDS)

    def _hear(self, stream: IO[bytes]) -> None:
        for name, data in _events(stream):
            if name == b"state":
                self._state = whole = msgspec.json.decode(data, type=_Whole)
                self._urls = list(dict.fromkeys([*self._urls[:1], *whole.peers]))
            elif self._state is not None:
                self._state = after(self._state, msgspec.json.decode(data, type=LiveChange))
            self._asked.set()


def _events(stream: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    name = b""
    for line in stream:
        field, _, value = line.rstrip(b"\n").partition(b": ")
        if field == b"event":
            name = value
        elif field == b"data":
            yield name, value


def after(state: LiveState, news: LiveChange) -> LiveState:
    """Return the state that `news` makes of `state`; of what has ended the latest is kept."""
    ended = {(one.task, one.attempt) for one in news.ended}
    running = {one.task: one for one in [*state.running, *news.running]}
    members = {one.member: one for one in [*state.members, *news.members]}
    groups = {one.group: one for one in [*state.groups, *news.groups]}
    return msgspec.structs.replace(
        state,
        at=news.at,
        as_of=news.as_of,
        serving=news.serving,
        complete=news.complete,
        groups=list(groups.values()),
        members=[one for one in members.values() if not _long_gone(one.until, one.state, news.at)],
        running=[one for one in running.values() if (one.task, one.attempt) not in ended],
        parked=state.parked if news.parked is None else news.parked,
        ended=[*state.ended, *news.ended][-ENDED:],
        marks=[*state.marks, *news.marks][-MARKS:],
    )


def _long_gone(until: float | None, state: str, now: float) -> bool:
    return state in ("dead", "left") and (until or now) < now - GONE_SECONDS
