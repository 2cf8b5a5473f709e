"""One server for all tests of a module, a group of its own for each."""

import resource
from collections.abc import Iterator

import pytest

from tests.support.fleet import Fleet
from tests.support.place import Place
from tests.support.processes import Processes
from tests.support.servers import Server, kinds


@pytest.fixture(scope="module", params=kinds())
def shared_fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """A fleet on a server that lives as long as the module's tests.

    Its embedded server is as strict with heartbeats as the real server's main branch.
    """
    folder = tmp_path_factory.mktemp("shared")
    with Processes(folder / "logs") as processes:
        server = Server(request.param, processes, env={"DEVSERVER_STRICT_ORIGIN": "true"})
        yield Fleet(server, processes, folder)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open more files than a thousand idle connections need."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def place(shared_fleet: Fleet) -> Iterator[Place]:
    made = Place(shared_fleet)
    yield made
    made.close()
