"""Ports that a fleet takes for its processes."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from resonate_fleet.chaos.ports import HOST, PORTS, free_port
from resonate_fleet.commands.ports_and_page import usual_port
from tests.support.processes import ROOT

DRAW = "resonate_fleet.chaos.ports.random.randrange"


@contextmanager
def port_of_another_run() -> Iterator[int]:
    """A port that another process was given, theirs until the end of the block."""
    script = (
        "from resonate_fleet.chaos.ports import free_port;print(free_port(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        yield int(other.stdout.readline())
        other.communicate("\n")


def test_a_free_port_can_be_listened_on_and_is_none_for_outgoing_connections() -> None:
    port = free_port()
    assert PORTS[0] <= port < PORTS[1] < 32_768
    with socket.socket() as listener:
        listener.bind((HOST, port))
        listener.listen()


def test_a_port_is_given_once_and_is_free_again_after_its_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = free_port()
    with port_of_another_run() as theirs, port_of_another_run() as third:
        pass
    with port_of_another_run() as taken:
        drawn = iter([ours, taken, theirs, theirs, third])
        monkeypatch.setattr(DRAW, lambda *_: next(drawn))
        assert (free_port(), free_port()) == (theirs, third)
        assert list(drawn) == []


def test_a_port_that_is_listened_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with port_of_another_run() as taken, port_of_another_run() as free:
        pass
    with socket.socket() as listener:
        listener.bind((HOST, taken))
        listener.listen()
        drawn = iter([taken, taken, free])
        monkeypatch.setattr(DRAW, lambda *_: next(drawn))
        assert free_port() == free
        assert list(drawn) == []


def test_a_usual_port_goes_to_one_of_two_runs_that_start_together() -> None:
    with port_of_another_run() as usual:
        assert usual_port(usual) != usual
    assert usual_port(usual) == usual
