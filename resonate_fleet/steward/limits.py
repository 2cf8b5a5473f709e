"""The limits of a group's policy: what runs under each, and what may start. Pure."""

from resonate_fleet.steward.policy import Attributes, GroupPolicy, Limit

#: Seconds for which nothing starts while the attributes of some running task are not known. After
#: that such a task counts for the key "" and for no function.
UNREAD_SECONDS = 5.0

#: Characters of a key that are shown: whoever submits chooses its length.
SHOWN = 64


class Limiter:
    """One limit: how many run under it, and the tokens of its rate (a bucket of `burst`)."""

    def __init__(self, limit: Limit) -> None:
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
        # Rounding may leave a hair's breadth less than a whole token.
        missing = max(0.0, 1 - 1e-9 - self._tokens)
        return now + missing / limit.rate

    def blocks(self, now: float) -> bool:
        permit = self.permit_at(now)
        return permit is None or permit > now

    def is_unused(self, now: float) -> bool:
        """Say whether it stands as if nothing had ever started under it."""
        if self.limit.rate is not None:
            self._fill(now, self.limit.rate)
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

    def words(self) -> str:
        limit = self.limit
        if limit.running is not None and self.running >= limit.running:
            return f"{self.running} of {limit.running} running"
        return f"{limit.rate:g} starts a second at most"


class Limits:
    """The limiters of all keys and functions, and what runs under them."""

    def __init__(self, policy: GroupPolicy) -> None:
        self._policy = policy
        self._keys: dict[str, Limiter] = {}
        self.functions = {name: Limiter(limit) for name, limit in policy.functions.items()}
        #: Attributes of the tasks that run or are assigned.
        self._counted: dict[str, Attributes] = {}
        #: Those of them whose attributes are not known.
        self._unread: set[str] = set()
        #: Until when nothing starts because of them.
        self.waits_until: float | None = None

    def key(self, name: str) -> Limiter:
        if name not in self._keys:
            self._keys[name] = Limiter(self._policy.of_key(name))
        return self._keys[name]

    def forget(self, key: str) -> None:
        """Forget a key under which nothing runs."""
        self._keys.pop(key, None)

    def start(self, now: float, task: str, attributes: Attributes) -> None:
        """Note that the queue lets a task start."""
        for limiter in self._limiters(attributes):
            limiter.start(now)
        self.occupy(task, attributes)

    def counts(self, task: str) -> bool:
        return task in self._counted

    def occupy(self, task: str, attributes: Attributes | None) -> None:
        """Count a task that runs; its attributes are None while they are not known."""
        if attributes is None:
            self._unread.add(task)
        self._counted[task] = attributes or Attributes()
        for limiter in self._limiters(self._counted[task]):
            limiter.running += 1

    def vacate(self, task: str) -> Attributes | None:
        """Count a task no more; return its attributes, None where it did not count."""
        attributes = self._counted.pop(task, None)
        self._unread.discard(task)
        for limiter in self._limiters(attributes) if attributes else ():
            limiter.running -= 1
        return attributes

    def _limiters(self, attributes: Attributes) -> list[Limiter]:
        of_key, of_function = self.key(attributes.key), self.functions.get(attributes.function)
        return [of_key] if of_function is None else [of_key, of_function]

    def unread(self) -> list[str]:
        return sorted(self._unread)

    def holds_back(self, now: float) -> bool:
        """Say whether nothing may start because of tasks whose attributes are not known."""
        if not self._unread:
            self.waits_until = None
        elif self.waits_until is None:
            self.waits_until = now + UNREAD_SECONDS
        return self.waits_until is not None and now < self.waits_until

    def why(self, now: float, attributes: Attributes) -> str:
        """Return what a job waits for besides a slot, "" for nothing else."""
        if attributes.not_before > now:
            return f"waits for its time: {attributes.not_before - now:.0f} s"
        limiter = self.functions.get(attributes.function)
        if limiter is not None and limiter.blocks(now):
            return waits_for("function", attributes.function, limiter)
        limiter = self._keys.get(attributes.key)
        if limiter is not None and limiter.blocks(now):
            return waits_for("key", attributes.key, limiter)
        return ""


def waits_for(what: str, name: str, limiter: Limiter) -> str:
    shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}..."
    return f"waits for {what} {shown or '(none)'}: {limiter.words()}"
