"""When a member looks for waiting work, and how far. Pure: time comes in as numbers."""

from dataclasses import dataclass
from random import Random

#: Knowledge younger than this is always fresh enough to claim by, in seconds: a claim takes as
#: long itself. Older than the second it never is.
FRESH, STALE = 0.005, 0.2
#: Wait after a look that found nothing, in seconds: first, and in the end. Jitter only adds.
FIRST_REST, LONGEST_REST = 0.02, 1.0
#: A rest that is longer than this is not taken before a second look at jobs that others heard of.
FOLLOW = 0.1
#: A look that takes this long already keeps away from the next twice as long as it took, in
#: seconds; dearer ones keep away in proportion to the square.
CHEAP = 0.02
#: A look that takes longer than this, in seconds, is not waited for by a job that is known to wait.
SLOW = 0.02
#: A look that skips what belongs to others starts from the beginning this often, in seconds.
FROM_START = 5.0
#: The same of looks that skip what had been taken before the last one. The server walks over
#: finished tasks in either case, but with a cursor in a third of the time (v0.9.8 with SQLite).
FROM_HEAD = 1.0
#: Tasks that a look asks for.
LEAST_PAGE, MOST_PAGE = 16, 1000


@dataclass(frozen=True)
class Look:
    """Ask which tasks wait: at most `limit` of them, in id order, after `after`."""

    limit: int
    after: str | None = None


