"""Drives one run: the load goes out, strikes fall when they are due, the witnesses are gathered."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import msgspec

from chaos.looking import Looker, finished_by_victim, records
from chaos.place import Adapter, Member, PlaceFailed
from chaos.plan import Order, Script
from chaos.scenario import LASTING, ON_A_MEMBER
from chaos.triggers import Due, View, due, hopeless
from contract.journal import Healed, Journal, Line, Missed, RunEnded, RunStarted, Struck
from contract.run import Plan, RunFolder
from contract.wire import Refused, Task, Unreachable, Wire

#: Seconds between two looks at the server: a few hundredths of a job's usual cost.
LOOK_SECONDS: Final = 0.02
#: Longest wait, after the end, for the server to say what happened.
RECORDS_SECONDS: Final = 15.0

Tell = Callable[[str], None]


def write_plan(folder: RunFolder, plan: Plan) -> None:
    """Begin a run folder."""
    folder.root.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(plan), indent=2)
    folder.plan.write_bytes(text + b"\n")


class Run:
    """One run of a plan at a place. `tell` gets a line for people whenever something happens."""

    def __init__(self, script: Script, adapter: Adapter, folder: RunFolder, tell: Tell) -> None:
        self._script = script
        self._plan = script.plan
        self._open = list(script.orders)
        self._adapter = adapter
        self._folder = folder
        self._tell = tell
        self._journal = Journal("chaos", folder.journal)
        self._struck: set[str] = set()
        self._met: set[str] = set()
        self._began = time.monotonic()

    async def drive(self) -> bool:
        """Do it all; return whether every job ended before the deadline.

        Raises:
            PlaceFailed: the fleet could not be brought up.
            Unreachable: the server does not answer at the end.
        """
        plan = self._plan
        self._journal.write(RunStarted(scenario=plan.scenario, seed=plan.seed, place=plan.place))
        try:
            await self._adapter.start(plan, self._folder)
            self._say("fleet", f"{plan.members} members are up at {self._adapter.url}")
            async with Wire(self._adapter.url, self._adapter.token, timeout=5.0) as wire:
                await self._must_be_new(wire)
                finished = await self._until_over(wire)
                await self._witnesses(wire)
        finally:
            await self._adapter.stop()
            self._journal.close()
        return finished

    async def _must_be_new(self, wire: Wire) -> None:
        """Refuse jobs that the server has from an earlier run: they would not be done again."""
        for job in self._plan.jobs[:1]:
            if await wire.promise(job.id) is not None:
                raise PlaceFailed(f"{job.id} is on this server already; --tag makes new ids")

    async def _until_over(self, wire: Wire) -> bool:
        """Do load and strikes; of several failures at once the first is told."""
        try:
            return await self._load_and_strike(wire)
        except ExceptionGroup as several:
            raise several.exceptions[0] from several

    async def _load_and_strike(self, wire: Wire) -> bool:
        looker = Looker(wire, self._plan)
        looker.begin()
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            client = group.create_task(self._submit())
            striking: set[asyncio.Task[None]] = set()
            finished = await self._until_the_end(looker, wire, group, striking)
            if not finished:
                for task in (client, *striking):
                    task.cancel()
        for order in self._open:
            self._miss(order, "the run was over before its moment came")
        self._write(RunEnded(finished=finished))
        self._say("end", "every job has ended" if finished else "given up at the deadline")
        return finished

    async def _submit(self) -> None:
        code = await self._adapter.submit(self._script.client)
        self._say("client", f"sent {len(self._plan.jobs)} jobs, exit code {code}")

    async def _until_the_end(
        self,
        looker: Looker,
        wire: Wire,
        group: asyncio.TaskGroup,
        striking: set[asyncio.Task[None]],
    ) -> bool:
        """Look, strike what is due, until all jobs have ended and all strikes are healed."""
        while time.monotonic() - self._began < self._plan.deadline:
            with suppress(Unreachable):  # the server may be what was struck
                view = await looker.look()
                self._meet(view, group)
                for one in self._due(view):
                    task = group.create_task(self._strike(one, looker, wire, view))
                    striking.add(task)
                    task.add_done_callback(striking.discard)
                if view.done >= view.total and not striking and not self._open:
                    return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    def _meet(self, view: View, group: asyncio.TaskGroup) -> None:
        """Let the place find new members now, so that it need not search at the strike."""
        for name in {hold.member for hold in view.holds} - self._met:
            self._met.add(name)
            group.create_task(self._find(name))

    async def _find(self, name: str) -> None:
        with suppress(PlaceFailed):
            await self._adapter.find(name)

    def _due(self, view: View) -> list[Due]:
        """Take the orders whose moment has come off the list; write off the hopeless ones."""
        found: list[Due] = []
        for order in list(self._open):
            one = due(order, view, frozenset(self._struck))
            why = hopeless(order, view) if one is None else None
            if one is not None:
                found.append(one)
                if one.hold is not None:
                    self._struck.add(one.hold.member)
            elif why is not None:
                self._miss(order, why)
            if one is not None or why is not None:
                self._open.remove(order)
        return found

    # One strike.

    async def _strike(self, one: Due, looker: Looker, wire: Wire, view: View) -> None:
        order = one.order
        try:
            if order.fault in ON_A_MEMBER:
                await self._strike_member(one, looker, wire, view)
            else:
                await self._strike_fleet(order, looker, view)
        except (PlaceFailed, Refused, Unreachable) as failed:
            self._miss(order, str(failed))
        finally:
            # What was killed or drains is struck no second time: its name does not come back.
            if one.hold is not None and (order.fault in LASTING or order in self._open):
                self._struck.discard(one.hold.member)

    async def _strike_member(self, one: Due, looker: Looker, wire: Wire, view: View) -> None:
        order, hold = one.order, one.hold
        if hold is None:
            raise PlaceFailed("no victim was chosen")
        member = await self._victim(hold.member)
        held = [task for task in await looker.held() if task.pid == hold.member]
        if hold.task not in {task.id for task in held if task.version == hold.version}:
            self._open.append(order)  # it ended in this very moment: another moment, or a miss
            return
        at = time.time()
        answer = await self._adapter.strike(order.fault, member)
        proof = await self._proof(wire, order, held)
        self._write(
            Struck(
                at=round(at, 6),
                strike=order.strike,
                fault=order.fault,
                target=hold.member,
                job=hold.job,
                held=proof,
                answer=answer,
                part=round(hold.part, 3),
                done=view.done,
            )
        )
        jobs = ", ".join(task for task, _ in proof) or "nothing"
        self._say(order.fault, f"{hold.member} at {hold.part:.0%} of {hold.job}; it held {jobs}")
        if order.fault in LASTING:
            await self._lasting(order, member)

    async def _victim(self, name: str) -> Member:
        """Return the member as the place knows it, if it is still there and opted in."""
        member = await self._adapter.find(name)
        if member is None:
            raise PlaceFailed(f"{name} is not a member of this fleet just now")
        if not member.allowed:
            raise PlaceFailed(f"{name} has not opted in")
        return member

    async def _proof(self, wire: Wire, order: Order, held: list[Task]) -> list[tuple[str, int]]:
        """What the victim held: without what it still finished before the strike took hold."""
        proof: list[tuple[str, int]] = []
        for task in held:
            over = order.fault != "terminate" and await finished_by_victim(
                wire, task.id, task.version
            )
            if not over:
                proof.append((task.id, task.version))
        return proof

    async def _lasting(self, order: Order, member: Member) -> None:
        try:
            await asyncio.sleep(order.seconds)
        finally:  # also when the run is given up: nothing stays frozen
            answer = await self._adapter.heal(order.fault, member)
            self._healed(order, member.member, answer)

    async def _strike_fleet(self, order: Order, looker: Looker, view: View) -> None:
        held = [(task.id, task.version) for task in await looker.held()]
        if not held:
            self._open.append(order)
            return
        doing: dict[str, tuple[str, str, Callable[[], Awaitable[str]]]] = {
            "server-restart": ("server", "killed", self._adapter.restart_server),
            "rolling-restart": ("members", "replaced in turn", self._adapter.rolling_restart),
            "scale": ("members", f"to be {order.to}", lambda: self._adapter.scale(order.to)),
        }
        target, answer, do = doing[order.fault]
        struck = Struck(strike=order.strike, fault=order.fault, target=target, held=held)
        self._write(msgspec.structs.replace(struck, answer=answer, done=view.done))
        self._say(order.fault, f"{target} {answer}, at {view.done} of {view.total} jobs done")
        self._healed(order, target, await do())

    # Words and witnesses.

    def _miss(self, order: Order, why: str) -> None:
        self._write(Missed(strike=order.strike, fault=order.fault, why=why))
        self._say("missed", f"{order.fault}: {why}")

    def _healed(self, order: Order, target: str, answer: str) -> None:
        healed = Healed(strike=order.strike, fault=order.fault, target=target, answer=answer)
        self._write(healed)
        self._say("healed", f"{target}: {answer}")

    def _write(self, line: Line) -> None:
        self._journal.write(line)

    def _say(self, what: str, words: str) -> None:
        self._tell(f"{time.monotonic() - self._began:7.2f} s  {what:<15} {words}")

    async def _witnesses(self, wire: Wire) -> None:
        await self._adapter.settle()
        await wire.wait_ready(RECORDS_SECONDS)
        found = await records(wire, self._plan, self._adapter.url)
        self._folder.server.write_bytes(msgspec.json.encode(found) + b"\n")
        await self._adapter.collect(self._folder)
