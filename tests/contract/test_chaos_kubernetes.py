"""Chaos on Kubernetes against an API server that speaks real HTTP and has real faults."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from resonate_fleet.chaos.cluster import PlaceRefused
from resonate_fleet.chaos.faults import FILL_MEMORY, ON_FLEET, strike
from resonate_fleet.chaos.kubernetes import KubernetesPlace
from resonate_fleet.chaos.place import PlaceFailed, Victim
from resonate_fleet.chaos.pods import Pod, Pods
from resonate_fleet.chaos.scenario import StrikeOrder, When
from resonate_fleet.contract import kubernetes
from resonate_fleet.contract.faults import Fault
from resonate_fleet.contract.kubernetes import Access, Cluster
from resonate_fleet.contract.run import Guarantees, Plan, RunFolder
from resonate_fleet.contract.wire import Unreachable
from tests.support.api_server import NAMESPACE, ApiServer, serving
from tests.support.waiting import wait_until_async as wait_until


@dataclass
class Scene:
    api: ApiServer
    place: KubernetesPlace
    folder: RunFolder

    async def member(self, pod: str) -> Victim[Pod]:
        found = await self.place.find(f"{pod}-abcdef")
        assert found is not None
        return found

    async def strike(self, fault: Fault, pod: str) -> str:
        return await strike(self.place, fault, await self.member(pod))

    async def strike_fleet(self, fault: Fault) -> str:
        order = StrikeOrder(strike=0, fault=fault, when=When(after=0.0))
        return await ON_FLEET[fault].strike(self.place, order)


def plan(members: int = 3, slots: int = 4, *, steward: bool = True) -> Plan:
    return Plan(
        scenario="test",
        seed=1,
        place="kubernetes",
        members=members,
        slots=slots,
        lease=60.0,
        steward=steward,
        deadline=60.0,
        jobs=[],
        strikes=[],
        guarantees=Guarantees(),
    )


@asynccontextmanager
async def on(api: ApiServer, folder: Path, wanted: Plan | None = None) -> AsyncIterator[Scene]:
    async with serving(api) as url:
        place = KubernetesPlace(NAMESPACE, access=Access(url), url="http://127.0.0.1:1")
        run = RunFolder(folder)
        try:
            await place.start(wanted or plan(), run)
            yield Scene(api, place, run)
        finally:
            await place.stop()


@pytest.fixture
def api() -> ApiServer:
    server = ApiServer()
    for app, replicas in (("server", 1), ("steward", 1), ("worker", 3)):
        server.deploy(app, replicas)
    return server


async def test_the_fleet_is_brought_to_the_plan_and_put_back(
    api: ApiServer, tmp_path: Path
) -> None:
    async with on(api, tmp_path, plan(members=5, slots=2, steward=False)):
        assert len(api.of("worker")) == 5
        assert api.of("steward") == []
        env = api.deployments["worker"]["spec"]["template"]["spec"]["containers"][0]["env"]
        assert {"name": "WORKER_SLOTS", "value": "2"} in env
    assert len(api.of("worker")) == 3
    assert len(api.of("steward")) == 1
    assert api.deployments["worker"]["spec"]["template"]["spec"]["containers"][0]["env"] == []


async def test_a_kill_deletes_that_very_pod_without_grace(api: ApiServer, tmp_path: Path) -> None:
    async with on(api, tmp_path) as scene:
        victim = api.of("worker")[1]
        answer = await scene.strike("kill", victim)
        assert victim in answer
        assert victim not in api.pods
        assert len(api.of("worker")) == 3, "the Deployment makes a new one"
        await wait_until(lambda: scene.place.pods.get(victim) is None, 5, "the watch to tell")
        assert await scene.place.find(f"{victim}-abcdef") is None


async def test_a_pod_that_was_replaced_under_its_name_is_not_deleted(
    api: ApiServer, tmp_path: Path
) -> None:
    async with on(api, tmp_path) as scene:
        victim = api.of("worker")[0]
        member = await scene.member(victim)
        api.pods[victim]["metadata"]["uid"] = "another"
        with pytest.raises(PlaceRefused, match="409"):
            await strike(scene.place, "kill", member)
        assert victim in api.pods


async def test_what_has_not_opted_in_is_not_struck(api: ApiServer, tmp_path: Path) -> None:
    async with on(api, tmp_path) as scene:
        shy = api.add_pod("worker", allowed=False)
        await wait_until(lambda: shy in scene.place.pods.members, 5, "the new pod to be seen")
        member = await scene.member(shy)
        with pytest.raises(PlaceFailed, match="not opted in"):
            await strike(scene.place, "kill", member)
        assert shy in api.pods


async def test_an_opt_in_withdrawn_before_the_strike_counts(api: ApiServer, tmp_path: Path) -> None:
    async with on(api, tmp_path) as scene:
        victim = api.of("worker")[0]
        member = await scene.member(victim)
        del api.pods[victim]["metadata"]["labels"]["fleet.chaos"]
        api.happen("MODIFIED", api.pods[victim])
        await wait_until(
            lambda: not getattr(scene.place.pods.get(victim), "allowed", True), 5, "the change"
        )
        with pytest.raises(PlaceFailed, match="not opted in"):
            await strike(scene.place, "terminate", member)


async def test_a_termination_is_an_eviction_that_waits_for_the_budget(
    api: ApiServer, tmp_path: Path
) -> None:
    api.answers["evict"] = [429, 429]
    async with on(api, tmp_path) as scene:
        victim = api.of("worker")[2]
        answer = await scene.strike("terminate", victim)
        assert answer == f"pod {victim} evicted"
        assert [verb for verb, _ in api.requests].count("evict") == 3
        assert victim not in api.pods


async def test_without_the_right_to_evict_the_pod_is_deleted_in_order(
    api: ApiServer, tmp_path: Path
) -> None:
    api.forbidden.add("evict")
    async with on(api, tmp_path) as scene:
        victim = api.of("worker")[2]
        answer = await scene.strike("terminate", victim)
        assert answer == f"pod {victim} deleted in order"
        left = [e["object"] for e in api.events if e["object"]["metadata"]["name"] == victim]
        assert "deletionTimestamp" in left[-1]["metadata"], "with its grace period"


async def test_with_the_chaos_role_alone_the_fleet_is_taken_as_it_is(
    api: ApiServer, tmp_path: Path
) -> None:
    api.forbidden |= {"GET deployments", "PATCH", "evict"}
    async with on(api, tmp_path) as scene:
        victim = api.of("worker")[0]
        await scene.strike("kill", victim)
    with pytest.raises(PlaceFailed, match="wants 5 members, 3 are there"):
        async with on(api, tmp_path, plan(members=5)):
            pass
    with pytest.raises(PlaceFailed, match="WORKER_SLOTS=4, not 1"):
        async with on(api, tmp_path, plan(slots=1)):
            pass


def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, then: str) -> Path:
    """Put a `kubectl` on the path that speaks as the process inside a pod, and `then` ends.

    Returns the file that gets its arguments when it has been told what to do.
    """
    file, asked = folder / "bin/kubectl", folder / "asked"
    file.parent.mkdir()
    tell = f"""printf '%s\\n' "$word $*" >{asked}"""
    say = f"echo armed; read -r word; {tell}; echo heard; {then}"
    file.write_text(f"#!/bin/sh\n{say}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(file.parent), prepend=":")
    return asked


async def test_filling_memory_ends_with_the_container_that_was_killed(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = kubectl(tmp_path, monkeypatch, "exit 137")
    async with on(api, tmp_path) as scene:
        victim = api.of("worker")[0]
        filling = asyncio.create_task(scene.strike("out-of-memory", victim))
        await wait_until(asked.exists, 10, "the process inside to be told")
        assert not filling.done()
        api.pods[victim]["status"]["containerStatuses"] = [{"restartCount": 1}]
        api.happen("MODIFIED", api.pods[victim])
        assert await filling == f"memory of {victim}-abcdef filled"
    program, _, command = asked.read_text().partition(" --namespace ")
    assert json.loads(program) == FILL_MEMORY
    assert command.startswith(f"{NAMESPACE} exec --stdin {victim} -- python -IS -c ")


async def test_without_kubectl_memory_is_not_filled_and_one_line_says_so(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with on(api, tmp_path) as scene:
        with pytest.raises(PlaceFailed, match="kubectl is not installed here"):
            await scene.strike("out-of-memory", api.of("worker")[0])


@pytest.mark.parametrize(
    ("then", "says"),
    [("echo done", "has no memory limit"), ("exit 137", r"end of the container .* 0\.3 s")],
)
async def test_a_memory_limit_that_is_not_enforced_is_told(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str, says: str
) -> None:
    kubectl(tmp_path, monkeypatch, then)
    monkeypatch.setattr("resonate_fleet.chaos.kubernetes.DEAD_SECONDS", 0.3)
    async with on(api, tmp_path) as scene:
        victim = api.of("worker")[0]
        with pytest.raises(PlaceFailed, match=says):
            await scene.strike("out-of-memory", victim)


async def test_the_end_waits_for_the_rollout_that_it_began(api: ApiServer, tmp_path: Path) -> None:
    """What a leaving pod still says belongs to this run, not to the next."""
    async with serving(api) as url:
        place = KubernetesPlace(NAMESPACE, access=Access(url), url="http://127.0.0.1:1")
        await place.start(plan(members=5), RunFolder(tmp_path))
        leaving = api.of("worker")[0]
        api.linger = True
        ending = asyncio.create_task(place.stop())
        await wait_until(
            lambda: api.deployments["worker"]["spec"]["replicas"] == 3, 5, "the fleet put back"
        )
        await wait_until(lambda: leaving in api.leaving(), 5, "the first pod to leave")
        assert not ending.done()
        api.say(leaving, action="member.left", who=f"{leaving}-abcdef")
        for pod in api.leaving():
            api.happen("DELETED", api.pods.pop(pod))
        await ending
        assert b"member.left" in (tmp_path / f"journal/{leaving}.jsonl").read_bytes()


async def test_a_run_begins_when_nobody_is_leaving(api: ApiServer, tmp_path: Path) -> None:
    old = api.add_pod("worker", "worker-old")
    api.pods[old]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    async with serving(api) as url:
        place = KubernetesPlace(NAMESPACE, access=Access(url), url="http://127.0.0.1:1")
        starting = asyncio.create_task(place.start(plan(), RunFolder(tmp_path)))
        try:
            await wait_until(
                lambda: api.deployments["worker"]["metadata"]["generation"] > 1, 5, "the change"
            )
            assert old in api.pods
            assert not starting.done()
            api.happen("DELETED", api.pods.pop(old))
            await starting
        finally:
            await place.stop()


async def test_a_run_begins_only_with_the_stewards_that_it_needs(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one a hand-over waits for leases to lapse, and the run would be judged by that."""
    monkeypatch.setattr("resonate_fleet.chaos.kubernetes.READY_SECONDS", 0.3)
    api.deploy("steward", 0)
    with pytest.raises(PlaceFailed, match="a server, 1 stewards ready"):
        async with on(api, tmp_path):
            pass


