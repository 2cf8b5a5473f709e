"""The story of a run, put together from journal lines as they come. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from resonate_fleet.contract.journal import (
    BadLine,
    Claimed,
    Confirmed,
    Ended,
    HandedOver,
    Line,
    MemberReady,
    MemberStarted,
    MemberStopped,
    StrikeDone,
    StrikeMissed,
)

#: Outcomes with which a job is over.
_OVER = ("resolved", "rejected")


@dataclass
class Running:
    """An attempt under way. `since` in Unix seconds; `cost` None where nobody named one."""

    job: str
    attempt: int
    since: float
    cost: float | None


@dataclass
class MemberStory:
    """What is known of one member. `state`: starting, up, killed, stopped."""

    name: str
    slots: int = 1
    state: str = "starting"
    running: dict[str, Running] = field(default_factory=dict)
    done: int = 0
    busy: float = 0.0


@dataclass(frozen=True)
class Event:
    """Something worth telling. `at` in Unix seconds; `kind`: note, strike, recovery, trouble."""

    at: float
    kind: str
    text: str


@dataclass
class _Cut:
    """A claim that a strike interrupted and that nobody has taken up again."""

    job: str
    attempt: int
    at: float
    handed_over: bool = False


class Story:
    """Members, progress and events. `jobs` is how many there will be."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.members: dict[str, MemberStory] = {}
        self.costs: dict[str, float | None] = {}
        self.ended: set[str] = set()
        self.events: list[Event] = []
        self.began: float | None = None
        self._claims: dict[str, list[Claimed]] = {}
        self._cuts: list[_Cut] = []
        self._quarters = 0

    def apply(self, lines: Iterable[Line | BadLine]) -> list[Event]:
        """Take in new lines, in the order of their times; return the events that they made."""
        before = len(self.events)
        for line in lines:
            if isinstance(line, Line):
                self._apply(line)
        self._recoveries()
        return self.events[before:]

    def _apply(self, line: Line) -> None:
        match line:
            case MemberStarted():
                self._member(line.who).slots = line.slots
            case MemberReady():
                self._member(line.who).state = "up"
                self._tell(line.at, "note", f"{line.who} is up")
            case MemberStopped():
                self._member(line.who).state = "stopped"
            case Confirmed():
                self._confirmed(line)
            case Claimed():
                self._claimed(line)
            case Ended():
                self._ended(line)
            case StrikeDone():
                self._strike(line)
            case StrikeMissed():
                self._tell(line.at, "trouble", f"the {line.fault} missed: {line.why}")
            case HandedOver():
                self._handed_over(line)

    def _member(self, name: str) -> MemberStory:
        return self.members.setdefault(name, MemberStory(name))

    def _tell(self, at: float, kind: str, text: str) -> None:
        self.events.append(Event(at, kind, text))

    def _confirmed(self, line: Confirmed) -> None:
        if self.began is None:
            self.began = line.at
        self.costs[line.job] = line.cost
        if len(self.costs) == self.jobs:
            self._tell(line.at, "note", f"{self.jobs} jobs are confirmed; the client has gone")

    def _claimed(self, line: Claimed) -> None:
        cost = self.costs.get(line.job)
        running = Running(line.job, line.attempt, line.at, cost)
        self._member(line.who).running[line.task] = running
        self._claims.setdefault(line.job, []).append(line)

    def _ended(self, line: Ended) -> None:
        member = self._member(line.who)
        member.running.pop(line.task, None)
        member.busy += line.seconds
        if line.task != line.job or line.outcome not in _OVER:
            return
        member.done += 1
        self.ended.add(line.job)
        if line.outcome == "rejected":
            self._tell(line.at, "trouble", f"{line.job} was rejected: {line.error}")
        quarters = 4 * len(self.ended) // max(self.jobs, 1)
        if quarters > self._quarters:
            self._quarters = quarters
            self._tell(line.at, "note", f"{len(self.ended)} of {self.jobs} jobs are done")

    def _strike(self, line: StrikeDone) -> None:
        member = self._member(line.target)
        member.state = "killed"
        member.running.clear()
        held = ", ".join(task for task, _ in line.held) or "nothing"
        self._tell(line.at, "strike", f"{line.target} is killed in the middle of {held}")
        self._cuts += [_Cut(task, version, line.at) for task, version in line.held]

    def _handed_over(self, line: HandedOver) -> None:
        text = f"the steward hands over {line.job}, {line.seconds:.2f} s after the death"
        self._tell(line.at, "recovery", text)

    def _recoveries(self) -> None:
        """A claim may be read before the strike that led to it: journals are files apart."""
        for cut in list(self._cuts):
            later = [one for one in self._claims.get(cut.job, []) if one.attempt > cut.attempt]
            if not later:
                continue
            again = later[0]
            self._cuts.remove(cut)
            took = again.at - cut.at
            text = (
                f"{cut.job} runs again on {again.who} after {took:.2f} s, attempt {again.attempt}"
            )
            self._tell(again.at, "recovery", text)
