"""What happened between two looks at a fleet, or two readings of its journals. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from resonate_fleet.contract.journal import BadLine, ClientEnded, Line, StrikeDone, StrikeMissed
from resonate_fleet.contract.live import LiveAttempt, LiveState, MarkKind

#: How a mark of the steward is shown: the kind of the change, and its text.
_TEXTS: Final[dict[MarkKind, tuple[str, str]]] = {
    "joined": ("note", "{member} joined"),
    "left": ("note", "{member} left"),
    "died": ("strike", "{member} died"),
    "false-alarm": ("note", "{member} is back, a false alarm"),
    "handed-over": ("recovery", "{job} is handed over from {member}"),
    "lapsed": ("trouble", "the lease of {job} on {member} lapsed"),
    "draining": ("note", "{member} drains"),
    "parked": ("trouble", "{job} is parked in quarantine"),
    "redriven": ("note", "{job} is redriven"),
    "cancelled": ("note", "{job} is cancelled on {member}"),
}


@dataclass(frozen=True)
class Change:
    """Something that happened. `at` in Unix seconds; `kind`: note, strike, recovery, trouble."""

    at: float
    kind: str
    text: str


class Changes:
    """Remembers looks and says what is new in each: by a steward's marks, and by comparing."""

    def __init__(self) -> None:
        #: When each held task and version was first seen, Unix seconds.
        self.since: dict[tuple[str, int], float] = {}
        self._last: dict[str, tuple[LiveAttempt, float]] = {}
        self._looked = 0.0
        self._marked: float | None = None

    def take(self, state: LiveState) -> list[Change]:
        """Return what changed since the last look."""
        found = sorted([*self._recoveries(state), *self._marks(state)], key=lambda one: one.at)
        self.since = {
            (one.task, one.attempt): one.since or self.since.get((one.task, one.attempt), state.at)
            for one in state.running
        }
        running = {one.task: (one, state.at) for one in state.running}
        waiting = any(group.waiting for group in state.groups)
        # A job that was cut off waits for a while before it is held again: remember it. While it is
        # handed over and claimed it does not wait either. A look asks the server twice, and a job
        # that moves meanwhile is in neither answer.
        cut = {one.task for one in state.ended if one.outcome == "died"}
        fresh = {
            task: one for task, one in self._last.items() if one[1] == self._looked or task in cut
        }
        self._last = (self._last if waiting else fresh) | running
        self._looked = state.at
        return found

    def _recoveries(self, state: LiveState) -> list[Change]:
        found = []
        # An attempt, or the next one of a short job, may begin and end between two looks.
        for one in state.ended:
            if self._looked and (one.ended or 0.0) > self._looked:
                self._last.setdefault(one.task, (one, one.ended or 0.0))
        for one in (*state.running, *state.ended):
            last, at = self._last.get(one.task, (one, 0.0))
            if last.attempt < one.attempt:
                self._last[one.task] = (one, state.at)
                text = (
                    f"{one.job} went from {last.member} to {one.member}, attempt {one.attempt}, "
                    f"within {state.at - at:.1f} s"
                )
                found.append(Change(state.at, "recovery", text))
        return found

    def _marks(self, state: LiveState) -> list[Change]:
        """Return what the steward has marked since the last look; what it marked before is old."""
        after, self._marked = self._marked, max([state.at, *(one.at for one in state.marks)])
        found = []
        for mark in state.marks:
            if after is not None and mark.at > after:
                kind, text = _TEXTS[mark.kind]
                found.append(Change(mark.at, kind, text.format(member=mark.member, job=mark.job)))
        return found


def of_a_run(lines: Iterable[Line | BadLine]) -> Iterator[Change]:
    """Yield what a run's journals say and no steward knows."""
    for line in lines:
        match line:
            case ClientEnded():
                text = f"{line.confirmed} jobs are confirmed; the client has gone"
                yield Change(line.at, "note", text)
            case StrikeDone():
                held = ", ".join(task for task, _ in line.held) or "nothing"
                text = f"{line.target} is killed in the middle of {held}"
                yield Change(line.at, "strike", text)
            case StrikeMissed():
                yield Change(line.at, "trouble", f"the {line.fault} missed: {line.why}")
