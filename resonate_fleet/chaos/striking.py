"""The strikes of one run: taken from the list when due, done with proof, healed."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from resonate_fleet.chaos.faults import ON_FLEET, ON_MEMBER, strike
from resonate_fleet.chaos.observer import RunObserver
from resonate_fleet.chaos.place import AnyAdapter, PlaceFailed
from resonate_fleet.chaos.scenario import StrikeOrder
from resonate_fleet.chaos.triggers import HeldLease, RunState, due, hopeless
from resonate_fleet.contract.faults import DRAINING, FAULTS, FREEZING
from resonate_fleet.contract.journal import StrikeDone, StrikeHealed, StrikeMissed
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.wire import Refused, Unreachable

#: Says to people what happened: a word and a sentence.
Say = Callable[[str, str], None]


class Striker:
    """Does the strikes of `orders` whose moment has come, and takes them off that list.

    They run as tasks of `group`, so that a long one delays no other; those on the whole fleet
    wait for each other.
    """

    def __init__(
        self,
        orders: list[StrikeOrder],
        adapter: AnyAdapter,
        observer: RunObserver,
        group: asyncio.TaskGroup,
        journal: Journal,
        say: Say,
    ) -> None:
        self.orders = orders
        self.group = group
        self._adapter = adapter
        self._observer = observer
        self._journal = journal
        self._say = say
        self._under_way: set[asyncio.Task[None]] = set()
        # Two scalings at once would undo each other.
        self._all_at_once = asyncio.Lock()
        self._targets: set[str] = set()
        self._found: set[str] = set()

    @property
    def over(self) -> bool:
        """Every order has been done and healed, or missed."""
        return not self.orders and not self._under_way

    def consider(self, snapshot: RunState) -> None:
        """Begin what is due in `snapshot`; write off what has become hopeless."""
        # The place finds new members now, so that it need not search at the strike.
        for name in {hold.member for hold in snapshot.holds} - self._found:
            self._found.add(name)
            self.group.create_task(self._find(name))
        for order in list(self.orders):
            hold = due(order, snapshot, frozenset(self._targets))
            if hold is not None:
                self.orders.remove(order)
                if order.fault in ON_MEMBER:
                    self._targets.add(hold.member)
                task = self.group.create_task(self._strike(order, hold, snapshot))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
            elif why := hopeless(order, snapshot):
                self.orders.remove(order)
                self._miss(order, why)

    def give_up(self) -> None:
        """End the strikes under way, which heals what they froze."""
        for task in self._under_way:
            task.cancel()

    def write_off(self) -> None:
        """Call the orders that are left missed."""
        for order in self.orders:
            self._miss(order, "the run was over before its moment came")
        self.orders.clear()

    async def _find(self, name: str) -> None:
        with suppress(PlaceFailed):
            await self._adapter.find(name)

    async def _strike(self, order: StrikeOrder, hold: HeldLease, snapshot: RunState) -> None:
        try:
            if order.fault in ON_FLEET:
                async with self._all_at_once:
                    done = await self._strike_fleet(order, snapshot)
            else:
                done = await self._strike_member(order, hold, snapshot)
        except (PlaceFailed, Refused, Unreachable) as failed:
            self._miss(order, str(failed))
            done = True
        if not done:  # the victim has just given the lease up: tried again later, or missed
            self.orders.append(order)
        # What was killed or drains is struck no second time: its name does not come back.
        if order.fault in ON_MEMBER and (not done or order.fault in FREEZING):
            self._targets.discard(hold.member)

    async def _strike_member(self, order: StrikeOrder, hold: HeldLease, snapshot: RunState) -> bool:
        """Strike the member that has the lease `hold`; False if it has it no longer."""
        member = await self._adapter.find(hold.member)
        held = [] if member is None else await self._observer.held_by(hold.member)
        if member is None or (hold.task, hold.version) not in held:
            return False
        asked, heal = _now(), ON_MEMBER[order.fault].heal
        answer = await strike(self._adapter, order.fault, member)
        try:
            at = _now()
            if order.fault not in DRAINING:  # a member that drains is meant to finish what it holds
                held = await self._observer.held_after(held, hold.member)
            line = StrikeDone(
                strike=order.strike,
                fault=order.fault,
                target=hold.member,
                job=hold.job,
                held=held,
                answer=answer,
                part=round(hold.part, 3),
                done=snapshot.done,
                asked=asked,
                at=at,
            )
            self._journal.write(line)
            what = ", ".join(task for task, _ in held) or "nothing"
            where = f"{hold.member} at {hold.part:.0%} of {hold.job}"
            self._say(order.fault, f"{where}; it held {what}")
            if heal is not None:
                await asyncio.sleep(order.seconds)
        finally:  # also when the run is given up: nothing stays frozen
            if heal is not None:
                asked = _now()
                self._healed(order, member.name, await heal(self._adapter, member), asked)
        return True

    async def _strike_fleet(self, order: StrikeOrder, snapshot: RunState) -> bool:
        """Strike the server or all members; False if nobody holds anything just now."""
        held = [(task.id, task.version) for task in await self._observer.held()]
        if not held:
            return False
        fault, (target, *_) = ON_FLEET[order.fault], FAULTS[order.fault].on
        answer, done = fault.target(order), snapshot.done
        line = StrikeDone(
            strike=order.strike,
            fault=order.fault,
            target=target,
            held=held,
            answer=answer,
            done=done,
        )
        self._journal.write(line)
        self._say(order.fault, f"{answer}, at {done} of {snapshot.total} jobs done")
        asked = _now()
        self._healed(order, target, await fault.strike(self._adapter, order), asked)
        return True

    def _miss(self, order: StrikeOrder, why: str) -> None:
        self._journal.write(StrikeMissed(strike=order.strike, fault=order.fault, why=why))
        self._say("missed", f"{order.fault}: {why}")

    def _healed(self, order: StrikeOrder, target: str, answer: str, asked: float) -> None:
        strike, fault = order.strike, order.fault
        line = StrikeHealed(strike=strike, fault=fault, target=target, answer=answer, asked=asked)
        self._journal.write(line)
        self._say("healed", f"{target}: {answer}")


def _now() -> float:
    return round(time.time(), 6)
