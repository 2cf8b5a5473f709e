"""A fleet in containers for tests: a Compose project of its own, on free ports."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

import msgspec

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.journal import BadLine, Ended, Line, read
from resonate_fleet.contract.wire import Promise, Task
from tests.support.processes import clean_env, free_port
from tests.support.prometheus import Asked
from tests.support.services import need
from tests.support.waiting import wait_until

ROOT: Final = Path(__file__).parents[2]
#: Runs inside a replica; ends without a strike where it is told nothing.
KILLER: Final = "echo armed; read -r word && kill -9 -1"
PUBLISHED: Final = ("SERVER", "STEWARD", "PROMETHEUS", "GRAFANA")


def docker(*args: str, check: bool = True, err: bool = False, timeout: float = 120.0) -> str:
    """Run the docker client; return what it printed, on standard error where `err` is set."""
    done = subprocess.run(
        ["docker", *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert done.returncode == 0 or not check, (
        f"docker {' '.join(args)}: {done.stderr or done.stdout}"
    )
    return (done.stderr if err else done.stdout).strip()


def need_containers() -> None:
    """Skip (fail in CI) where there is no engine, or nobody said which images to use.

    `. .ci/compose-env` does; CI_IMAGES=official before it takes the official ones.
    """
    need(bool(os.environ.get("CI_IMAGES")), "no CI_IMAGES: `. .ci/compose-env` sets it")
    try:
        answers = bool(docker("info", "--format", "{{.ID}}", check=False, timeout=30))
    except FileNotFoundError:
        answers = False
    need(answers, "no Docker engine answers")


def build_images() -> None:
    """Build the fleet's images, and the server that stands in for the official one."""
    subprocess.run([ROOT / ".ci" / "fleet-images"], check=True, timeout=600)


@dataclass(frozen=True)
class Replica:
    """A container of a service."""

    id: str
    name: str

    @property
    def replica(self) -> str:
        """First part of its members' names, such as `worker-2`."""
        return "-".join(self.name.rsplit("-", 2)[1:])

    def inspect(self, path: str) -> str:
        return docker("inspect", "--format", f"{{{{{path}}}}}", self.id)

    def address(self, network: str) -> str:
        """Return its address on a network of the project."""
        networks = json.loads(
            docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", self.id)
        )
        (found,) = (one for name, one in networks.items() if name.endswith(f"_{network}"))
        return str(found["IPAddress"])

    def kill_processes(self) -> None:
        """Kill what runs inside; the container ends by itself and is started again."""
        docker("exec", self.id, "sh", "-c", "kill -9 -1", check=False)


@contextmanager
def killers(replicas: list[Replica]) -> Iterator[Callable[[Replica], object]]:
    """Let a process wait in each replica, so that one can be killed at once.

    `docker exec` takes a job's time on a busy machine.
    """
    with ExitStack() as started:
        waiting = {one.id: started.enter_context(_killer(one)) for one in replicas}
        yield lambda one: waiting[one.id].communicate("go\n")


