"""Acts on jobs, and how a body is stopped when its job has ended.

The acts of the console are journalled. `settled`, by which somebody says what has been cancelled on
the server, is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from resonate_fleet.contract import jobacts
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import Acted
from resonate_fleet.contract.presence import Cancel
from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.steward.console import Act, Refusal
from resonate_fleet.steward.dispatch import Dispatch
from resonate_fleet.steward.tools import Tools

#: Most jobs of one act.
MOST_ASKED = 1000


class Acts:
    """Everything is to be called on the event loop."""

    def __init__(self, tools: Tools, dispatch: Dispatch) -> None:
        self._tools = tools
        self._dispatch = dispatch

    def by_name(self, *, kill: bool) -> dict[str, Act]:
        all_ = (self.cancel, self.rerun, self.redrive, self.reject, *((self.kill,) if kill else ()))
        return {one.__name__: one for one in all_}

    # Each is journalled with who asked.

    async def cancel(self, ids: list[str], who: str) -> Any:
        async def one(id: str, done: list[str]) -> None:
            await jobacts.cancel(self._tools.wire, id, f"cancelled by {who}", done)

        done, unchanged = await self._each("cancel", ids, who, one)
        return {"cancelled": done, "unchanged": unchanged}

    async def rerun(self, ids: list[str], who: str) -> Any:
        made: dict[str, str] = {}

        async def one(id: str, _: list[str]) -> None:
            made[id] = (await jobacts.rerun(self._tools.wire, id))[0]

        _, unchanged = await self._each("rerun", ids, who, one)
        return {"rerun": made, "unchanged": unchanged}

    async def kill(self, ids: list[str], who: str) -> Any:
        """Ask in the journal that the holders of these jobs be killed, by whoever started them."""
        wanted = set(_few(ids))
        running = self._tools.attempts.running.values()
        held = {root_of(one.task): one.member for one in running if root_of(one.task) in wanted}
        if not held:
            raise Refusal(409, "no member holds it just now")
        self._journal("kill", list(held), who, list(held.values()))
        return {"asked": held}

    async def redrive(self, ids: list[str], who: str) -> Any:
        async def one(id: str, _: list[str]) -> None:
            await jobacts.redrive(self._tools.wire, id)
            self._tools.attempts.redriven(self._tools.now(), id)

        done, unchanged = await self._each("redrive", ids, who, one)
        return {"redriven": done, "unchanged": unchanged}

    async def reject(self, ids: list[str], who: str) -> Any:
        async def one(id: str, _: list[str]) -> None:
            await jobacts.reject(self._tools.wire, id, f"rejected by {who}")
            self._tools.attempts.parked.pop(id, None)

        done, unchanged = await self._each("reject", ids, who, one)
        return {"rejected": done, "unchanged": unchanged}

    async def _each(
        self, act: str, ids: list[str], who: str, do: Callable[[str, list[str]], Awaitable[None]]
    ) -> tuple[list[str], dict[str, str]]:
        """Do it to each job; return those that were done, and by id why another is unchanged.

        They are journalled, and their bodies stopped, even if the server fails at another job.

        Raises:
            Refusal: nothing was done, for another reason than that all were over.
        """
        done, unchanged, status = list[str](), dict[str, str](), 0
        ids = _few(ids)
        for name in ids:
            try:
                await do(name, done)
                if name not in done:  # `do` may have noted it already, with its children
                    done.append(name)
            except (jobacts.NoSuchJob, jobacts.OverAlready, jobacts.NoRerun) as same:
                unchanged[name] = str(same)
            except jobacts.NotParked as mistake:
                unchanged[name], status = str(mistake), status or 409
            except (Unreachable, Refused) as failed:
                unchanged[name], status = str(failed), 502
        if status and not done:
            raise Refusal(status, next(reversed(unchanged.values())))
        if act == "cancel":
            self._stop(done)
        if done:
            self._journal(act, [name for name in ids if name in set(done)], who)
        return done, unchanged

    # An act without a token: somebody has cancelled on the server and says so.

    async def settled(self, ids: list[str], _who: str) -> Any:
        """Stop the bodies of jobs that have ended, after the server has confirmed that."""
        wanted = set(_few(ids))
        running = self._tools.attempts.running
        tasks = [task for task in running if wanted & {task, root_of(task)}]
        over = await asyncio.gather(*map(self._is_over, tasks))
        stopped = [task for task, ended in zip(tasks, over, strict=True) if ended]
        self._stop(stopped)
        return {"stopped": stopped}

    async def _is_over(self, task: str) -> bool:
        try:
            promise = await self._tools.wire.promise(task)
        except (Unreachable, Refused):
            return False
        return promise is None or promise.state != "pending"

    def _stop(self, ended: Iterable[str]) -> None:
        """Have the members that run these tasks, if any, stop their bodies."""
        for task in dict.fromkeys(ended):
            attempt = self._tools.attempts.running.get(task)
            if attempt is None:
                continue
            holder = self._dispatch.group(attempt.group).present.get(attempt.member)
            if holder is not None:
                holder.say(Cancel([task]))
                self._tools.attempts.mark(self._tools.now(), "cancelled", attempt.member, task)

    def _journal(self, act: str, ids: list[str], who: str, members: Iterable[str] = ()) -> None:
        self._tools.journal.write(Acted(act=act, jobs=ids, by=who, members=list(members)))


def _few(ids: list[str]) -> list[str]:
    """Return the ids without repeats."""
    if len(ids) > MOST_ASKED:
        raise Refusal(400, f"{len(ids)} jobs at once; accepted: {MOST_ASKED} at most")
    return list(dict.fromkeys(ids))
