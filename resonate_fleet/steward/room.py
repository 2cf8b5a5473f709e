"""What a limit of a policy leaves. Pure."""

from resonate_fleet.steward.policy import Limit


class Room:
    """What a limit leaves: how many run, and the tokens of its rate (a bucket of `burst`)."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.running = 0
        self._tokens = float(limit.burst)
        self._filled = 0.0

    def opens(self, now: float) -> float | None:
        """Return from when on there is room; None where one that runs has to end first."""
        limit = self.limit
        if limit.running is not None and self.running >= limit.running:
            return None
        if limit.rate is None:
            return now
        self._fill(now, limit.rate)
        # A hair's breadth less than a whole token is what rounding leaves of one.
        missing = max(0.0, 1 - 1e-9 - self._tokens)
        return now + missing / limit.rate

    def is_shut(self, now: float) -> bool:
        opens = self.opens(now)
        return opens is None or opens > now

    def start(self, now: float) -> None:
        """Note a start that the queue has handed out."""
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
