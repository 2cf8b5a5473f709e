"""Ports that a fleet takes for its processes."""

import socket

import pytest

from chaos.processes import HOST, PORTS, free_port


def test_a_free_port_can_be_listened_on_and_is_none_for_outgoing_connections() -> None:
    port = free_port()
    assert PORTS[0] <= port < PORTS[1] < 32_768
    with socket.socket() as listener:
        listener.bind((HOST, port))
        listener.listen()


def test_a_port_that_is_listened_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = free_port()
    with socket.socket() as listener:
        listener.bind((HOST, taken))
        listener.listen()
        free = free_port()
        drawn = iter([taken, taken, free])
        monkeypatch.setattr("chaos.processes.random.randrange", lambda *_: next(drawn))
        assert free_port() == free
        assert list(drawn) == []
