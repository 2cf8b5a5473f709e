"""`fleet store prune` beside a fleet at work: what starts wait, with it and without."""

import asyncio
import re
import sys
import time
from asyncio.subprocess import PIPE

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, Goal, at_most, percentile
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.place import Place
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.wire import Refused

MEMBERS, SLOTS = 3, 4
#: Jobs a second, seconds of them without the prune, and how long each takes.
RATE, ALONE, COST = 20.0, 60.0, 0.01
#: A prepared history ends now and lasts a day: this leaves an hour of it.
AGE = "1h"


async def beside_work(place: Place, wire: CountedWire, store: str) -> list[Figure]:
    group = place.new_group("prune")
    with place.with_stewards(), place.members("ours", group, MEMBERS, SLOTS):
        await _starts(wire, group, asyncio.create_task(asyncio.sleep(5)))
        before = place.server_requests()
        alone = await _starts(wire, group, asyncio.create_task(asyncio.sleep(ALONE)))
        pruning = asyncio.create_task(_prune(store))
        beside = await _starts(wire, group, pruning)
        failed = sum(
            count
            for (_, status), count in (place.server_requests() - before).items()
            if status >= "500"
        )
    return _figures(alone, beside, failed, pruning.result())


async def _starts(wire: CountedWire, group: str, until: "asyncio.Task[object]") -> list[float]:
    """Submit steadily until the task is done; return what each start waited, in milliseconds.

    It counts from when the job was to be submitted, so that whatever holds that up is in it.
    """
    due: dict[str, float] = {}
    began = time.time()
    while not until.done():
        at, job = began + len(due) / RATE, new_id()
        await asyncio.sleep(max(0.0, at - time.time()))
        due[job] = at
        await _submit(wire, group, job)
    done = await jobs.finish(wire, list(due))
    return [1000 * (one.began - due[one.id]) for one in done]


async def _submit(wire: CountedWire, group: str, job: str) -> None:
    """Submit as a client does that asks again where the server answers 500."""
    while True:
        try:
            await jobs.submit_one(wire, group, COST, job)
        except Refused as refused:
            if refused.reply.status < 500:
                raise
            await asyncio.sleep(0.005)
        else:
            return


async def _prune(store: str) -> str:
    words = ("store", "prune", store, "--older-than", AGE, "--yes")
    command = (sys.executable, "-m", "resonate_fleet.commands.main", *words)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    said, _ = await process.communicate()
    if process.returncode:
        raise jobs.Unfinished("the prune failed; it has said why")
    return said.decode()


def _figures(alone: list[float], beside: list[float], failed: int, said: str) -> list[Figure]:
    def figure(what: str, unit: str, values: list[float], *goals: Goal) -> Figure:
        return Figure(measure="prune", what=what, unit=unit, values=values, goals=goals)

    later = percentile(beside, 0.99) - percentile(alone, 0.99)
    gone, seconds, was, now, free = _told(said)
    return [
        figure("starts without a prune", "ms", alone),
        figure("starts beside a prune", "ms", beside),
        figure("their p99, later by", "ms", [later], *at_most(worst=50)),
        figure("jobs deleted", "", [gone]),
        figure("jobs deleted", "a second", [gone / seconds]),
        figure("requests that got 500", "", [failed]),
        figure("size before", "MB", [was]),
        figure("size afterwards", "MB", [now]),
        figure("of it free for new jobs", "MB", [free]),
    ]


def _told(said: str) -> tuple[float, ...]:
    """Return jobs, seconds, and the store's size before, afterwards, and of it free."""
    found = re.search(
        r"(\d+) jobs [^,]*, \d+ promises, are gone after ([\d.]+) s\."
        r"\s+It was ([\d.]+) MB and is ([\d.]+) MB, of them ([\d.]+) MB free",
        said,
    )
    if found is None:
        raise jobs.Unfinished(f"the prune said something else: {said}")
    return tuple(map(float, found.groups()))
