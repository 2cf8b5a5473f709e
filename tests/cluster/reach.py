"""The server and the steward of a fleet in the cluster, reached through `kubectl proxy`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resonate_fleet.chaos.cluster import cluster, service_url
from resonate_fleet.contract.kubernetes import Cluster
from resonate_fleet.contract.words import SERVER_PORT
from tests.cluster.conftest import ClusterFleet


@asynccontextmanager
async def reached(fleet: ClusterFleet) -> AsyncIterator[tuple[Cluster, str]]:
    """Yield the cluster and the address of the fleet's server."""
    async with cluster(fleet.namespace) as one:
        yield one, service_url(one, "server", SERVER_PORT)


async def submitted(url: str, *options: str) -> int:
    """Run the client here; return its exit code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "resonate_fleet.submit", *options),
        env={**os.environ, "RESONATE_URL": url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()
