"""The measures by name: what `fleet bench NAME` runs, each on a server of its own."""

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from resonate_fleet.bench.backlog import waiting
from resonate_fleet.bench.batch import batch
from resonate_fleet.bench.cancel import cancel
from resonate_fleet.bench.console import console
from resonate_fleet.bench.fanout import fanout
from resonate_fleet.bench.figures import Figure
from resonate_fleet.bench.history import history
from resonate_fleet.bench.latency import latency
from resonate_fleet.bench.makespan import makespan, order
from resonate_fleet.bench.place import Asked, BenchPlace, open_place
from resonate_fleet.bench.policy import policy
from resonate_fleet.bench.prune import prune
from resonate_fleet.bench.recovery import recovery
from resonate_fleet.bench.searches import searches
from resonate_fleet.bench.simulation import simulated
from resonate_fleet.bench.throughput import drain, throughput


@dataclass(frozen=True)
class Measure:
    """`on_file`: its store is a file; `on_history`: it is the one that the command line names."""

    run: Callable[[BenchPlace, Asked], Awaitable[list[Figure]]]
    on_file: bool = False
    on_history: bool = False


MEASURES: dict[str, Measure] = {
    "makespan": Measure(makespan),
    "order": Measure(order),
    "latency": Measure(latency),
    "throughput": Measure(throughput),
    "drain": Measure(drain),
    "waiting": Measure(waiting, on_file=True),
    "fanout": Measure(fanout),
    "recovery": Measure(recovery, on_file=True),
    "history": Measure(history, on_file=True, on_history=True),
    "batch": Measure(batch, on_file=True),
    "cancel": Measure(cancel, on_file=True),
    "policy": Measure(policy),
    "console": Measure(console),
    "simulated": Measure(simulated),
    "searches": Measure(searches, on_file=True, on_history=True),
    "prune": Measure(prune, on_file=True, on_history=True),
}


async def measured(name: str, asked: Asked) -> tuple[str, list[Figure]]:
    """Run one measure; return what server it ran on, and the figures."""
    measure = MEASURES[name]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        store = str(folder / "store.db") if measure.on_file else ":memory:"
        if measure.on_history and asked.store:
            store = _copied(asked.store, store)
        place = open_place(stack, folder, asked.server, asked.server_bin, store)
        async with place.wire:
            return place.what, await measure.run(place, replace(asked, store=store))


def _copied(prepared: str, file: str) -> str:
    """Copy a prepared file, so that it serves again; a database is used as it is."""
    if "://" in prepared:
        return prepared
    shutil.copy(prepared, file)
    # Else the first checkpoint of the server writes all of it: 0.5 s for 1 GB, amid a measure.
    os.sync()
    return file
