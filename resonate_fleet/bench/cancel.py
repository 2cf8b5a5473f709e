"""`fleet cancel` of bodies at work: how soon each is stopped, and with how many outcomes."""

import time
from collections import Counter
from itertools import cycle, islice

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, at_most, figure
from resonate_fleet.bench.jobs import CountedWire, Unfinished
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.bench.processes import WorkerProcess, fleet_command
from resonate_fleet.bench.recovery import until
from resonate_fleet.chaos.ports import HOST
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.journal import Claimed, Ended

#: What is cancelled, in turn. The last two have no body meanwhile, but the last one's child has.
KINDS = ("busy_in_thread", "waits_on_loop", "busy_in_step", "sleeps", "awaits_busy")
BODIES, SECONDS, SLOTS = 20, 300.0, 24


async def cancel(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Cancel `BODIES` jobs of all kinds by one command; count from its start to each one's end."""
    took, doubled = list[float](), 0
    with place.fleet("ours", 1, SLOTS) as fleet:
        (member,) = fleet.members
        pages = f"http://{HOST}:{fleet.stewards[0].port}"
        for _ in range(asked.times(10)):
            made = await _at_work(place.wire, fleet.group, member)
            began = time.time()
            await fleet_command("cancel", *made, "--server", place.url, "--steward", pages)
            ends = await _ends(place.wire, member, made)
            took += [1000 * (end - began) for end in ends]
            outcomes = Counter(line.task for line in _ended(member) if line.outcome != "suspended")
            doubled += sum(count > 1 for count in outcomes.values())
            used = await jobs.submit(place.wire, fleet.group, [0.0] * SLOTS)
            await jobs.finish(place.wire, used)
    what = f"{BODIES} jobs at work, from the command's start to each one's stop"
    return [
        figure("cancel", what, took, "ms", at_most(p95=1000)),
        figure("cancel", "bodies with two outcomes", [float(doubled)], goals=at_most(worst=0)),
    ]


def _ended(member: WorkerProcess) -> list[Ended]:
    return [line for line in member.lines() if isinstance(line, Ended)]


async def _at_work(wire: CountedWire, group: str, member: WorkerProcess) -> dict[str, str]:
    """Start a round's jobs; return their kinds once all are at work."""
    made = {new_id(): kind for kind in islice(cycle(KINDS), BODIES)}
    for job, kind in made.items():
        await jobs.submit_call(wire, group, job, kind, SECONDS)
    bodies, others = _bodies(made), {job for job, kind in made.items() if kind in KINDS[3:]}

    def at_work() -> bool:
        claimed = {line.task for line in member.lines() if isinstance(line, Claimed)}
        return bodies <= claimed and others <= {line.task for line in _ended(member)}

    await until("all to be at work", at_work)
    return made


def _bodies(made: dict[str, str]) -> set[str]:
    """Return the tasks that have a body."""
    children = {f"{job}:1" for job, kind in made.items() if kind == KINDS[-1]}
    return {job for job, kind in made.items() if kind in KINDS[:3]} | children


async def _ends(wire: CountedWire, member: WorkerProcess, made: dict[str, str]) -> list[float]:
    """Return when each body was stopped, and when the jobs ended that had none."""
    bodies = _bodies(made)
    await until("all to be stopped", lambda: bodies <= {line.task for line in _ended(member)})
    stopped = {line.task: line.at for line in _ended(member) if line.task in bodies}
    for job in made.keys() - bodies:
        promise = await wire.promise(job)
        if promise is None or promise.state != "rejected_canceled" or promise.settled_at is None:
            raise Unfinished(f"{job} is not cancelled")
        stopped[job] = promise.settled_at / 1000
    return list(stopped.values())
