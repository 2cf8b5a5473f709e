"""Fixtures shared by all tests: servers and fleets of real processes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.fleet import Fleet
from tests.support.processes import SCRUBBED, SERVER_BIN, Processes
from tests.support.servers import Server, ServerKind, kinds

# Whatever the shell sets for a fleet of its own must not leak into a test.
for _key in [key for key in os.environ if key.startswith(SCRUBBED) and key != SERVER_BIN]:
    del os.environ[_key]

# How long an example takes says more of what else the machine does.
settings.register_profile("fleet", deadline=None)
settings.load_profile("fleet")

# A shell that runs the tests in the background lets them ignore Ctrl-C, and so would every process
# that they start; a signal that is handled here is back to its default there.
signal.signal(signal.SIGINT, signal.default_int_handler)


#: Tests that stand side by side on one core: they wait for processes, leases and bodies.
A_CORE = 2


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many tests run side by side: none where a path was asked for, which is quicker alone."""
    return 0 if _by_path(config) else A_CORE * (os.cpu_count() or 1)


def _by_path(config: pytest.Config) -> bool:
    return config.args_source is pytest.Config.ArgsSource.ARGS


# First: pytest-xdist's own hook reads the groups that are given here.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this run is not for.

    What only a real server can show runs where one is given; whole scenarios run in CI, and where
    their path is asked for.
    """
    all_of_it = "CI" in os.environ or _by_path(config)
    left_out = [
        item
        for item in items
        if (item.get_closest_marker("real") and not _is_real(item))
        or (item.get_closest_marker("long") and not all_of_it)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        _keep_together(item)
    # The longest first, so that nobody waits for the last one.
    items.sort(key=_length)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say when all that runs on Compose had passed, where `.ci/run` said when it began."""
    began = os.environ.get("CI_BEGAN")
    reports = {
        outcome: [
            report
            for report in terminalreporter.getreports(outcome)
            if isinstance(report, pytest.TestReport) and "containers" in report.keywords
        ]
        for outcome in ("passed", "failed", "error", "skipped")
    }
    passed = reports.pop("passed")
    if began and passed and not any(reports.values()):
        seconds = max(report.stop for report in passed) - float(began)
        terminalreporter.write_line(f"Compose green after {seconds:.0f} s: {len(passed)} tests")


def _keep_together(item: pytest.Item) -> None:
    """A file's tests share what they set up; those of real processes mostly share nothing."""
    if item.get_closest_marker("xdist_group"):
        return
    if item.get_closest_marker("containers"):
        item.add_marker(pytest.mark.xdist_group("containers"))
    elif item.get_closest_marker("node") or not item.get_closest_marker("system"):
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


def _length(item: pytest.Item) -> int:
    lengths = ("containers", "node", "system")
    marked = [n for n, name in enumerate(lengths) if item.get_closest_marker(name)]
    return marked[0] if marked else len(lengths)


def _is_real(item: pytest.Item) -> bool:
    if item.get_closest_marker("containers"):
        return os.environ.get("CI_SERVER") == "real"
    return "real" in kinds()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes for one test and ends them after it; logs are in `tmp_path`/logs."""
    with Processes(tmp_path / "logs") as started:
        yield started


@pytest.fixture(params=kinds())
def server_kind(request: pytest.FixtureRequest) -> ServerKind:
    """`embedded`, and `real` too where RESONATE_SERVER_BIN names a binary."""
    kind: ServerKind = request.param
    return kind


@pytest.fixture
def server(server_kind: ServerKind, processes: Processes) -> Server:
    """A running server that forgets everything when it ends."""
    return Server(server_kind, processes)


@pytest.fixture
def durable_server(server_kind: ServerKind, processes: Processes, tmp_path: Path) -> Server:
    """A running server on a store file: `restart()` finds everything again."""
    return Server(server_kind, processes, store=tmp_path / "server.db")


@pytest.fixture
def fleet(server: Server, processes: Processes, tmp_path: Path) -> Fleet:
    """A fleet around `server`; members, clients and stewards are started by the test."""
    return Fleet(server, processes, tmp_path)


@pytest.fixture
def durable_fleet(durable_server: Server, processes: Processes, tmp_path: Path) -> Fleet:
    """A fleet around `durable_server`."""
    return Fleet(durable_server, processes, tmp_path)
