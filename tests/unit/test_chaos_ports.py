"""Ports that a fleet takes for its processes."""

import socket

from chaos.processes import HOST, PORTS, free_port


def test_a_free_port_can_be_listened_on_and_is_none_for_outgoing_connections() -> None:
    port = free_port()
    assert PORTS[0] <= port < PORTS[1] < 32_768
    with socket.socket() as listener:
        listener.bind((HOST, port))
        listener.listen()


def test_a_port_that_is_listened_on_is_not_free() -> None:
    with socket.socket() as listener:
        taken = free_port()
        listener.bind((HOST, taken))
        listener.listen()
        assert taken not in {free_port() for _ in range(50)}
