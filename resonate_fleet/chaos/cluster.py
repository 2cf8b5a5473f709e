"""The cluster that chaos strikes in: this pod's own, else the one that `kubectl` speaks to."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from resonate_fleet.chaos.place import PlaceFailed
from resonate_fleet.contract import kubernetes
from resonate_fleet.contract.kubernetes import Access, Cluster

#: Longest wait for `kubectl proxy` to say where it listens, in seconds.
PROXY_SECONDS: Final = 15.0
#: The namespace of k8s/base.
DEFAULT_NAMESPACE: Final = "resonate-fleet"


class PlaceRefused(PlaceFailed, kubernetes.ClusterRefused):
    """The API server answered with a failure: the place could not do what was asked."""


@asynccontextmanager
async def cluster(
    namespace: str | None, access: Access | None = None, env: Mapping[str, str] = os.environ
) -> AsyncIterator[Cluster]:
    """Connect to `access`, else as this pod's account, else through `kubectl proxy`.

    `namespace` None: this pod's own, else that of the base.
    """
    namespace = namespace or kubernetes.own_namespace() or DEFAULT_NAMESPACE
    access = access or kubernetes.own_access(env)
    if access is not None:
        async with Cluster(namespace, access, refused=PlaceRefused) as inside:
            yield inside
        return
    async with (
        kubectl_proxy() as proxied,
        Cluster(namespace, proxied, refused=PlaceRefused) as outside,
    ):
        yield outside


def service_url(cluster: Cluster, name: str, port: int) -> str:
    """Return the address of a Service as seen from where this process runs."""
    if cluster.access.token is not None:
        return f"http://{name}.{cluster.namespace}:{port}"
    path = f"/api/v1/namespaces/{cluster.namespace}/services/{name}:{port}/proxy"
    return f"{cluster.access.url}{path}"


@asynccontextmanager
async def kubectl_proxy() -> AsyncIterator[Access]:
    """Let `kubectl` log in: it knows every way that a kubeconfig may name."""
    if shutil.which("kubectl") is None:
        raise PlaceFailed("kubectl is not installed here")
    proxy = await asyncio.create_subprocess_exec(
        *("kubectl", "proxy", "--port=0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield await _address(proxy)
    finally:
        with suppress(ProcessLookupError):
            proxy.terminate()
        await proxy.wait()


async def _address(proxy: asyncio.subprocess.Process) -> Access:
    """Return where it listens, which is the first thing that it says."""
    line = b""
    if proxy.stdout is not None:
        with suppress(TimeoutError):
            line = await asyncio.wait_for(proxy.stdout.readline(), PROXY_SECONDS)
    text = line.decode(errors="replace").strip()
    found = re.search(r"127\.0\.0\.1:\d+", text)
    if found is None:
        raise PlaceFailed(f"kubectl proxy: {text}")
    return Access(f"http://{found.group()}")
