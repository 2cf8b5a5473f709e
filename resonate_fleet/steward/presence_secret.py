"""`python -m resonate_fleet.steward.presence_secret`: makes the secret of members and stewards.

Run once as a Job of k8s/base. A Secret that is there already stays as it is.
"""

import asyncio
import os
import secrets
import sys

from resonate_fleet.contract import exits
from resonate_fleet.contract.kubernetes import Cluster, ClusterRefused, own_access, own_namespace

NAME, KEY = "presence", "secret"


async def make(cluster: Cluster) -> bool:
    """Make the Secret; return False where it is there already.

    Raises:
        ClusterRefused: the API server does not answer or refuses.
    """
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/part-of": "resonate-fleet"}},
        "immutable": True,
        "stringData": {KEY: secrets.token_hex(32)},
    }
    try:
        await cluster.create(cluster.secrets(), body)
    except ClusterRefused as refused:
        if refused.status != 409:
            raise
        return False
    return True


async def _run() -> str:
    access, namespace = own_access(os.environ), own_namespace()
    if access is None or namespace is None:
        raise OSError("this process runs in no cluster")
    async with Cluster(namespace, access) as cluster:
        made = await make(cluster)
    return f"secret {NAME} {'made' if made else 'is there already'}"


def main() -> int:
    try:
        print(asyncio.run(_run()))  # noqa: T201 - what the Job's log shows
    except (ClusterRefused, OSError) as error:
        sys.stderr.write(f"the secret {NAME} could not be made: {error}\n")
        return exits.FAILED
    return exits.OK


if __name__ == "__main__":
    sys.exit(main())
