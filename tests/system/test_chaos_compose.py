"""The Compose place strikes what is its own and has opted in, and nothing else."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from resonate_fleet.chaos import scenario
from resonate_fleet.chaos.compose import ComposePlace
from resonate_fleet.chaos.containers import (
    NUMBER_LABEL,
    PROJECT_LABEL,
    SERVICE_LABEL,
    Docker,
)
from resonate_fleet.chaos.faults import strike
from resonate_fleet.chaos.place import OPT_IN, PlaceFailed, Victim
from resonate_fleet.chaos.plan import script
from resonate_fleet.contract.run import RunFolder
from tests.support.compose import build_images, docker, need_containers
from tests.support.processes import clean_env
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.containers,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("compose-images"),
]

#: What a member says when it is ready, as far as chaos reads it: its name. Again and again, since
#: Docker may note a start later than the first word.
SAYS = "while :; do echo worker-7-abcdef is ready; sleep 0.1; done"
NAME = "worker-7-abcdef"
Container = Callable[..., str]


@pytest.fixture(scope="module")
def image() -> str:
    need_containers()
    build_images()
    shown = ("--filter", "reference=resonate-fleet/worker", "--format", "{{.ID}}")
    return docker("images", *shown).splitlines()[0]


@pytest.fixture
def project() -> str:
    return f"fleet-guard-{uuid4().hex[:8]}"


@pytest.fixture
def container(image: str) -> Iterator[Container]:
    """Starts containers that pass for members, with the labels given; removes them all."""
    started: list[str] = []

    def start(**labels: str) -> str:
        words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        one = docker("run", "--detach", *words, "--entrypoint", "sh", image, "-c", SAYS)
        started.append(one)
        wait_until(lambda: "is ready" in docker("logs", one), 20, "the container has spoken")
        return one

    yield start
    if started:
        docker("rm", "--force", *started)


def labels(project: str, opt_in: str) -> dict[str, str]:
    return {
        PROJECT_LABEL: project,
        SERVICE_LABEL: "worker",
        NUMBER_LABEL: "7",
        OPT_IN[0]: opt_in,
    }


def running(container: str) -> bool:
    return docker("inspect", "--format", "{{.State.Status}}", container) == "running"


async def test_a_member_without_the_label_is_not_struck(container: Container, project: str) -> None:
    victim = container(**labels(project, "no"))
    place, name = ComposePlace(project), NAME
    found = await place.find(name)
    assert found is not None
    assert (found.name, found.handle.id) == (name, victim)
    with pytest.raises(PlaceFailed, match="has not opted in"):
        await strike(place, "kill", found)
    assert running(victim)


async def test_another_projects_container_is_neither_found_nor_struck(
    container: Container, project: str
) -> None:
    stranger = container(**labels(f"{project}-other", OPT_IN[1]))
    place, name = ComposePlace(project), NAME
    assert await place.find(name) is None
    (known,) = await Docker(project, {}).inspect(stranger)
    with pytest.raises(PlaceFailed, match=f"not of project {project}"):
        await strike(place, "kill", Victim(name, known))
    assert running(stranger)


async def test_a_member_that_started_again_meanwhile_is_not_struck_for_the_old_one(
    container: Container, project: str
) -> None:
    victim = container(**labels(project, OPT_IN[1]))
    place, name = ComposePlace(project), NAME
    async with asyncio.timeout(20):  # until the container has said its name
        while (found := await place.find(name)) is None:  # noqa: ASYNC110 - Docker tells nobody
            await asyncio.sleep(0.05)
    assert found.handle.id == victim
    docker("restart", "--time", "0", victim)
    with pytest.raises(PlaceFailed, match="no longer"):
        await strike(place, "kill", found)
    assert running(victim)


async def test_a_project_that_is_up_already_is_not_taken_over(
    container: Container, project: str, tmp_path: Path
) -> None:
    other = container(**labels(project, OPT_IN[1]))
    assert "(container " in await refused(project, tmp_path)
    assert running(other)


@pytest.mark.usefixtures("image")
async def test_what_a_run_left_that_was_cut_off_is_refused_until_it_is_removed(
    project: str, tmp_path: Path
) -> None:
    """Its journals would pass for those of the next run."""
    for kind in ("network", "volume"):  # a network alone mixes nothing into the run
        named = (f"{PROJECT_LABEL}={project}", f"com.docker.compose.{kind}={kind}")
        made_by_compose = [f"--label={one}" for one in named]
        docker(kind, "create", *made_by_compose, f"{project}_{kind}")
    said = await refused(project, tmp_path)
    assert f"(volume {project}_volume)" in said
    command = said.split("`")[1]  # in a folder without Compose files
    subprocess.run(command.split(), cwd=tmp_path, env=clean_env(), check=True)  # noqa: ASYNC221 - nothing else runs
    assert project not in docker("volume", "ls") + docker("network", "ls")


async def refused(project: str, folder: Path) -> str:
    """Return why the place does not begin a run."""
    place = ComposePlace(project)
    asked = script(scenario.read(scenario.find("one-kill")), 1, "compose").plan
    with pytest.raises(PlaceFailed, match="exists already") as why:
        await place.start(asked, RunFolder(folder))
    await place.stop()
    return str(why.value)
