"""Has the kernel find out that the other side of a connection is gone."""

import socket


def keep_alive(connection: socket.socket, seconds: float) -> None:
    """Have the kernel end `connection` after about `seconds` without a sign of the other side.

    After half of them five probes go out. An option that the platform lacks keeps its default.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    probes = 5
    knobs = {
        "TCP_KEEPIDLE": max(1, round(seconds / 2)),
        "TCP_KEEPINTVL": max(1, round(seconds / 2 / probes)),
        "TCP_KEEPCNT": probes,
        "TCP_USER_TIMEOUT": round(seconds * 1000),
    }
    for knob, value in knobs.items():
        if hasattr(socket, knob):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, knob), value)
