"""What happened, as plain values: members, attempts, strikes and jobs, both sources side by side.

Nothing is judged here. Times are Unix seconds throughout.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from resonate_fleet.contract.calls import Result
from resonate_fleet.contract.journal import Confirmed, HandedOver, StrikeDone
from resonate_fleet.contract.run import PlannedJob, Record
from resonate_fleet.contract.wire import Task
from resonate_fleet.report.evidence import Evidence, JournalEntry

#: Members renew a lease before this part of it is over (`member`'s heartbeat).
RENEWED = 1 / 2

#: Outcomes of attempts without an end in the journal: the member died first, or it lives.
CUT, OPEN = "cut", "open"
#: Outcomes after which the job has its result.
FINAL = ("resolved", "rejected")


class StepFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A child that ran inside an attempt; `ended` None where its result was not checkpointed."""

    promise: str
    began: float
    ended: float | None
    where: str


class AttemptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One claim by the member's own journal.

    `outcome` is the journal's word; `cut` where the member died first, `open` where it lived and
    wrote none. Where the server has its result, that is the outcome, whatever the member thought of
    its lease. `until` is the attempt's end as far as it can be known. In the last `writing` seconds
    before it the body was over and its outcome on its way to the server.
    """

    job: str
    task: str
    number: int
    member: str
    function: str
    began: float
    until: float
    outcome: str
    seconds: float
    where: str
    end_where: str | None
    error: str
    writing: float
    steps: list[StepFacts]

    @property
    def claim(self) -> tuple[str, int]:
        return self.task, self.number

    @property
    def interrupted(self) -> bool:
        """Whether the attempt ended before the work: somebody has to take it up again."""
        return self.outcome not in (*FINAL, "suspended")

    @property
    def result(self) -> bool:
        """Whether it brought the result of its job."""
        return self.outcome == "resolved" and self.task == self.job


class MemberFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One process start. `died` is when it ended without `member.stopped`, where that is known."""

    name: str
    slots: int
    started: float
    ready: float | None
    stopped: float | None
    died: float | None
    attempts: list[AttemptFacts]
    #: All that it wrote, in order.
    lines: list[JournalEntry[Any]]
    #: From and to, for each pause and partition that struck it.
    frozen: list[tuple[float, float]]

    @property
    def until(self) -> float:
        """When its life ended, as far as it can be known."""
        ends = [end for end in (self.died, self.stopped) if end is not None]
        return min(ends, default=self.lines[-1].line.at)


class StrikeFacts(StrikeDone, frozen=True, kw_only=True):
    """A fault that was done, by the words of chaos.

    It took hold between `asked` and `at`, and was over between `healing` and `healed`; both None
    where it was not undone.
    """

    healing: float | None
    healed: float | None
    where: str


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One job by all sources; `attempts` are those of the job's own task, in claim order."""

    id: str
    planned: PlannedJob | None
    confirmed: list[JournalEntry[Confirmed]]
    record: Record | None
    result: Result | None
    attempts: list[AttemptFacts]

    @property
    def state(self) -> str:
        return self.record.promise.state if self.record else "unknown"

    @property
    def task(self) -> Task | None:
        return self.record.task if self.record else None

    @property
    def parked(self) -> bool:
        """Whether it was parked when the run had ended."""
        return self.task is not None and self.task.state == "halted"

    @property
    def created(self) -> float | None:
        """By the server's clock; by the client's where the server knows nothing."""
        if self.record:
            return self.record.promise.created_at / 1000
        return self.confirmed[0].line.at if self.confirmed else None

    @property
    def settled(self) -> float | None:
        at = self.record.promise.settled_at if self.record else None
        return at / 1000 if at is not None else None

    @property
    def waited(self) -> float | None:
        """Seconds from creation to first claim; None where either is not known."""
        if self.created is None or not self.attempts:
            return None
        return max(0.0, self.attempts[0].began - self.created)


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """`missing`: what is not there, a sentence each, with places that say so. `cut`: journals.

    `members` are the members among them by name; `clients`, `chaos` and `stewards` whether a
    client, chaos or a steward is among them.
    """

    missing: dict[str, list[str]] = {}
    cut: dict[str, list[str]] = {}
    members: set[str] = set()
    clients: bool = False
    chaos: bool = False
    stewards: bool = False

    def incomplete(self, member: str = "") -> bool:
        """Say whether the journal of `member`, or of any member where none is named, has gaps."""
        return member in self.members if member else bool(self.members)


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """An interrupted claim, and the next one of its task if there was any.

    `at` (Unix seconds) is when it was interrupted. `way` says how the task came free: handed-over
    (by the steward), released (by the member itself) or lapsed; `free` when, None for a lease that
    lapsed. `low` and `high` (seconds) bound the prediction, `high` with the wait for the first free
    slot in it.
    """

    attempt: AttemptFacts
    follower: AttemptFacts | None
    strike: StrikeFacts | None
    at: float
    way: str
    free: float | None
    low: float
    high: float

    @property
    def cause(self) -> str:
        """The strike's fault, or `drain`, `crash`, `lapse` where no strike explains it."""
        causes = {"released": "drain", CUT: "crash"}
        return self.strike.fault if self.strike else causes.get(self.attempt.outcome, "lapse")

    @property
    def seconds(self) -> float | None:
        """From the interruption to the next claim."""
        return max(0.0, self.follower.began - self.at) if self.follower else None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run. `tasks` holds the attempts of every task, children's too, in claim order."""

    evidence: Evidence
    members: dict[str, MemberFacts]
    strikes: list[StrikeFacts]
    jobs: dict[str, JobFacts]
    children: dict[str, Record]
    tasks: dict[str, list[AttemptFacts]]
    handed_over: dict[tuple[str, int], JournalEntry[HandedOver]]
    #: Start and end of the run: first and last thing that any source dates within it.
    began: float
    ended: float
    coverage: Coverage
    #: What became of each interrupted claim that stands in a journal, in time order.
    recoveries: list[Recovery]

    def attempts(self) -> Iterator[AttemptFacts]:
        """Return every attempt, task by task, in claim order."""
        for attempts in self.tasks.values():
            yield from attempts

    def next_claim(self, task: str, number: int) -> AttemptFacts | None:
        """Return the first claim in a journal of `task` after claim `number`."""
        return next((one for one in self.tasks.get(task, []) if one.number > number), None)

    def strikes_on(self, member: str) -> list[StrikeFacts]:
        return [strike for strike in self.strikes if strike.target == member]

    def record_of(self, task: str) -> Record | None:
        job = self.jobs.get(task)
        return job.record if job else self.children.get(task)
