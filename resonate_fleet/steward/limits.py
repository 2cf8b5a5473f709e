"""The limits of a group's policy: what runs under each, and what may start. Pure."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from resonate_fleet.steward.policy import NO_ATTRIBUTES, Attributes, GroupPolicy, Limit

if TYPE_CHECKING:
    from resonate_fleet.steward.subqueues import Level, Subqueue

#: Seconds for which nothing starts while the attributes of some running task are not known. After
#: that such a task counts for the key "" and for no function.
UNREAD_SECONDS = 5.0

#: Characters of a key that are shown: whoever submits chooses its length.
SHOWN = 64


class Limiter:
    """One limit: how many run under it, and the tokens of its rate (a bucket of `burst`).

    `what` says whether it is a key's or a function's, `name` whose.
    """

    def __init__(self, what: str, name: str, limit: Limit) -> None:
        self.what = what
        self.name = name
        self.limit = limit
        self.running = 0
        self._tokens = float(limit.burst)
        self._filled = 0.0

    def permit_at(self, now: float) -> float | None:
        """Return when one more may start; None where one that runs has to end first."""
        limit = self.limit
        if limit.running is not None and self.running >= limit.running:
            return None
        if limit.rate is None:
            return now
        self._fill(now, limit.rate)
        # Rounding may leave slightly less than a whole token.
        missing = max(0.0, 1 - 1e-9 - self._tokens)
        return now + missing / limit.rate

    def blocks(self, now: float) -> bool:
        permit = self.permit_at(now)
        return permit is None or permit > now

    def is_unused(self, now: float) -> bool:
        """Say whether it stands as if nothing had ever started under it."""
        self._fill(now, self.limit.rate or 0.0)
        return not self.running and self._tokens >= self.limit.burst

    def start(self, now: float) -> None:
        """Take a token for a start."""
        if self.limit.rate is not None:
            self._fill(now, self.limit.rate)
            self._tokens -= 1

    def _fill(self, now: float, rate: float) -> None:
        passed = max(0.0, now - self._filled)
        self._tokens = min(float(self.limit.burst), self._tokens + passed * rate)
        self._filled = max(now, self._filled)

    def why(self) -> str:
        """Return what a job waits for that this limit blocks."""
        limit = self.limit
        shown = self.name if len(self.name) <= SHOWN else f"{self.name[:SHOWN]}..."
        if limit.running is not None and self.running >= limit.running:
            words = f"{self.running} of {limit.running} running"
        else:
            words = f"{limit.rate:g} starts a second at most"
        return f"waits for {self.what} {shown or '(none)'}: {words}"


class Key(Limiter):
    """A key of a policy. `tag`: the virtual time of its next start. `subqueues`: by level."""

    def __init__(self, name: str, limit: Limit) -> None:
        super().__init__("key", name, limit)
        self.tag = 0.0
        self.blocked = False
        self.subqueues: dict[Level, Subqueue] = {}


class Limits:
    """The limiters of all keys and functions, and what runs under them.

    `attributes` returns those of a task, None while they are not known.
    """

    def __init__(self, policy: GroupPolicy, attributes: Callable[[str], Attributes | None]) -> None:
        self.policy = policy
        self.attributes = attributes
        #: Whoever submits makes up keys: unused ones must be forgotten.
        self.keys: dict[str, Key] = {}
        self.functions = {
            name: Limiter("function", name, limit) for name, limit in policy.functions.items()
        }
        #: Keys under which less runs than before.
        self.freed: dict[Key, None] = {}
        #: Attributes of the tasks that run or are assigned.
        self._counted: dict[str, Attributes] = {}
        #: Those of them whose attributes are not known.
        self.unread: set[str] = set()
        #: Until when nothing starts because of them.
        self.waits_until: float | None = None

    def key(self, name: str) -> Key:
        if name not in self.keys:
            self.keys[name] = Key(name, self.policy.of_key(name))
        return self.keys[name]

    def start(self, now: float, task: str, attributes: Attributes) -> None:
        """Note that the queue lets a task start."""
        for limiter in self._limiters(attributes):
            limiter.start(now)
        self._count(task, attributes)

    def occupy(self, task: str) -> None:
        """Note that a task runs or is about to, whoever assigned it."""
        if task not in self._counted:
            attributes = self.attributes(task)
            if attributes is None:
                self.unread.add(task)
            self._count(task, attributes or NO_ATTRIBUTES)

    def recount(self, task: str) -> None:
        """Count a running task by what is known of it now, even if that is still nothing."""
        if task in self._counted:
            self.vacate(task)
            self._count(task, self.attributes(task) or NO_ATTRIBUTES)

    def _count(self, task: str, attributes: Attributes) -> None:
        self._counted[task] = attributes
        for limiter in self._limiters(attributes):
            limiter.running += 1

    def vacate(self, task: str) -> None:
        """Note that a task runs no more, or was not claimed after all."""
        self.unread.discard(task)
        attributes = self._counted.pop(task, None)
        if attributes is not None:
            for limiter in self._limiters(attributes):
                limiter.running -= 1
            self.freed[self.key(attributes.key)] = None

    def _limiters(self, attributes: Attributes) -> list[Limiter]:
        of_key, of_function = self.key(attributes.key), self.functions.get(attributes.function)
        return [of_key] if of_function is None else [of_key, of_function]

    def holds_back(self, now: float) -> bool:
        """Say whether nothing may start because of tasks whose attributes are not known."""
        if not self.unread:
            self.waits_until = None
        elif self.waits_until is None:
            self.waits_until = now + UNREAD_SECONDS
        return self.waits_until is not None and now < self.waits_until

    def why(self, now: float, attributes: Attributes) -> str:
        """Return what limit blocks a job, "" for none."""
        limiters = self.functions.get(attributes.function), self.keys.get(attributes.key)
        return next((one.why() for one in limiters if one and one.blocks(now)), "")