@contextmanager
def _killer(replica: Replica) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        ["docker", "exec", "--interactive", replica.id, "sh", "-c", KILLER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "armed\n"
        yield process


class Stack:
    """A Compose project. Leaving the context takes it down with its volumes and networks."""

    def __init__(self, **env: str) -> None:
        self.project = f"fleet-test-{uuid4().hex[:8]}"
        # Free ports, so that a fleet of the developer's own may be up too; chosen here and not by
        # the engine, which would choose again whenever the server is restarted.
        ports = {f"{name}_HOST_PORT": str(free_port()) for name in PUBLISHED}
        chosen = {"COMPOSE_PROJECT_NAME": self.project, "COMPOSE_FILE": "compose.yaml"}
        self._env = clean_env(ports | chosen | env)
        self._wire: BlockingWire | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._wire is not None:
            self._wire.close()
        if error is not None:
            print(self.compose("logs", "--tail", "40", "--no-color", check=False))  # noqa: T201 - pytest shows it
        down = ("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "3")
        self.compose(*down, check=False)
        # Compose takes the volumes of the files of now; another choice may have made more.
        project = f"label=com.docker.compose.project={self.project}"
        left = docker("volume", "ls", "--quiet", "--filter", project).split()
        if left:
            docker("volume", "rm", *left, check=False)

    def env(self, **other: str) -> dict[str, str]:
        """Return the environment in which Compose finds this project."""
        return self._env | other

    def compose(self, *args: str, check: bool = True, timeout: float = 180.0) -> str:
        """Run `docker compose`; return what it printed on standard output."""
        done = subprocess.run(
            ["docker", "compose", *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=self._env,
        )
        said = done.stderr or done.stdout
        assert done.returncode == 0 or not check, f"docker compose {' '.join(args)}: {said[-3000:]}"
        return done.stdout.strip()

    def up(self, *args: str, workers: int = 3) -> None:
        """Start the fleet (options and services in `args`) and wait until all is healthy."""
        self.compose("up", "--detach", "--wait", "--scale", f"worker={workers}", *args)

    def replicas(self, service: str = "worker") -> list[Replica]:
        """Return the running containers of a service."""
        ids = self.compose("ps", "--quiet", service).split()
        named = [docker("inspect", "--format", "{{.Name}}", one).lstrip("/") for one in ids]
        return [Replica(one, name) for one, name in zip(ids, named, strict=True)]

    def url(self, service: str = "server", port: int = 8001) -> str:
        return f"http://{self.compose('port', service, str(port))}"

    @property
    def wire(self) -> BlockingWire:
        if self._wire is None:
            self._wire = BlockingWire(self.url(), timeout=5.0)
        return self._wire

    @property
    def prometheus(self) -> Asked:
        return Asked(int(self.compose("port", "prometheus", "9090").rpartition(":")[2]))

    # Work.

    def submit(self, *args: str) -> list[str]:
        """Run a client to its end; return the ids that the server has confirmed."""
        said = self.compose("run", "--rm", "--no-TTY", "client", "--json", *args)
        lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return [line["id"] for line in lines if line["action"] == "confirmed"]

    def held(self) -> dict[str, Task]:
        """Return the tasks that members hold just now, by id."""
        reply = self.wire.call("task.search", {"state": "acquired", "limit": 1000})
        return {one.id: one for one in msgspec.convert(reply.data["tasks"], list[Task])}

    def outcome(self, job: str) -> tuple[Promise, Task]:
        promise = self.wire.promise(job)
        assert promise is not None, f"{job} is lost"
        reply = self.wire.call("task.get", {"id": job})
        return promise, msgspec.convert(reply.data["task"], Task)

    def finish(self, jobs: list[str], within: float) -> dict[str, int]:
        """Wait until all jobs have their result; return how often each was claimed."""
        wait_until(lambda: self._all_settled(jobs), within, f"{len(jobs)} jobs end")
        ended = {job: self.outcome(job) for job in jobs}
        assert {promise.state for promise, _ in ended.values()} == {"resolved"}
        return {job: task.version for job, (_, task) in ended.items()}

    def _all_settled(self, jobs: list[str]) -> bool:
        time.sleep(0.1)  # each look costs a request a job
        return all(self.outcome(job)[0].state != "pending" for job in jobs)

    # Witnesses.

    def journal(self) -> list[Line | BadLine]:
        """Return every line that any process of the fleet has written, by time."""
        text = self.compose("exec", "--no-TTY", "steward", "sh", "-c", "cat /journal/*.jsonl")
        lines = list(read(text.splitlines(), "journal"))
        return sorted(lines, key=lambda line: getattr(line, "at", 0.0))

    def journal_of[L](self, kind: type[L]) -> list[L]:
        return [line for line in self.journal() if isinstance(line, kind)]

    def jobs_by_replica(self, jobs: list[str]) -> dict[str, int]:
        """Return how many of the jobs each replica finished."""
        done: dict[str, int] = {}
        for line in self.journal_of(Ended):
            if line.job in jobs and line.outcome == "resolved":
                replica = line.who.rpartition("-")[0]
                done[replica] = done.get(replica, 0) + 1
        return done
