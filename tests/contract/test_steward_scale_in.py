"""Scale-in spares the busy, against an API server that speaks real HTTP."""

from collections.abc import Iterable
from itertools import pairwise

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_fleet.contract.kubernetes import Access, Cluster, ClusterRefused
from resonate_fleet.contract.live import LiveAttempt, LiveMember, LiveState
from resonate_fleet.steward.scale_in import ANNOTATION, PodCosts, due, pod_of, wanted
from tests.support.api_server import NAMESPACE, ApiServer, serving


def state(present: Iterable[str], running: Iterable[tuple[str, str]]) -> LiveState:
    """Members by name, and who runs what."""
    group = "worker-group"
    return LiveState(
        at=0.0,
        steward="s",
        since=0.0,
        members=[
            LiveMember(member=one, group=group, slots=4, free=0, since=0.0) for one in present
        ],
        running=[
            LiveAttempt(
                task=job, job=job, attempt=1, function="f", group=group, member=member, since=0.0
            )
            for member, job in running
        ],
    )


@pytest.fixture
def api() -> ApiServer:
    server = ApiServer()
    server.deploy("worker", 6)
    return server


def look(api: ApiServer, busy: list[str]) -> LiveState:
    members = [f"{pod}-abcdef" for pod in api.of("worker")]
    return state(members, [(f"{pod}-abcdef", f"job-of-{pod}") for pod in busy])


def writer(url: str) -> Cluster:
    return Cluster(NAMESPACE, Access(url), tries=1)


async def test_a_shrinking_deployment_keeps_its_busy_pods(api: ApiServer) -> None:
    busy = api.of("worker")[1:3]
    async with serving(api) as url:
        costs = PodCosts(writer(url), rest=0.0)
        await costs.write(look(api, busy))
        async with aiohttp.ClientSession() as session:
            path = f"{url}/apis/apps/v1/namespaces/{NAMESPACE}/deployments/worker/scale"
            await session.patch(path, json={"spec": {"replicas": 2}})
    assert sorted(api.of("worker")) == sorted(busy)


async def test_a_pod_that_became_idle_costs_nothing_again(api: ApiServer) -> None:
    pod = api.of("worker")[0]
    async with serving(api) as url:
        costs = PodCosts(writer(url), rest=0.0)
        await costs.write(look(api, [pod]))
        assert api.pods[pod]["metadata"]["annotations"][ANNOTATION] == "1"
        await costs.write(look(api, [pod]))
        await costs.write(look(api, []))
        assert api.pods[pod]["metadata"]["annotations"][ANNOTATION] == "0"
    assert len(api.requests) == len(api.of("worker")) + 1, "nothing is written twice"


async def test_what_an_earlier_steward_has_written_does_not_stay(api: ApiServer) -> None:
    """A pod that became idle between two stewards would be spared before those that are busy."""
    pod = api.of("worker")[0]
    async with serving(api) as url:
        await PodCosts(writer(url)).write(look(api, [pod]))
        assert api.cost(pod) == 1
        await PodCosts(writer(url)).write(look(api, []))
        assert api.cost(pod) == 0


@pytest.mark.parametrize("status", [404, 409, 429])
async def test_a_pod_that_cannot_be_written_is_left_for_later(api: ApiServer, status: int) -> None:
    pod = api.of("worker")[0]
    api.answers["PATCH"] = [status]
    async with serving(api) as url:
        costs = PodCosts(writer(url), rest=0.0)
        await costs.write(look(api, [pod]))
        assert api.cost(pod) == 0
        await costs.write(look(api, [pod]))
        assert api.cost(pod) == 1


async def test_a_refusal_is_told_to_whoever_calls(api: ApiServer) -> None:
    api.forbidden.add("PATCH")
    async with serving(api) as url:
        costs = PodCosts(writer(url), rest=0.0)
        with pytest.raises(ClusterRefused, match="403"):
            await costs.write(look(api, api.of("worker")))


def test_members_that_left_cost_nothing() -> None:
    running = [("a-1-000001", "j"), ("a-1-000001", "k"), ("gone-1-000002", "l")]
    assert wanted(state(["a-1-000001", "b-1-000003"], running)) == {"a-1": 2, "b-1": 0}
    assert pod_of("a-1-000001") == "a-1"


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3)), min_size=1, max_size=60),
)
def test_no_pod_is_written_to_more_often_than_allowed(steps: list[tuple[float, int]]) -> None:
    now, written = 0.0, dict[str, tuple[int, float]]()
    times: list[float] = []
    for pause, cost in steps:
        now += pause
        for pod, value in due({"a": cost}, written, now, rest=10.0).items():
            written[pod] = (value, now)
            times.append(now)
    assert all(later - earlier >= 10.0 for earlier, later in pairwise(times))
