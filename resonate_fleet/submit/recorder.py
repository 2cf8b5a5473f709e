"""Records a submission: in journal, output, metrics and traces."""

import time
from collections.abc import Callable

from resonate_fleet.contract.journal import Confirmed, ServerBack, ServerLost
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.shown import NAMED, clean
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.output import Output
from resonate_fleet.submit.submit import Confirmation, Observer


class Recorder:
    """Journals, counts and prints what a submission does, and passes it on to `observers`.

    `say` writes a line for people.
    """

    def __init__(self, out: Output, journal: Journal, say: Callable[[str], None]) -> None:
        self._output = out
        self._journal = journal
        self._say = say
        self._silent_since: float | None = None
        self.count = self.new = self.differing = 0
        self.advance: Callable[[int], None] = lambda _: None
        self.observers: list[Observer] = []

    def submitted(self, job: Job) -> None:
        for observer in self.observers:
            observer.submitted(job)

    def retried(self, job: Job, cause: str) -> None:
        if self._silent_since is None:  # one line an outage, not one a try
            self._silent_since = time.monotonic()
            self._journal.write(ServerLost(why=cause), level=30)
        for observer in self.observers:
            observer.retried(job, cause)

    def clock_off(self, seconds: float) -> None:
        """Say how far the server's clock is ahead of this machine's."""
        where = "behind" if seconds > 0 else "ahead of"
        self._say(
            f"this machine's clock is {abs(seconds):g} s {where} the server's; "
            "deadlines are set by the server's"
        )

    def confirmed(self, one: Confirmation) -> None:
        self.count += 1
        self.new += one.new
        if self._silent_since is not None:
            gap, self._silent_since = time.monotonic() - self._silent_since, None
            self._journal.write(ServerBack(seconds=round(gap, 3)))
        self._journal.write(
            Confirmed(
                job=one.job.id,
                group=one.job.group or self._output.group,
                function=one.job.call.func,
                cost=one.job.cost,
                new=one.new,
            )
        )
        self._output.confirmed(one)
        self.advance(1)
        self.differing += one.differs
        if one.differs and self.differing <= NAMED:
            self._say(f"{clean(one.job.id)} was there already, with another call; that one counts")
        for observer in self.observers:
            observer.confirmed(one)
