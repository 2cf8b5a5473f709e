"""Which waiting job a member claims next. Pure: time comes in as numbers, chance as a parameter.

Members choose without speaking to each other, and a refused claim costs a request. While claims
are hardly ever refused, everybody takes the oldest job: that is list scheduling, whose makespan
no other order betters without knowing what the jobs cost. When refusals follow one another, a
crowd looks at the same head of the queue. For a spell of claims each member then keeps to its
own share of a window of the oldest jobs: shares are cut by the jobs' hash and the sorted names of
the members that hold leases. A job so young that its hint may be on the way belongs to whoever
hears the hint.
"""

import zlib
from collections.abc import Collection, Sequence
from random import Random
from typing import NamedTuple

#: A window is wide enough if what it holds of the own share lasts for longer, in seconds.
STALE_USE = 0.1
#: How long others' jobs are left to them in a crowd, in seconds.
GRACE = 0.012
#: Refusals without a grant between them after which a member steps aside from the head.
MEETING = 3
#: Refused share of late claims that makes a crowd, and the weight of the latest in it.
CROWD, LATEST = 0.25, 0.08
#: Share of late hints that came too late from which on none is believed without a look.
MISLED = 0.5
#: Claims for which a crowd's rules hold: at first, and at most where the crowd comes back.
SHORTEST_SPELL, LONGEST_SPELL = 8, 1024
#: Jobs of others' shares, one at a time, that must be had after a spell before the crowd is over.
TRIALS = 4
#: Seconds with all slots taken after which a crowd is forgotten where it is not hot any more:
#: members with long jobs do not meet often, and order matters more to them than a claim refused.
LULL = 0.1
#: Jobs of its own that a member wants in the window: at least, and at most.
LEAST_REACH, MOST_REACH = 2, 128
MOST_WINDOW = 1000


class Waiting(NamedTuple):
    """A job that waits, as a member knows it.

    `heard`: by a hint of its own; `vouched`: by a look;
    `settled`: it has waited longer than a hint needs; `spot` in [0, 1): its place by hash, the
    same for every member.
    """

    id: str
    version: int
    heard: bool
    vouched: bool
    settled: bool
    spot: float


def spot_of(id: str) -> float:
    """Return a job's place by hash, in [0, 1)."""
    return zlib.crc32(id.encode()) / 2**32


