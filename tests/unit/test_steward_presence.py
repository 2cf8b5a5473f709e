"""What the kernel is told about a presence connection."""

import socket

import pytest

from resonate_fleet.contract.sockets import keep_alive


@pytest.mark.parametrize("seconds", [2.0, 10.0, 60.0])
def test_a_silent_node_is_found_out_in_about_that_time(seconds: float) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as member,
    ):
        keep_alive(member, seconds)
        assert member.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        tcp = socket.IPPROTO_TCP
        idle = member.getsockopt(tcp, socket.TCP_KEEPIDLE)
        probes = member.getsockopt(tcp, socket.TCP_KEEPCNT)
        pause = member.getsockopt(tcp, socket.TCP_KEEPINTVL)
        assert seconds * 0.8 <= idle + probes * pause <= seconds + 5