async def test_scaling_waits_for_ready_pods(api: ApiServer, tmp_path: Path) -> None:
    async with on(api, tmp_path) as scene:
        assert await scene.place.scale(6) == "6 replicas are ready"
        assert len(api.of("worker")) == 6
        await scene.place.scale(2)
        assert len(api.of("worker")) == 2


async def test_a_conflict_on_a_patch_is_tried_again(api: ApiServer, tmp_path: Path) -> None:
    async with on(api, tmp_path) as scene:
        api.answers["PATCH"] = [409, 500]
        await scene.place.restart_members()
        notes = api.deployments["worker"]["spec"]["template"]["metadata"]["annotations"]
        assert "kubectl.kubernetes.io/restartedAt" in notes


async def test_a_refusal_that_stays_is_told(api: ApiServer, tmp_path: Path) -> None:
    async with on(api, tmp_path) as scene:
        api.answers["PATCH"] = [409] * 9
        with pytest.raises(PlaceRefused, match="409 asked for by the test"):
            await scene.place.scale(4)
        api.answers["PATCH"] = []


async def test_a_watch_that_breaks_is_taken_up_again(api: ApiServer, tmp_path: Path) -> None:
    api.break_watch_after = 1
    async with on(api, tmp_path) as scene:
        for _ in range(5):
            victim = await wait_until(lambda: _standing(scene), 5, "a member that is there")
            await scene.strike("kill", victim)
        assert scene.place.pods.of("worker")
        watches = [path for verb, path in api.requests if path.endswith("/pods")]
        assert len(watches) > 4


