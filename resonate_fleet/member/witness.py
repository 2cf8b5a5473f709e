"""What a function may know of the attempt that it runs in, given to it from outside."""

import time
from collections.abc import Callable
from typing import Any

from resonate_fleet.contract.jobs import Result


class Witness:
    """A dependency of the SDK's context: who runs the job, in which attempt, and when.

    Functions take it with `ctx.get_dependency(Witness)`.
    """

    def __init__(
        self, member: str, attempt: Callable[[], int], now: Callable[[], float] = time.time
    ) -> None:
        self.member = member
        self._attempt = attempt
        self._now = now

    def begin(self) -> Callable[..., Result]:
        """Note the beginning; call what is returned with the rest of the result at the end."""
        began = self._now()

        def end(id: str, cost: float, **more: Any) -> Result:
            return Result(
                id=id,
                member=self.member,
                attempt=self._attempt(),
                began=began,
                ended=self._now(),
                cost=cost,
                **more,
            )

        return end
