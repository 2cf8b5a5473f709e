"""`fleet store prune` beside a fleet at work: what starts wait, with it and without."""

import asyncio
import re
import time

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, at_most, figure, percentile
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.bench.processes import fleet_command
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.wire import Refused

#: Jobs a second, seconds of them without the prune, and how long each takes.
RATE, ALONE, COST = 20.0, 60.0, 0.01
#: A prepared history ends now and lasts a day: this leaves an hour of it.
AGE = "1h"


async def prune(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Prune the prepared store while jobs are submitted steadily."""
    with place.fleet("ours", 3, 4) as fleet:
        await _starts(place, fleet.group, asyncio.create_task(asyncio.sleep(5)))
        before = place.server_requests()
        alone = await _starts(place, fleet.group, asyncio.create_task(asyncio.sleep(ALONE)))
        pruning = asyncio.create_task(
            fleet_command("store", "prune", asked.store or "", "--older-than", AGE, "--yes")
        )
        beside = await _starts(place, fleet.group, pruning)
        since = place.server_requests() - before
    failed = sum(count for (_, status), count in since.items() if status >= "500")
    deleted, seconds, was, now, free = _figures_of(pruning.result())
    later = percentile(beside, 0.99) - percentile(alone, 0.99)
    return [
        figure("prune", "starts without a prune", alone, "ms"),
        figure("prune", "starts beside a prune", beside, "ms"),
        figure("prune", "their p99, later by", [later], "ms", at_most(worst=50)),
        figure("prune", "jobs deleted", [deleted]),
        figure("prune", "jobs deleted", [deleted / seconds], "a second"),
        figure("prune", "requests that got 500", [float(failed)]),
        figure("prune", "size before", [was], "MB"),
        figure("prune", "size afterwards", [now], "MB"),
        figure("prune", "of it free for new jobs", [free], "MB"),
    ]


async def _starts(place: BenchPlace, group: str, until: "asyncio.Task[object]") -> list[float]:
    """Submit steadily until the task is done; return what each start waited, in milliseconds.

    It counts from when the job was to be submitted, so that whatever holds that up is in it.
    """
    due: dict[str, float] = {}
    began = time.time()
    while not until.done():
        at, job = began + len(due) / RATE, new_id()
        await asyncio.sleep(max(0.0, at - time.time()))
        due[job] = at
        await _submit(place, group, job)
    done = await jobs.finish(place.wire, list(due))
    return [1000 * (one.began - due[one.id]) for one in done]


async def _submit(place: BenchPlace, group: str, job: str) -> None:
    """Submit as a client does that asks again where the server answers 500."""
    while True:
        try:
            await jobs.submit_one(place.wire, group, COST, job)
        except Refused as refused:
            if refused.reply.status < 500:
                raise
            await asyncio.sleep(0.005)
        else:
            return


def _figures_of(said: str) -> tuple[float, ...]:
    """Return jobs, seconds, and the store's size before, afterwards, and of it free."""
    found = re.search(
        r"(\d+) jobs [^,]*, \d+ promises, are gone after ([\d.]+) s\."
        r"\s+It was ([\d.]+) MB and is ([\d.]+) MB, of them ([\d.]+) MB free",
        said,
    )
    if found is None:
        raise jobs.Unfinished(f"the prune said something else: {said}")
    return tuple(map(float, found.groups()))
