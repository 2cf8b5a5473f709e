"""The lines that chaos writes."""

import msgspec

from resonate_fleet.contract.journal.base import Line


class RunStarted(Line, frozen=True, tag="run.started"):
    """Chaos begins a run."""

    scenario: str
    seed: int
    place: str


class StrikeDone(Line, frozen=True, tag="strike.done"):
    """A fault was done: the place was asked at `asked`, and by `at` the fault had taken hold.

    `held`: `[task, version]` of each lease that the target held then, by the server.
    `strike` numbers the plan's strikes from 0. `answer` is what the place said. `job` is the job
    whose trigger led to it, if any; `part`, 0 to 1, how far it was, and `done` how many jobs had
    ended by then: what a replay needs to strike at the same point.
    """

    strike: int
    fault: str
    target: str
    job: str = ""
    held: list[tuple[str, int]] = msgspec.field(default_factory=list)
    answer: str = ""
    part: float = 0.0
    done: int = 0
    asked: float = 0.0


class StrikeMissed(Line, frozen=True, tag="strike.missed"):
    """A planned strike could not be done; `why` in one sentence."""

    strike: int
    fault: str
    why: str


class StrikeHealed(Line, frozen=True, tag="strike.healed"):
    """What a strike had stopped runs again (thawed, reconnected, restarted); `answer`: how.

    The place was asked at `asked`; by `at` the fault was over.
    """

    strike: int
    fault: str
    target: str
    answer: str = ""
    asked: float = 0.0


class RunEnded(Line, frozen=True, tag="run.ended"):
    """`finished`: every job ended before the deadline."""

    finished: bool
