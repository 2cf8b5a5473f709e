"""Health check of a container: `probe.py PATH PORT [SETTING]` exits 0 if the page answers 200.

SETTING names the environment variable that moves the port. A bare socket and no imports beyond it:
the check runs every few seconds in every container.
"""  # noqa: INP001 - one file copied into images, no package

import os
import socket
import sys


def main(path: str, port: str, setting: str = "") -> int:
    number = int(os.environ.get(setting) or port)
    with socket.create_connection(("127.0.0.1", number), timeout=2) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        status = connection.makefile("rb").readline().split()
    return 0 if status[1:2] == [b"200"] else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:4]))
    except OSError as error:
        sys.exit(f"no answer: {error}")
