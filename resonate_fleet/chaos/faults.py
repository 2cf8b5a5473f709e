"""How each fault is done, by the abilities of places. `contract/faults.py` has the rest.

A fault on one member is a `MemberFault`, any other a `FleetFault`.
"""

import asyncio
import math
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from resonate_fleet.chaos.place import Ability, Adapter, AnyAdapter, PlaceFailed, Victim, abilities
from resonate_fleet.chaos.scenario import StrikeOrder
from resonate_fleet.contract.faults import Fault
from resonate_fleet.contract.run import Place
from resonate_fleet.contract.wire import Wire

type Deed = Callable[[AnyAdapter, Victim[Any]], Awaitable[str]]

#: Longest wait for the server to answer after its return, in seconds: images may be fetched.
ANSWER_SECONDS: Final = 180.0

#: Stops all processes beside it, so that the job goes no further, and tells the kernel to take
#: them before this one; anybody may do that to processes of their own user. Then it fills the
#: memory with a file, which belongs to no process: under cgroup v1 the kernel kills the largest
#: process alone, under v2 the whole container.
FILL_MEMORY: Final = """
import os, signal

def limit():
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int(open("/sys/fs/cgroup/" + file).read())
        except (OSError, ValueError):
            pass
    return 0

size = limit()
if 0 < size < 1 << 50:
    os.kill(-1, signal.SIGSTOP)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) != os.getpid():
            try:
                open(f"/proc/{pid}/oom_score_adj", "w").write("1000")
            except OSError:
                pass
    held, block = os.memfd_create("held"), b"x" * (1 << 20)
    for _ in range(2 * size >> 20):
        try:
            os.write(held, block)
        except OSError:
            pass
    os.kill(-1, signal.SIGCONT)
"""


class MemberFault(NamedTuple):
    """`says` what is done, in the documentation; `needs`: what the place must be able to do.

    `strike` returns when it has taken hold; `heal` ends one that lasts.
    """

    says: str
    needs: tuple[Ability, ...]
    strike: Deed
    heal: Deed | None = None


class FleetFault(NamedTuple):
    """The same for a fault on anything else.

    `target` says on what, in the words of a plan. `lasting`: what the place must be able to do
    besides where the fault is to last.
    """

    says: str
    needs: tuple[Ability, ...]
    strike: Callable[[AnyAdapter, StrikeOrder], Awaitable[str]]
    target: Callable[[StrikeOrder], str]
    lasting: tuple[Ability, ...] = ()


async def _exhaust(at: AnyAdapter, member: Victim[Any]) -> str:
    """Fill the memory; where nothing can be run there (on processes), send the kernel's signal."""
    if type(at).run is Adapter.run:
        return await at.kill(member)
    if await at.run(member, FILL_MEMORY):
        raise PlaceFailed(f"{member.name} has no memory limit that is enforced")
    return f"memory of {member.name} filled"


async def _kill_with_steward(at: AnyAdapter, member: Victim[Any]) -> str:
    """Kill both in one instant; the steward is found first."""
    steward = await at.steward()
    return ", ".join(await asyncio.gather(at.kill(member), at.kill(steward)))


async def _replace_steward(at: AnyAdapter, _: StrikeOrder) -> str:
    return await at.replace(await at.steward())


async def _restart_server(at: AnyAdapter, order: StrikeOrder) -> str:
    server, away = await at.server(), order.seconds
    answer = await (at.take_away(server, away) if away else at.replace(server))
    async with Wire(at.url, at.token) as wire:
        await wire.wait_ready(ANSWER_SECONDS)
    return answer


async def _scale(at: AnyAdapter, order: StrikeOrder) -> str:
    answer = await at.scale(order.to)
    if not order.seconds:
        return answer
    try:
        await asyncio.sleep(order.seconds)
    finally:  # also when the run is given up: the fleet is as large again as it was
        back = await at.scale(order.back)
    return f"{answer}; after {order.seconds:g} s {back}"


def _words(seconds: float) -> str:
    """Return a length of time in words; a run that stays makes it infinite."""
    return "as long as the run" if math.isinf(seconds) else f"{seconds:g} s"


ON_MEMBER: Final[Mapping[Fault, MemberFault]] = {
    "kill": MemberFault("it is killed", ("kill",), lambda at, one: at.kill(one)),
    "out-of-memory": MemberFault(
        "its memory is filled until the kernel kills it; on processes SIGKILL", ("kill",), _exhaust
    ),
    "kill-with-steward": MemberFault(
        "both are killed in one instant", ("kill",), _kill_with_steward
    ),
    "terminate": MemberFault(
        "it is told to end in order", ("terminate",), lambda at, one: at.terminate(one)
    ),
    "pause": MemberFault(
        "SIGSTOP, then SIGCONT",
        ("signal",),
        lambda at, one: at.signal(one, signal.SIGSTOP),
        lambda at, one: at.signal(one, signal.SIGCONT),
    ),
    "partition": MemberFault(
        "it reaches neither server nor steward",
        ("cut_off", "connect"),
        lambda at, one: at.cut_off(one),
        lambda at, one: at.connect(one),
    ),
}
ON_FLEET: Final[Mapping[Fault, FleetFault]] = {
    "server-restart": FleetFault(
        "it is killed and comes back on its store; with `seconds` it stays away so long",
        ("replace",),
        _restart_server,
        lambda it: "the server" + (f", away for {_words(it.seconds)}" if it.seconds else ""),
        lasting=("take_away",),
    ),
    "steward-kill": FleetFault(
        "the serving one is killed and comes back",
        ("replace",),
        _replace_steward,
        lambda _: "the serving steward",
    ),
    "rolling-restart": FleetFault(
        "each is replaced in order, the next when the new one is ready",
        ("restart_members",),
        lambda at, _: at.restart_members(),
        lambda _: "every member in turn",
    ),
    "scale": FleetFault(
        "they become `to`; with `seconds` for so long, then as many as at the beginning",
        ("scale",),
        _scale,
        lambda it: (
            f"to {it.to} members"
            + (f" for {_words(it.seconds)}, then to {it.back}" if it.seconds else "")
        ),
    ),
}
ALL: Final[Mapping[Fault, MemberFault | FleetFault]] = {**ON_MEMBER, **ON_FLEET}


def can(place: Place) -> frozenset[Fault]:
    """Return the faults that a place can do. A scenario that asks for others is refused."""
    able = abilities(place)
    return frozenset(fault for fault, one in ALL.items() if able.issuperset(one.needs))


def can_last(place: Place) -> frozenset[Fault]:
    """Return the faults of the whole fleet that a place can make last."""
    able = abilities(place)
    return frozenset(x for x in can(place) & ON_FLEET.keys() if able >= {*ON_FLEET[x].lasting})


async def strike(at: AnyAdapter, fault: Fault, member: Victim[Any]) -> str:
    """Do `fault` to a member, after a last check that it is ours, up, unchanged and opted in.

    Raises:
        PlaceFailed: it was not done.
    """
    await at.look_again(member)
    return await ON_MEMBER[fault].strike(at, member)
