"""Two stewards on Compose: scaled by a word, under one name, one takes over from the other."""

from collections.abc import Iterator

import msgspec
import pytest

from resonate_fleet.contract.live import LiveState
from tests.support.compose import Replica, Stack, build_images, docker, need_containers
from tests.support.prometheus import Asked
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.containers,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("compose-choice"),
]
ASK = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9465/state').read().decode())"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    need_containers()
    build_images()
    with Stack(WORKER_SLOTS="2") as started:
        started.up("--scale", "steward=2")
        yield started


def state(steward: Replica) -> LiveState:
    return msgspec.json.decode(docker("exec", steward.id, "python", "-Ic", ASK), type=LiveState)


def members(shown: LiveState) -> set[str]:
    return {one.member.rpartition("-")[0] for one in shown.members if one.state == "present"}


def test_each_steward_has_a_name_of_its_own_and_knows_every_member(stack: Stack) -> None:
    stewards = stack.replicas("steward")
    assert {state(one).steward for one in stewards} == {"steward-1", "steward-2"}
    every = {"worker-1", "worker-2", "worker-3"}
    wait_until(
        lambda: all(members(state(one)) == every for one in stewards), 20, "both know all members"
    )
    wait_until(
        lambda: sorted(state(one).serving for one in stewards) == [False, True],
        20,
        "one of them serves",
    )


def test_the_other_one_takes_over_and_no_job_is_lost_or_redone(stack: Stack) -> None:
    jobs = stack.submit("--count", "24", "--cost", "0.5")
    (serving,) = [one for one in stack.replicas("steward") if state(one).serving]
    (other,) = [one for one in stack.replicas("steward") if one != serving]
    docker("kill", serving.id)
    wait_until(lambda: state(other).serving, 20, "the other one serves")
    assert set(stack.finish(jobs, within=60).values()) == {1}


def test_the_pages_on_the_host_are_those_of_a_steward_that_answers(stack: Stack) -> None:
    (left,) = stack.replicas("steward")

    def shown() -> str:
        page = Asked(int(stack.url("console", 9465).rpartition(":")[2])).get("/state")
        return msgspec.json.decode(page, type=LiveState).steward

    assert wait_until(shown, 20, "a steward answers") == state(left).steward