class Looks:
    """Paces one member's looks. Times are seconds of any one clock."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.under_way = False
        #: A hint can be claimed by without a look where the last one found nothing.
        self.trusting = False
        #: All of a full page was claimed before it was stale: the next one is larger.
        self.used_up = False
        self._look = Look(LEAST_PAGE)
        self._sent = float("-inf")
        self._took = 0.0
        self._started = float("-inf")  # of the last look from the beginning
        self._after: str | None = None
        self._head: str | None = None  # the oldest task of the last page, which was full
        self._not_before = float("-inf")
        self._rest = 0.0
        self._rest_until = float("-inf")
        self._calm = 1.0
        self._page = LEAST_PAGE
        self._doubted = False
        self._followed = False  # the last look followed one that showed young jobs of others
        self._empty = False  # the last page held nothing for us
        self._quiet = False  # nor has a slot been freed since: whatever is new, somebody heard of
        self._more = False  # the last page was full: more waits beyond it

    @property
    def next_at(self) -> float:
        """When an idle member looks next."""
        return max(self._not_before, 0.0 if self._more else self._rest_until)

    def resting(self, now: float) -> bool:
        """Whether the last look has found nothing and the next is not due yet."""
        return not self.under_way and now < self.next_at

    @property
    def slow(self) -> bool:
        """Whether a look costs more than it is worth while a job is known to wait."""
        return self._took > SLOW

    def due(self, now: float, window: int, *, waiting: bool, last: bool) -> bool:
        """Tell whether to look before anything is claimed.

        `waiting`: a job is known to wait; `last`: to claim it would take the last free slot, so
        that whatever is older would wait for a whole job.
        """
        if self.under_way or now < self._not_before:
            return False
        age = now - self._sent
        if waiting and self.trusting and self._quiet and not self._doubted:
            return False
        if waiting:
            if (self._doubted or (last and self._empty)) and age > FRESH:
                return True
            return age > max(self.fresh(window), 5 * self._took if self.slow else 0.0)
        if self._more and age < self.fresh(window):
            self.used_up = True
        return now >= self.next_at

    def age(self, now: float) -> float:
        """How old the knowledge of the last look is."""
        return now - self._sent

    def just_told(self, now: float) -> bool:
        """Whether what the last look told is as good as new."""
        return now - self._sent <= self._took + FRESH

    def may_refresh(self, now: float, age: float) -> bool:
        """Whether to look once more before a choice if the last look is older than `age`."""
        return now - self._sent >= age and not self.under_way and now >= self._not_before

    def older_at(self, age: float) -> float:
        """When the last look will be as old as `age` and another may begin."""
        return max(self._not_before, self._sent + age)

    def fresh(self, window: int) -> float:
        """Up to which age knowledge is good enough, in seconds.

        Where the choice is wide a page serves several claims; where looks have told nothing new
        hints alone will do.
        """
        return min(STALE, FRESH * max(window, self._calm))

    def start(self, now: float, free: int, window: int, oldest: str | None = None) -> Look:
        """Begin a look. `free` slots are to be filled from a window of `window`.

        `oldest`: the oldest job that is known to wait.
        """
        if self._after is not None and now - self._started > FROM_START:
            self._after = None
        after = self._after or self._before_head(now, oldest)
        if after is None:
            self._started = now
        # Far from the beginning, and nothing there yet: as far as one answer reaches.
        far = self._after is not None and self._empty
        limit = MOST_PAGE if far else max(self._page, 2 * (free + window))
        self._look = Look(min(MOST_PAGE, limit), after)
        if self.used_up:
            self._page = min(MOST_PAGE // 4, self._page * 2)
            self.used_up = False
        self._sent = now
        self._doubted = False
        self.under_way = True
        return self._look

    def _before_head(self, now: float, oldest: str | None) -> str | None:
        """Return what a look in a backlog may begin behind, if the beginning was seen lately.

        What is offered again has a hint, which somebody hears: whoever did so looks at all.
        """
        if self._head is None or now - self._started > FROM_HEAD:
            return None
        before = self._head[:-1]  # an id that is cut short comes before the whole one
        return before if before and (oldest is None or oldest > before) else None

    def answered(self, now: float) -> tuple[Look, float]:
        """Note the answer to the look; return it and when it was sent."""
        self.under_way = False
        took = self._took = now - self._sent
        self._not_before = now + took * (2 + took / CHEAP)
        return self._look, self._sent

    def judge(
        self, now: float, *, found: bool, taught: bool, more: bool, head: str | None = None
    ) -> None:
        """Learn from a page: whether it held work for us, changed our choice, was full.

        `head`: the oldest task on it.
        """
        self._head = head if more else None
        self._calm = 1.0 if taught else min(STALE / FRESH, self._calm * 2)
        self._more = more
        self._empty = not found
        skipped = self._look.after is not None and self._after is None
        self._quiet = not found and not more and not skipped
        if found or skipped:
            self._rest_until = now
        elif not more:
            self._back_off(now)

    def found_young(self, now: float) -> None:
        """Note that all of ours on the page was about to be taken by whoever heard of it.

        One more look soon shows whether it was; after that such jobs do not hurry anybody.
        """
        self._empty = self._quiet = True
        self._followed = not self._followed and self._rest > FOLLOW
        if self._followed:
            self._rest_until = now + FIRST_REST * self._random.uniform(1.0, 1.5)
        else:
            self._back_off(now)

    def go_on(self, after: str) -> None:
        """Begin the next look behind `after`: nothing up to there is ours."""
        self._after = after

    def won(self) -> None:
        """Note that a job was claimed that no hint had told of: looking pays."""
        self._rest = 0.0

    def lost(self, *, empty: bool) -> None:
        """Note that a claim was refused: others take from what the last page showed.

        Where that leaves nothing (`empty`) the look has found nothing, as it turns out.
        """
        self._doubted = True
        if empty:
            self._back_off(self._sent)

    def failed(self, now: float) -> None:
        self.under_way = False
        self._more = False
        self._back_off(now)

    def hurry(self) -> None:
        """Note that a slot is free again: look once without resting, unless that is known."""
        self._quiet = False
        self._rest_until = min(self._rest_until, self._sent + self.fresh(1))

    def _back_off(self, now: float) -> None:
        self._rest = min(LONGEST_REST, max(FIRST_REST, 2 * self._rest))
        self._rest_until = now + self._rest * self._random.uniform(1.0, 1.5)
