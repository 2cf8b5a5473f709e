"""Faults done to real processes, and what they cost: times read off the members' journals."""

import asyncio
import itertools
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from resonate_fleet.bench.bound import Span, makespan, makespan_of
from resonate_fleet.bench.loads import uniform
from resonate_fleet.chaos.processes import LocalFleet, LocalMember
from resonate_fleet.chaos.shape import Shape
from resonate_fleet.contract.journal import (
    Claimed,
    Ended,
    Line,
    MemberReady,
    Parked,
    ServerBack,
    read_folder,
)
from resonate_fleet.contract.wire import Unreachable, Wire

#: The real server's look for lapsed leases, in seconds (contract.tuning).
SCAN_SECONDS = 0.2
GIVE_UP_SECONDS = 180.0


class Recovery(msgspec.Struct, frozen=True):
    """A job's restart elsewhere, in seconds since the fault; `predicted` if there is a theory."""

    took: float
    predicted: float | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of a load."""

    jobs: int
    lost: int
    doubled: int
    redone: int
    seconds: float
    #: Greedy bounds: for the slots there should be, and for those that there were.
    bound: float | None = None
    bound_there: float | None = None
    reconnects: list[float] = []


async def kills(shape: Shape, root: Path, count: int) -> list[Recovery]:
    """Kill -9 the member that holds a job, `count` times, a second into the job."""
    found = []
    async with LocalFleet(shape, root) as fleet, Wire(fleet.url) as wire:
        for number in range(count):
            job = f"kill-{number}"
            await _submit(fleet, "--id", job, "--cost", "3")
            claim = await _claim(fleet, job, 1)
            await asyncio.sleep(1.0)
            holder = _place(fleet, claim.who)
            assert holder.child is not None  # noqa: S101 - it has just claimed
            killed = time.time()
            await holder.child.kill()
            again = await _claim(fleet, job, 2)
            predicted = None if shape.steward else _lapse(claim.at, killed, shape.lease)
            found.append(Recovery(again.at - killed, predicted))
            await _settled(wire, [job])
            await _until(lambda: _complete(fleet, shape.members), "the fleet is whole again")
    return found


async def hand_backs(shape: Shape, root: Path, count: int) -> list[Recovery]:
    """Terminate the member that holds a job longer than the drain, `count` times."""
    found = []
    async with LocalFleet(shape, root) as fleet, Wire(fleet.url) as wire:
        for number in range(count):
            job = f"drain-{number}"
            await _submit(fleet, "--id", job, "--cost", "3")
            claim = await _claim(fleet, job, 1)
            holder = _place(fleet, claim.who)
            assert holder.child is not None  # noqa: S101 - it has just claimed
            holder.child.send(signal.SIGTERM)
            again = await _claim(fleet, job, 2)
            (released,) = [
                line
                for line in _lines(fleet, Ended)
                if line.job == job and line.outcome == "released"
            ]
            found.append(Recovery(again.at - released.at))
            await _settled(wire, [job])
            await _until(lambda: _complete(fleet, shape.members), "the fleet is whole again")
    return found


async def server_restarts(shape: Shape, root: Path, rounds: int) -> Outcome:
    """Kill -9 the server `rounds` times under load and start it again on its store."""
    async with LocalFleet(shape, root) as fleet, Wire(fleet.url) as wire:
        jobs = [f"restart-{number:03}" for number in range(40 * rounds)]
        began = time.time()
        await _submit(fleet, *_ids(jobs), "--cost", "0.2..1", "--seed", "1")
        returns = []
        for _ in range(rounds):
            await asyncio.sleep(random.uniform(0.3, 1.0))  # anywhere in the work
            await fleet.restart_server()
            returns.append(time.time())
            await asyncio.sleep(1.5)
        await _settled(wire, jobs)
        return await _outcome(fleet, wire, jobs, time.time() - began, _reconnects(fleet, returns))


async def poison(shape: Shape, root: Path, count: int = 50) -> tuple[Outcome, Parked]:
    """Run a job that ends its process among `count` others."""
    async with LocalFleet(shape, root) as fleet, Wire(fleet.url) as wire:
        costs = uniform(1, count, 0.5, 1.5)
        jobs = [f"other-{number:02}" for number in range(count)]
        await _submit(fleet, "--id", "other-00-poison", "--function", "end_process",
                      "--args", '["other-00-poison", 0.3]')  # fmt: skip
        began = time.time()
        calls = zip(jobs, costs, strict=True)
        await asyncio.gather(*(_post(wire, job, cost, shape.group) for job, cost in calls))
        await _settled(wire, jobs)
        ended = max(line.at for line in _lines(fleet, Ended) if line.outcome == "resolved")
        await _until(lambda: bool(_lines(fleet, Parked)), "the job is parked")
        outcome = await _outcome(fleet, wire, jobs, ended - began, [])
        outcome = msgspec.structs.replace(
            outcome,
            bound=makespan(costs, shape.members * shape.slots),
            bound_there=makespan_of(costs, _spans(fleet, began, "other-00-poison")),
        )
        return outcome, _lines(fleet, Parked)[0]


def _spans(fleet: LocalFleet, began: float, poison_job: str) -> list[Span]:
    """Return from when to when each member was of use: to its claim of the poison, if any."""
    ends = {line.who: line.at for line in _lines(fleet, Claimed) if line.job == poison_job}
    return [
        Span(max(0.0, line.at - began), ends[line.who] - began if line.who in ends else None)
        for line in _lines(fleet, MemberReady)
    ]


# What they share.


async def _submit(fleet: LocalFleet, *args: str) -> None:
    client = await fleet.client(*args, name="client")
    code = await client.wait()
    if code != 0:
        raise RuntimeError(f"the client ended with {code}:\n{client.tail()}")


async def _post(wire: Wire, job: str, cost: float, group: str) -> None:
    tags = {"target": f"poll://any@{group}", "scope": "global"}
    tags |= dict.fromkeys(("origin", "branch", "parent"), job)
    call = {"func": "compute_something", "args": [job, cost], "kwargs": {}, "version": 1}
    timeout = int((time.time() + 3600) * 1000)
    await wire.create_promise(job, timeout, call, {f"resonate:{k}": v for k, v in tags.items()})


def _ids(jobs: list[str]) -> list[str]:
    return list(itertools.chain.from_iterable(("--id", job) for job in jobs))


def _lines[L: Line](fleet: LocalFleet, kind: type[L]) -> list[L]:
    return [line for line in read_folder(fleet.folder.journal) if isinstance(line, kind)]


async def _claim(fleet: LocalFleet, job: str, attempt: int) -> Claimed:
    def look() -> list[Claimed]:
        found = _lines(fleet, Claimed)
        return [line for line in found if line.job == job and line.attempt >= attempt]

    await _until(lambda: bool(look()), f"{job} is claimed the {attempt}. time")
    return look()[0]


def _place(fleet: LocalFleet, member: str) -> LocalMember:
    return next(place for place in fleet.members.values() if place.member == member)


def _complete(fleet: LocalFleet, members: int) -> bool:
    """Whether every place is filled again, by a member that hears hints."""
    return len([place for place in fleet.members.values() if place.member]) == members


def _lapse(claimed: float, killed: float, lease: float) -> float:
    """Return when the server should see the lease end: it stood since the last beat."""
    beats = (killed - claimed) // (lease / 3)
    return claimed + beats * lease / 3 + lease + SCAN_SECONDS / 2 - killed


async def _settled(wire: Wire, jobs: list[str]) -> None:
    for job in jobs:

        async def over(job: str = job) -> bool:
            try:
                promise = await wire.promise(job)
            except Unreachable:
                return False
            return promise is not None and promise.state != "pending"

        await _until(over, f"{job} is over")


async def _outcome(
    fleet: LocalFleet, wire: Wire, jobs: list[str], seconds: float, reconnects: list[float]
) -> Outcome:
    promises = [await wire.promise(job) for job in jobs]
    tasks = [await wire.task(job) for job in jobs]
    accepted = [line.job for line in _lines(fleet, Ended) if line.outcome == "resolved"]
    return Outcome(
        jobs=len(jobs),
        lost=sum(promise is None or promise.state != "resolved" for promise in promises),
        doubled=sum(accepted.count(job) > 1 for job in jobs),
        redone=sum(task.version - 1 for task in tasks if task is not None),
        seconds=seconds,
        reconnects=reconnects,
    )


def _reconnects(fleet: LocalFleet, returns: list[float]) -> list[float]:
    """Return how long after each return of the server each member's stream stood again."""
    found = []
    for line in _lines(fleet, ServerBack):
        before = [at for at in returns if at - 0.5 <= line.at]
        if before:
            found.append(max(0.0, line.at - before[-1]))
    return found


async def _until(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    end = time.monotonic() + GIVE_UP_SECONDS
    while True:
        found = condition()
        if found is True or (not isinstance(found, bool) and await found):
            return
        if time.monotonic() > end:
            raise RuntimeError(f"not within {GIVE_UP_SECONDS:g} s: {what}")
        await asyncio.sleep(0.02)
