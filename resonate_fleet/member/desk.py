"""What a member knows of the waiting jobs, and what it does next. Pure: time comes in as numbers.

A hint says that a job of this group waits; a look (`task.search`) says what waits at all. A free
slot claims by knowledge that is fresh enough and looks again where it is not, so that a member
with nothing heard finds work and the oldest job goes first. Others' groups stand in the same
search, so what no hint has vouched for is sorted by `promise.search` on the group's own address
before it may be claimed: a claim of a stranger's job would count as an attempt of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from resonate_fleet.member.choice import GRACE, LULL, Choice, Waiting
from resonate_fleet.member.line import Line
from resonate_fleet.member.looks import Look, Looks

#: Seconds between two censuses of a crowd: at first, and in the end with up to twenty members.
FIRST_CENSUS, CENSUS = 0.05, 2.0
#: Judgements on tasks that are remembered; the oldest are forgotten first.
MEMORY = 4096
#: Hints passed on at once at most, and a second: where all are busy nobody takes them.
PASS_BURST, PASS_RATE = 8, 10
#: Claims a second by others from which on a job that is passed over does not wait for long.
BRISK = 10.0
#: Seconds for which others must have been watched, and how much of it counts still a look later.
WATCH, KEEPS = 1.0, 0.95


@dataclass(frozen=True)
class Sort:
    """Ask which jobs of this group are pending: at most `limit`, in id order, after `after`."""

    limit: int
    after: str


@dataclass(frozen=True)
class Peek:
    """Ask whether `id`, a child of a job, is one to run: a durable sleep is not."""

    id: str


@dataclass(frozen=True)
class Give:
    """Claim the job and run it. Its slot is taken from now on."""

    id: str
    version: int


@dataclass(frozen=True)
class Census:
    """Ask which members hold leases now."""


@dataclass(frozen=True)
class Pass:
    """Let the steward give a hint to somebody else: there is no slot for it here."""

    id: str
    version: int


@dataclass(frozen=True)
class Offer:
    """Tell the steward whether this member is `idle`: has a slot free and knows of no job."""

    idle: bool


type Action = Look | Sort | Peek | Census | Give | Pass | Offer


class Memory[V](dict[str, V]):
    """A dict that forgets its oldest entry when it would hold more than `MEMORY`."""

    def note(self, key: str, value: V) -> None:
        self.pop(key, None)
        self[key] = value
        if len(self) > MEMORY:
            del self[next(iter(self))]


class Desk:
    """One member's intake without its wires. Times are seconds of any one clock.

    Tell it what happens, then do what `step` returns; come back at `wake_at` at the latest. A
    slot is taken by `Give` and free again with `done`.
    """

    def __init__(self, slots: int, random: Random, choice: Choice) -> None:
        self.slots = slots
        self.searches = True
        self.closed = False
        self._choice = choice
        self._looks = Looks(random)
        self._line = Line(max(64, 4 * slots))
        self._taken: dict[str, Waiting] = {}
        self._ending: set[str] = set()
        self._ours: Memory[bool] = Memory()
        self._spent: Memory[int] = Memory()  # up to which version a job cannot be claimed again
        self._shunned: Memory[float] = Memory()
        self._to_peek: dict[str, int] = {}
        self._peeking: dict[str, int] = {}
        self._unsorted: list[tuple[str, int]] = []
        self._page: set[str] = set()  # ids of the tasks that the last look showed
        self._seen: Memory[float] = Memory()  # since when a job has been known
        self._deep = False  # the last page, or the one before it, was not the last of all
        self._more = False  # the last page was not the last of all; it went up to
        self._end = ""
        self._members: dict[str, float] = {}
        self._census_at = float("-inf")
        self._census_pause = FIRST_CENSUS
        self._hold_until = float("-inf")
        self._full_since: float | None = None
        self._relayed = False  # the steward hands hints of the busy to the idle
        self._offered = False  # it takes this member for idle
        self._passed: Memory[int] = Memory()  # hints that were passed on already
        self._told = float("-inf")  # when the last look was sent that was answered
        self._gone, self._watched = 0.0, 0.0  # jobs that others took lately, in how many seconds
        self._passes = float(PASS_BURST)
        self._passed_at = 0.0

    @property
    def free(self) -> int:
        return self.slots - self.used

    @property
    def used(self) -> int:
        """Slots taken: claims under way and bodies running."""
        return len(self._taken) - min(len(self._ending), self.slots)

    @property
    def hints(self) -> int:
        """Hints held: neither claimed nor found gone. Never more than `hint_limit`."""
        return len(self._line.heard) + len(self._to_peek) + len(self._peeking)

    @property
    def hint_limit(self) -> int:
        return self._line.hints

    @property
    def wake_at(self) -> float | None:
        """When to call `step` next though nothing happened; None: not before something does."""
        if self.closed or not self.searches or self.free <= 0 or self._looks.under_way:
            return None
        if self._useful:
            return self._hold_until
        return self._looks.next_at

    def is_ours(self, id: str) -> bool:
        """Whether a task is known to be one of this group's."""
        return self._ours.get(id, False)

    # What happens.

    def hint(self, now: float, id: str, version: int) -> str | None:
        """Note a hint; return why it was dropped, if it was."""
        why = self._useless(now, id, version)
        if why is not None:
            return why
        self._passed.pop(id, None)
        if id not in self._seen:
            self._seen.note(id, now)
        known = id in self._line.heard or id in self._to_peek or id in self._peeking
        if ":" in id and id not in self._ours:
            if not known and self.hints >= self.hint_limit:
                return "full"
            waits = self._peeking if id in self._peeking else self._to_peek
            waits[id] = version
        else:
            self._ours.note(id, True)
            if not self._line.hear(now, id, version, vouched=id in self._page):
                return "full"
        return "repeated" if known else None

    def handed(self, now: float, id: str, version: int) -> str | None:
        """Note a hint that the steward has from another member; return why it was dropped."""
        self._offered = False
        return self.hint(now, id, version)

    def relayed(self, *, on: bool) -> None:
        """Note whether a steward is there that passes hints on."""
        self._relayed, self._offered = on, False
        self._looks.trusting = self._looks.trusting and on

    def peeked(self, now: float, id: str, ours: bool | None) -> None:  # noqa: FBT001 - an answer
        """Note the answer to `Peek`; None where there was none: the next hint asks again."""
        version = self._peeking.pop(id, None)
        if ours is not None:
            self._ours.note(id, ours)
        if ours and version is not None and self._useless(now, id, version) is None:
            self._line.hear(now, id, version, vouched=False)

    def looked(self, now: float, tasks: Sequence[tuple[str, int]], *, more: bool) -> None:
        """Note what a look found, in id order; `more`: others wait beyond it."""
        look, sent = self._looks.answered(now)
        before = [job.id for job in self._line.jobs]
        shown = [job.id for job in self._line.jobs if job.id in self._page]
        end = tasks[-1][0] if more and tasks else None
        page = {one for one, _ in tasks}
        self._learn(page, look.after, end, sent)
        self._line.keep(page, look.after, end, sent)
        if shown:
            self._note_pace(sum(job not in self._line for job in shown), sent)
        self._told = sent
        self._deep = more or (self._relayed and self._more)
        self._unsorted, self._more, self._end = [], more, end or ""
        self._page = page
        for task, version in tasks:
            if self._useless(now, task, version) is not None:
                continue
            if task in self._ours:
                self._note_seen(task, now)
                self._line.show(task, version, settled=self._settled(task))
            else:
                if self._relayed:
                    self._note_seen(task, now)
                self._unsorted.append((task, version))
        self._sort_no_more_than_wanted()
        found = bool(self._line or self._unsorted)
        head = tasks[0][0] if tasks else None
        taught = self._taught(before, end)
        self._looks.judge(now, found=found, taught=taught, more=more, head=head)
        if not self._unsorted:
            self._note_others(now, tasks[-1][0] if tasks else None)

    def _learn(self, page: set[str], after: str | None, end: str | None, sent: float) -> None:
        """Learn from a page, from `after` to `end`, which hints told the truth."""
        for job in self._line.jobs:
            told = job.heard and not job.vouched and self._line.heard[job.id] < sent
            if told and (after or "") < job.id and (end is None or job.id <= end):
                self._choice.proved(true=job.id in page)

    def _note_seen(self, id: str, now: float) -> None:
        """Note since when a job waits as far as is known; in a backlog, for longer than that."""
        if self._deep or id not in self._seen:
            self._seen.note(id, float("-inf") if self._deep else now)

    def _settled(self, id: str) -> bool:
        """Tell whether a job had waited longer than a hint needs when the last look was sent."""
        return self._told - self._seen.get(id, self._told) >= GRACE

    def _note_pace(self, gone: int, sent: float) -> None:
        """Note how many of the jobs that the last look showed others took until this one."""
        self._gone = gone + KEEPS * self._gone
        self._watched = sent - self._told + KEEPS * self._watched
        # Each hint finds somebody who can use it, so a look may wait: whoever's turn it was is
        # passed over until the next slot of the group is free, which must be soon.
        brisk = self._watched >= WATCH and self._gone > BRISK * self._watched
        self._looks.trusting = self._relayed and brisk

    def _taught(self, before: list[str], end: str | None) -> bool:
        """Tell whether the next claim would have been another one without the look."""
        if not before:
            return len(self._line) + len(self._unsorted) > self.free
        if before[0] not in self._line and (end is None or before[0] <= end):
            return True
        after = [job.id for job in self._line.jobs if job.id < before[-1]]
        after += [task for task, _ in self._unsorted if task < before[-1]]
        return len(self._line) > self.free and not set(before).issuperset(after)

    def sorted_out(self, now: float, ours: Collection[str], upto: str | None) -> None:
        """Note which jobs are ours. What `ours` leaves out up to `upto` (None: at all) is not."""
        self._looks.under_way = False
        asked, self._unsorted = self._unsorted, []
        for task in ours:
            self._ours.note(task, True)
        for task, version in asked:
            if task in ours:
                if self._useless(now, task, version) is None:
                    self._note_seen(task, now)
                    self._line.show(task, version, settled=self._settled(task))
            elif upto is None or task <= upto:
                self._ours.note(task, False)
        if asked:
            last = asked[-1][0]
            self._note_others(now, last if upto is None else min(upto, last))

    def _note_others(self, now: float, upto: str | None) -> None:
        """Note what follows if nothing on a page (up to the job `upto`) is for this member."""
        if self._line:
            if not self._useful and not self._more:
                self._looks.found_young(now)
        elif upto is not None:
            self._looks.go_on(upto)

    def look_failed(self, now: float) -> None:
        """Note that a look or sort brought no answer."""
        self._unsorted = []
        self._looks.failed(now)

    def forbidden(self) -> None:
        """Note that this member may not search: it lives on hints from now on."""
        self.searches = self._more = False
        self._choice.blind = True
        self._unsorted = []
        self._looks.under_way = False

    def granted(self, id: str) -> None:
        job = self._taken.get(id)
        if job is not None:
            self._spent.note(id, job.version)
            self._choice.granted(id)
            if job.heard and not job.vouched:
                self._choice.proved(true=True)
            if not job.heard:
                self._looks.won()

    def refused(self, id: str) -> None:
        """Note that somebody else was faster; the slot is free again."""
        job = self._taken.pop(id, None)
        if job is not None:
            self._spent.note(id, job.version)
            self._choice.refused(id)
            if job.heard and not job.vouched:
                self._choice.proved(true=False)
            self._looks.lost(empty=not self._line)

    def met(self, now: float, members: Collection[str]) -> None:
        """Note who holds leases now; a name not seen in three censuses is forgotten."""
        self._members |= dict.fromkeys(members, now)
        oldest = now - 5 * self._longest_pause
        self._members = {name: at for name, at in self._members.items() if at >= oldest}
        self._choice.meet(self._members)

    @property
    def _longest_pause(self) -> float:
        """Seconds between two censuses: what they cost the server grows with the fleet."""
        return max(CENSUS, CENSUS / 20 * len(self._members))

    def ending(self, id: str) -> None:
        """Note that a job's body is over: its slot is free while the outcome is written.

        No more than `slots` outcomes at a time free a slot, however long the server is away.
        """
        if id in self._taken and id not in self._ending:
            self._hurry()
            self._ending.add(id)

    def done(self, id: str) -> None:
        """Note that what `Give` led to is over, whatever it was."""
        if id in self._taken:
            if id not in self._ending:
                self._hurry()
            del self._taken[id]
            self._choice.unanswered(id)
            self._ending.discard(id)

    def _hurry(self) -> None:
        """Have a slot that is about to be free find work soon; if others are free, that is no news.

        Without a steward it is: nobody passes on what waits at busy members.
        """
        if self.free <= 0 or not self._relayed:
            self._looks.hurry()

    def shun(self, id: str, until: float) -> None:
        """Leave a job to others until then: its function is not known here, say."""
        self._shunned.note(id, until)

    def close(self, now: float) -> list[Action]:
        """Take nothing new; return what the steward is to be told: others may use what waits."""
        actions = [Offer(idle=False), *self._pass_on(now)] if self._relayed else []
        self.closed = True
        self._line.clear()
        self._to_peek.clear()
        self._unsorted = []
        return actions

    # What to do.

    def step(self, now: float) -> list[Action]:
        """Return what is to be done now, in this order."""
        if self.closed:
            return []
        self._note_rest(now)
        actions: list[Action] = [Peek(task) for task in self._to_peek]
        self._peeking |= self._to_peek
        self._to_peek = {}
        if self.searches and self._choice.crowded and now >= self._census_at:
            self._census_at = now + self._census_pause
            self._census_pause = min(self._longest_pause, 2 * self._census_pause)
            actions.append(Census())
        while self.free > 0 and self._may_act:
            action = self._next(now)
            if action is None:
                break
            actions.append(action)
        self._note_rest(now)
        if self._relayed:
            actions += self._relay(now)
        return actions

    def _relay(self, now: float) -> list[Action]:
        """Return what the steward is to be told."""
        if self.free <= 0:
            actions: list[Action] = [Offer(idle=False)] if self._offered else []
            self._offered = False
            return actions + self._pass_on(now)
        resting = not self.searches or self._looks.resting(now)
        if self._offered or self._useful or self._unsorted or not resting:
            return []
        self._offered = True
        return [Offer(idle=True)]

    def _pass_on(self, now: float) -> list[Action]:
        """Pass on the hints that have come since the last time, the oldest jobs' first."""
        ids = self._line.heard.keys() - self._passed.keys()
        if not ids:  # nearly always, and the line may be long
            return []
        fresh = [job for job in self._line.jobs if job.id in ids]
        self._passes = min(PASS_BURST, self._passes + (now - self._passed_at) * PASS_RATE)
        self._passed_at = now
        actions: list[Action] = []
        for job in fresh:
            self._passed.note(job.id, job.version)
            if self._passes >= 1:
                self._passes -= 1
                actions.append(Pass(job.id, job.version))
        return actions

    def _note_rest(self, now: float) -> None:
        """Note when all slots are taken, and for how long they were."""
        if self.free <= 0:
            self._full_since = now if self._full_since is None else self._full_since
        elif self._full_since is not None:
            if now - self._full_since > LULL:
                self._choice.rested()
            self._full_since = None

    @property
    def _may_act(self) -> bool:
        """Whether to go on now: a look under way is waited for unless looks are slow."""
        return not self._looks.under_way or (self._looks.slow and bool(self._line))

    def _next(self, now: float) -> Action | None:
        window = self._choice.window
        if self.searches and self._unsorted and not self._looks.under_way:
            return self._sort()
        useful = self._useful
        sure = self._relayed and 0 < len(useful) < self.free and all(job.heard for job in useful)
        if (
            self.searches
            and not sure
            and self._looks.due(now, window, waiting=bool(useful), last=self.free == 1)
        ):
            return self._look(now)
        if useful and self.free > 0:
            return self._claim(now, useful)
        return None

    @property
    def _useful(self) -> list[Waiting]:
        """The jobs known but for those that whoever heard of them is about to take.

        Without a steward who could use them may not have heard of them; and where more wait than
        there are slots the oldest comes first, unless whoever is passed over has his turn at once.
        """
        crowded_out = not self._looks.trusting and len(self._line) > self.free
        if not self._relayed or crowded_out:
            return self._line.jobs
        return [job for job in self._line.jobs if job.heard or job.settled]

    def _claim(self, now: float, useful: Sequence[Waiting]) -> Action | None:
        job = self._choice.pick(now, useful, starved=len(useful) <= self.free)
        if job is None:
            # More waits than the page shows: rather look further than take others' share.
            wider = self._more and self._choice.widen()
            if self.searches and self._looks.may_refresh(now, 0.0 if wider else GRACE):
                return self._look(now)
            if not wider and self._looks.just_told(now):
                job = self._choice.pick_from_others(now, useful)
        elif self._more and job.id > self._end:
            # Heard of, but younger than much that the last page had no room for.
            self._looks.used_up = True
            if self._looks.may_refresh(now, 0.0):
                return self._look(now)
        if job is None:
            self._hold_until = self._looks.older_at(GRACE)
            return None
        self._line.remove(job.id)
        self._taken[job.id] = job
        return Give(job.id, job.version)

    def _look(self, now: float) -> Look:
        self._choice.looked(self._looks.age(now))
        free, oldest = max(1, self.free), self._line.head
        return self._looks.start(now, free, self._choice.window, oldest)

    def _sort(self) -> Sort:
        self._looks.under_way = True
        # Running jobs are pending promises too and stand among the waiting ones.
        return Sort(min(1000, 2 * len(self._unsorted) + 100), self._unsorted[0][0][:-1])

    def _sort_no_more_than_wanted(self) -> None:
        """Leave unsorted what stands behind as much work as could be used now."""
        wanted = self._choice.window + max(1, self.free)
        if len(self._line) >= wanted:
            last = self._line.jobs[wanted - 1].id
            self._unsorted = [entry for entry in self._unsorted if entry[0] < last]

    def _useless(self, now: float, id: str, version: int) -> str | None:
        """Say why there is nothing to do about a task at this version, if there is not."""
        if self.closed:
            return "closed"
        if id in self._taken or self._spent.get(id, -1) >= version:
            return "known"
        if self._shunned.get(id, 0.0) > now:
            return "shunned"
        return None if self._ours.get(id, True) else "not-ours"