def _standing(scene: Scene) -> str | None:
    """Return a pod that the cluster has, the watch has shown, and whose member is known."""
    pods = scene.place.pods
    names = [pod.name for pod in pods.of("worker") if pod.name in pods.members]
    return next((name for name in names if name in scene.api.pods), None)


async def test_a_watch_that_is_too_old_lists_anew(api: ApiServer, tmp_path: Path) -> None:
    api.break_watch_after = 1
    async with on(api, tmp_path) as scene:
        api.too_old_below = api.version + 3
        new = api.add_pod("worker")
        await wait_until(lambda: new in scene.place.pods.members, 5, "the new pod after a 410")


async def test_an_api_server_that_says_nothing_is_a_failure(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "ANSWER_SECONDS", 0.2)
    async with on(api, tmp_path) as scene:
        api.silent = True
        with pytest.raises(PlaceRefused, match="no answer in time"):
            await scene.place.scale(4)
        api.silent = False


async def test_logs_outlive_their_pods_and_are_written_once(api: ApiServer, tmp_path: Path) -> None:
    async with serving(api) as url, Cluster(NAMESPACE, Access(url)) as cluster:
        pods = Pods(cluster, tmp_path, ("worker",))
        await pods.open()
        try:
            victim = api.of("worker")[0]
            await wait_until(lambda: victim in pods.members, 5, "the log to be read")
            for number in range(50):
                api.say(victim, action="job.claimed", number=number)
            api.logs[victim].append(b"Traceback: not a line of ours")
            api.remove_pod(victim)
            file = tmp_path / f"{victim}.jsonl"
            await wait_until(lambda: file.read_bytes().count(b"\n") >= 52, 5, "the last line")
        finally:
            await pods.close()
        lines = file.read_bytes().splitlines()
        assert len(lines) == 52 == len(set(lines))
        assert b'"number": 49' in lines[-1]


