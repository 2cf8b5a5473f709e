"""What happened between two looks at a fleet. Pure."""

from dataclasses import dataclass

from resonate_fleet.contract.live import LiveAttempt, LiveState


@dataclass(frozen=True)
class Change:
    """Something that happened. `at` in Unix seconds; `kind`: note, strike, recovery, trouble."""

    at: float
    kind: str
    text: str


class Changes:
    """Remembers looks and says what is new in each. A recovery's time is as exact as the looks."""

    def __init__(self) -> None:
        #: When each held task and version was first seen, Unix seconds.
        self.since: dict[tuple[str, int], float] = {}
        self._last: dict[str, tuple[LiveAttempt, float]] = {}
        self._present: set[str] | None = None
        self._parked = 0

    def take(self, seen: LiveState, *, steward: bool) -> list[Change]:
        """Return what changed since the last look; only a steward tells who is present."""
        found = [*self._recoveries(seen), *self._members(seen, steward), *self._quarantine(seen)]
        self.since = {
            (one.task, one.attempt): one.since or self.since.get((one.task, one.attempt), seen.at)
            for one in seen.running
        }
        running = {one.task: (one, seen.at) for one in seen.running}
        waiting = any(group.waiting for group in seen.groups)
        # A job that was cut off waits for a while before it is held again: remember it.
        self._last = (self._last if waiting else {}) | running
        return found

    def _recoveries(self, seen: LiveState) -> list[Change]:
        found = []
        for one in seen.running:
            before = self._last.get(one.task)
            if before is None or before[0].attempt == one.attempt:
                continue
            last, at = before
            text = (
                f"{one.job} went from {last.member} to {one.member}, attempt {one.attempt}, "
                f"within {seen.at - at:.1f} s"
            )
            found.append(Change(seen.at, "recovery", text))
        return found

    def _members(self, seen: LiveState, steward: bool) -> list[Change]:  # noqa: FBT001 - as in `take`
        if not steward:
            return []
        now = {one.member for one in seen.members if one.state == "present"}
        before, self._present = self._present, now
        if before is None:
            return []
        holding = {one.member for one, _ in self._last.values()}
        left = [
            Change(seen.at, "strike" if member in holding else "note", f"{member} has gone")
            for member in sorted(before - now)
        ]
        return left + [Change(seen.at, "note", f"{one} has come") for one in sorted(now - before)]

    def _quarantine(self, seen: LiveState) -> list[Change]:
        parked = sum(group.parked for group in seen.groups)
        before, self._parked = self._parked, parked
        if parked <= before:
            return []
        return [Change(seen.at, "trouble", f"{parked - before} more in quarantine")]
