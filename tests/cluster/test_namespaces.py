"""Two fleets side by side: each has its own jobs, its own rights, and nothing of the other's."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.conftest import ClusterFleet, removed_after
from tests.cluster.reach import reached, submitted
from tests.support.waiting import wait_until, wait_until_async

COST = "controller.kubernetes.io/pod-deletion-cost"


@pytest.fixture(scope="module")
def pair(checkout: Path) -> Iterator[tuple[ClusterFleet, ClusterFleet]]:
    blue, green = (ClusterFleet(checkout, namespace) for namespace in ("fleet-blue", "fleet-green"))
    with removed_after(blue, green):
        for one in (blue, green):
            one.remove()
            one.overlay("scale-in", "chaos")
        for one in (blue, green):
            one.rolled_out()
        yield blue, green


def all_ended(fleet: ClusterFleet) -> bool:
    return sum(fleet.ended().values()) >= 24


def test_each_does_its_own_jobs(pair: tuple[ClusterFleet, ClusterFleet]) -> None:
    for one in pair:
        assert one.completed("client").count("job.confirmed") == 24
        wait_until(partial(all_ended, one), 180, "24 jobs to end")
    for one in pair:
        assert sum(one.ended().values()) == 24, "the same ids in both, each done once in each"


def test_rights_end_at_the_namespace(pair: tuple[ClusterFleet, ClusterFleet]) -> None:
    for one, other in (pair, pair[::-1]):
        for account, verb in (("chaos", "delete"), ("steward", "patch")):
            who = f"--as=system:serviceaccount:{one.namespace}:{account}"
            assert one.kubectl("auth", "can-i", verb, "pods", who, check=False).strip() == "yes"
            assert other.kubectl("auth", "can-i", verb, "pods", who, check=False).strip() == "no"


def costs(fleet: ClusterFleet) -> list[int]:
    notes = [pod["metadata"].get("annotations", {}) for pod in fleet.pods("worker")]
    return [int(note.get(COST, "0")) for note in notes]


async def test_each_steward_writes_what_its_own_pods_cost(
    pair: tuple[ClusterFleet, ClusterFleet],
) -> None:
    one, other = pair
    async with reached(one) as (_, url):
        assert await submitted(url, "--count", "5", "--cost", "30", "--id-prefix", "fleet-x") == 0
        await wait_until_async(lambda: sum(costs(one)) == 5, 60, "five leases to cost something")
        assert sum(costs(other)) == 0
        await wait_until_async(lambda: sum(costs(one)) == 0, 120, "idle pods to cost nothing")