async def test_a_namespace_without_a_fleet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlaceFailed, match="no fleet is in namespace"):
        async with on(ApiServer(), tmp_path):
            pass


async def test_the_server_pod_is_replaced_before_the_server_is_asked(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resonate_fleet.chaos.faults.ANSWER_SECONDS", 1.0)
    async with on(api, tmp_path) as scene:
        (old,) = api.of("server")
        with pytest.raises(Unreachable):
            await scene.strike_fleet("server-restart")  # nothing listens at this scene's address
        assert api.of("server") != [old]


async def test_a_server_pod_that_is_not_there_just_then_is_told(
    api: ApiServer, tmp_path: Path
) -> None:
    async with on(api, tmp_path) as scene:
        other = api.add_pod("server")
        await wait_until(lambda: len(scene.place.pods.of("server")) == 2, 5, other)
        with pytest.raises(PlaceFailed, match="2 server pods are there just now"):
            await scene.strike_fleet("server-restart")


@pytest.mark.parametrize("with_member", [False, True])
async def test_the_steward_that_stands_the_longest_is_killed(
    api: ApiServer, tmp_path: Path, *, with_member: bool
) -> None:
    api.deploy("steward", 2)
    first, second = api.of("steward")
    api.say(first, at=2.0, action="steward.started", who=first)
    api.say(second, at=1.0, action="steward.started", who=second)
    async with on(api, tmp_path) as scene:
        await wait_until(lambda: len(scene.place.pods.stewards) == 2, 5, "both to have spoken")
        if with_member:
            victim = api.of("worker")[0]
            await scene.strike("kill-with-steward", victim)
            assert victim not in api.pods
        else:
            assert second in await scene.strike_fleet("steward-kill")
        assert second not in api.pods
        assert first in api.pods