class Choice:
    """The choices of the member `me`."""

    def __init__(self, random: Random, me: str) -> None:
        self._random = random
        self._me = me
        self.blind = False  # no look can vouch for anything: hints are all there is
        self._share = (0, 1)
        self._spell = SHORTEST_SPELL  # of the next crowd, in claims
        self._left = 0  # claims for which the present crowd's rules hold
        self._trials = 0  # that must be granted still before the present crowd is over
        self._trial: str | None = None  # the job that is being tried
        self._calm = 0
        self._reach = LEAST_REACH
        self._own = 0  # picked from the own share since the last look
        self._own_at = float("-inf")
        self._dry = False  # the window has held nothing of the own share since the last look
        self._trust = 1  # of others' shares, how many at a time: grows while nobody else wants them
        self._astray = 0  # of these, how many are left to pick by the last look
        self._strays: set[str] = set()  # picked from others' shares, not answered yet
        self._met = 0  # refusals since the last grant
        self._heat = 0.0  # refused share of late claims
        self._misled = 0.0  # share of late hints that came too late

    @property
    def crowded(self) -> bool:
        return self._trials > 0

    @property
    def window(self) -> int:
        """Of how many of the oldest jobs the next is chosen."""
        return min(MOST_WINDOW, self._share[1] * self._reach) if self.crowded else 1

    def pick(self, now: float, oldest_first: Sequence[Waiting], *, starved: bool) -> Waiting | None:
        """Return the next to claim; None: nothing is this member's to claim.

        That is the oldest, or in a crowd the oldest of the own share. Where slots wait for jobs
        rather than jobs for slots (`starved`), young jobs are left to whom their hints went.
        Members that keep meeting at the head spread out, twice as far with each refusal, to jobs
        whose hints went to them if there are such.
        """
        if self._met >= MEETING and not self.crowded:
            near = oldest_first[: 2 ** min(self._met, 10)]
            return next((job for job in near if job.heard), None) or self._random.choice(near)
        if not self.crowded:
            if not starved:
                return oldest_first[0]
            return next((job for job in oldest_first if job.heard or job.settled), None)
        if self._left <= 0 and self._trial is None:
            job = next((job for job in oldest_first if self._is_anothers(job)), None)
            if job is not None:
                self._trial = job.id
                return job
        job = next((job for job in oldest_first[: self.window] if self._is_own(job)), None)
        self._dry = job is None
        if job is not None:
            self._own += 1
            self._own_at = now
        return job

    def rested(self) -> None:
        """Note that all slots were taken for a while: a crowd that is not hot is forgotten."""
        if self._heat <= CROWD:
            self._trials, self._trial = 0, None
            self._met, self._heat = 0, 0.0

    def widen(self) -> bool:
        """Look further for jobs of the own share; False where the window is as wide as can be."""
        if not self.crowded or self._reach == MOST_REACH or self.window == MOST_WINDOW:
            return False
        self._reach = min(MOST_REACH, 2 * self._reach)
        return True

    def pick_from_others(self, now: float, oldest_first: Sequence[Waiting]) -> Waiting | None:
        """Return a job of another member's share, or None: leave them to it for now.

        One at first; twice as many after each time that all were granted, since whoever they
        belong to seems to have no slot free, to be gone, or to serve another group.
        """
        if self._astray <= 0:
            if now - self._own_at < GRACE:
                return None
            self._own_at = now
            self._astray = self._trust
        others = [job for job in oldest_first[: self.window] if job.settled]
        if not others:
            return None
        self._astray -= 1
        job = self._random.choice(others)
        self._strays.add(job.id)
        return job

    def looked(self, age: float) -> None:
        """Note that a look begins and how old the last one is: the window follows its use."""
        if self._own >= self._reach / 2 and age < STALE_USE:
            self._reach = min(MOST_REACH, 2 * self._reach)
        elif self._own < self._reach / 4 and not self._dry:
            self._reach = max(LEAST_REACH, self._reach // 2)
        self._own = self._astray = 0

    def proved(self, *, true: bool) -> None:
        """Note whether the job of a hint still waited.

        The server sends the hints of a backlog again, and most arrive when the job has been taken.
        """
        self._misled += LATEST * ((0.0 if true else 1.0) - self._misled)

    def meet(self, members: Collection[str]) -> None:
        """Note which members claim jobs at present."""
        names = sorted({*members, self._me})
        self._share = (names.index(self._me), len(names))

    def granted(self, job: str) -> None:
        if job in self._strays:
            self._strays.discard(job)
            self._trust = min(MOST_REACH, self._trust + 1)
        self._met = 0
        self._heat -= LATEST * self._heat
        if self.crowded:
            self._left -= 1
            if job == self._trial:
                self._trial = None
                self._trials -= 1
            elif self._left < -self._spell:
                self._trials = 0  # nothing of others' waits at all
            return
        self._calm += 1
        if self._calm >= self._spell:
            self._calm = 0
            self._spell = max(SHORTEST_SPELL, self._spell // 2)

    def refused(self, job: str) -> None:
        """Note that somebody else was faster."""
        if job in self._strays:
            self._strays.discard(job)
            self._trust = 1
        self._met += 1
        self._heat += LATEST * (1 - self._heat)
        if job == self._trial:
            self._trial = None
            self._begin_a_spell()
        elif self.crowded:
            self._left = max(self._left, self._spell // 4)
        elif self._heat > CROWD:
            self._begin_a_spell()

    def unanswered(self, job: str) -> None:
        """Note that a claim has ended and nobody knows how."""
        self._strays.discard(job)
        if job == self._trial:
            self._trial = None

    def _begin_a_spell(self) -> None:
        self._left, self._trials, self._calm = self._spell, TRIALS, 0
        self._spell = min(LONGEST_SPELL, 4 * self._spell)

    def _is_anothers(self, job: Waiting) -> bool:
        return job.settled and (self._share[1] == 1 or not self._is_own(job))

    def _is_own(self, job: Waiting) -> bool:
        if not job.settled:
            return job.heard and (job.vouched or self.blind or self._misled <= MISLED)
        index, count = self._share
        return int(job.spot * count) == index
