"""The secret of members and stewards in Kubernetes: made once, of its own making."""

import pytest

from resonate_fleet.contract import exits
from resonate_fleet.contract.kubernetes import Access, Cluster, ClusterRefused
from resonate_fleet.steward.presence_secret import KEY, NAME, main, make
from tests.support.api_server import NAMESPACE, ApiServer, serving


async def test_it_is_made_once_and_stays() -> None:
    api = ApiServer()
    async with serving(api) as url, Cluster(NAMESPACE, Access(url)) as cluster:
        assert await make(cluster)
        first = api.secrets[NAME]["stringData"][KEY]
        assert not await make(cluster)
    assert api.secrets[NAME]["stringData"][KEY] == first
    assert len(first) == 64


async def test_each_fleet_has_another() -> None:
    made: list[str] = []
    for _ in range(2):
        api = ApiServer()
        async with serving(api) as url, Cluster(NAMESPACE, Access(url)) as cluster:
            await make(cluster)
        made.append(api.secrets[NAME]["stringData"][KEY])
    assert made[0] != made[1]


async def test_a_refusal_is_told() -> None:
    api = ApiServer()
    api.forbidden.add("POST")
    async with serving(api) as url, Cluster(NAMESPACE, Access(url)) as cluster:
        with pytest.raises(ClusterRefused, match="403"):
            await make(cluster)


def test_outside_a_cluster_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == exits.FAILED
    assert "runs in no cluster" in capsys.readouterr().err
