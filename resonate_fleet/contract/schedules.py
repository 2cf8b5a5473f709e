"""Schedules as the server has them: it creates a job at each time of a cron expression."""

from collections.abc import AsyncIterator

import msgspec

from resonate_fleet.contract.calls import Call
from resonate_fleet.contract.envelope import Value
from resonate_fleet.contract.wire import Wire
from resonate_fleet.contract.words import TAG_TARGET, group_of


class Schedule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A schedule. Times are Unix milliseconds."""

    id: str
    cron: str
    promise_id: str
    promise_timeout: int
    promise_param: Value
    promise_tags: dict[str, str]
    created_at: int = 0
    next_run_at: int = 0
    last_run_at: int | None = None

    @property
    def call(self) -> Call:
        """What runs; other programs may have put anything there."""
        try:
            return msgspec.convert(self.promise_param.decoded(), Call)
        except ValueError:  # msgspec's own is one
            return Call(func="?")

    @property
    def group(self) -> str:
        target = self.promise_tags.get(TAG_TARGET, "")
        return group_of(target) or target

    @property
    def times(self) -> dict[str, float | None]:
        """Its next and last run, Unix seconds."""
        last = None if self.last_run_at is None else self.last_run_at / 1000
        return {"next": self.next_run_at / 1000, "last": last}


async def all_schedules(wire: Wire) -> AsyncIterator[Schedule]:
    """Yield every schedule, in id order.

    Raises:
        Unreachable, Refused: as the wire does.
    """
    async for page in wire.pages("schedule.search", list[Schedule]):
        for one in page:
            yield one
