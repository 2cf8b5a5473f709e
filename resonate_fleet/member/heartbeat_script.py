"""A script that keeps a member's leases while the member itself cannot.

A body may hold the interpreter's lock: an endless regular expression, a huge `sorted`, C code. It
then stops every thread of its member, the heartbeats' too. This process hears over its standard
input which leases are held, and each time that the member has sent its own heartbeats. When those
stop it sends heartbeats itself, as long as the member lives and is not stopped.

Lines of JSON come in: first `{"server": [scheme, address, host, port, path], "member", "lease",
"token", "token_file"}`, then `{"add": [task, version, origin]}`, `{"drop": task}` and
`{"sent": n}`. It ends with its input.

It imports little of the standard library and nothing of this package, so that it starts in a tenth
of a second and takes 11 MB.
"""

import json
import os
import select
import signal
import socket
import sys
import time
from itertools import groupby

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes a tenth of the start
    from typing import Any

#: Part of a lease without a heartbeat of the member's own, after which this process sends one.
DUE_PART = 0.5
#: Pause after something came in, in seconds: hundreds of jobs a second wake it ten times.
REST = 0.1
#: States in /proc of a process that is stopped by a signal or a debugger, or has ended.
STOPPED = "TtZX"


class HeldLeases:
    """The leases, and when they last got a heartbeat."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        #: What the first line says.
        self._asked: dict[str, Any] = {}
        self._due_after = 0.0
        self._held: dict[str, tuple[int, str]] = {}
        self._last = 0.0

    def hear(self, line: bytes) -> None:
        """Take in a line of the member."""
        told = json.loads(line)
        if "server" in told:
            self._asked, self._due_after = told, told["lease"] * DUE_PART
        elif "add" in told:
            task, version, origin = told["add"]
            if not self._held:
                self._last = time.monotonic()
            self._held[task] = (version, origin)
        elif "drop" in told:
            self._held.pop(told["drop"], None)
        else:
            self._last = time.monotonic()

    @property
    def rest(self) -> float:
        """Seconds to sleep after something came in."""
        return min(REST, self._due_after / 4)

    def wait(self) -> float | None:
        """Return the seconds until a heartbeat is due, None while nothing is held."""
        if not self._held:
            return None
        return max(0.0, self._last + self._due_after - time.monotonic())

    def send(self) -> None:
        """Send a heartbeat for each origin, unless the member is stopped."""
        self._last = time.monotonic()
        held = sorted(self._held.items(), key=lambda one: one[1][1])
        for _, group in groupby(held, key=lambda one: one[1][1]):
            if not self._lives():
                return
            tasks = [{"id": task, "version": version} for task, (version, _) in group]
            try:
                self._post({"pid": self._asked["member"], "tasks": tasks})
            except OSError:
                return  # tried again when it is due

    def _lives(self) -> bool:
        if os.getppid() != self._parent:
            sys.exit()
        with open(f"/proc/{self._parent}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib takes a third of the start
            state = file.read().rpartition(")")[2].split()[0]
        return state not in STOPPED

    def _post(self, data: dict[str, object]) -> None:
        head = {"corrId": f"heartbeat-process-{time.monotonic_ns()}", "version": "2026-04-01"}
        if token := self._fresh_token():
            head["auth"] = token
        body = json.dumps({"kind": "task.heartbeat", "head": head, "data": data}).encode()
        scheme, address, host, port, path = self._asked["server"]
        fields = (
            f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection((host, port), timeout=max(0.2, self._due_after / 2)) as plain:
            sock = plain
            if scheme == "https":
                import ssl  # noqa: PLC0415 - few need it, and it takes memory

                sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
            sock.sendall(fields.encode() + body)
            while sock.recv(65536):
                pass

    def _fresh_token(self) -> str:
        asked = self._asked
        if asked["token_file"]:
            try:
                with open(asked["token_file"], encoding="utf-8-sig") as file:  # noqa: PTH123 - as above
                    asked["token"] = file.read().strip() or asked["token"]
            except (OSError, UnicodeDecodeError):
                pass
        return str(asked["token"])


def main() -> None:
    """Send heartbeats until the member ends or closes the pipe."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # meant for the member, which ends this one in time
    held, rest = HeldLeases(), b""
    while True:
        ready, _, _ = select.select([0], [], [], held.wait())
        if ready:
            chunk = os.read(0, 1 << 20)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                held.hear(line)
            time.sleep(held.rest)
        if held.wait() == 0:
            held.send()


if __name__ == "__main__":
    main()
