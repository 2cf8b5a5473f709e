"""Starts the process that sends heartbeats while the member cannot, and tells it of leases.

`heartbeat_script` runs in it.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import msgspec
import structlog

from resonate_fleet.contract import sockets
from resonate_fleet.contract.backoff import doubled
from resonate_fleet.contract.ids import origin_of
from resonate_fleet.contract.recorder import LineBuffer
from resonate_fleet.contract.settings import Token
from resonate_fleet.member.attempts import Attempt, Table

#: Bytes that the pipe is to hold, if the system allows it.
PIPE_BYTES = 1 << 20
#: Longest wait for the process to end after its input has ended, in seconds.
ENDING = 0.5
#: Seconds after which it counts as one that runs. One that ends sooner is started again ever less
#: often: first and longest pause, in seconds.
LASTING, FIRST_PAUSE, LONGEST_PAUSE = 30.0, 1.0, 600.0
log = structlog.get_logger()


class HeartbeatProcess:
    """Runs the process while used as a context manager.

    Writing to it never waits and never fails. If it cannot run (there is no `/proc`, or no memory),
    which is said once, only the member's own thread sends heartbeats.
    """

    def __init__(
        self, table: Table, url: str, token: str | None, member: str, lease: float
    ) -> None:
        #: The lines about the leases that are held.
        self._held: dict[str, bytes] = {}
        to = urlsplit(url)
        port = to.port or (443 if to.scheme == "https" else 80)
        self._hello = {
            "server": [to.scheme, to.netloc, to.hostname, port, f"{to.path}/"], "lease": lease,
            "member": member, "token": str(token or ""),
            "token_file": str(token.file) if isinstance(token, Token) else "",
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._wanted = False
        #: When it was last started, how often in a row it has not lasted, when it may start again.
        self._since, self._failures, self._not_before = 0.0, 0, 0.0
        #: Lines on their way to the process.
        self.buffer = LineBuffer(self._write)
        table.changed = self._changed

    def __enter__(self) -> Self:
        self._wanted = True
        sockets.keep_from_children(self._descriptors)
        self.keep_running()
        return self

    def __exit__(self, *_: object) -> None:
        self._wanted = False
        sockets.forget(self._descriptors)
        with self._lock:
            self._end()

    @property
    def runs(self) -> bool:
        process = self._process
        return process is not None and process.poll() is None

    def keep_running(self) -> None:
        """Start the process unless it runs, or nobody has entered this context."""
        if not self._wanted or not Path("/proc/self/stat").exists():
            return
        with self._lock:
            if self._process is not None and not self.runs:
                self._lost(f"it ended with {self._process.poll()}")
            if self._process is None and time.monotonic() >= self._not_before:
                self._since = time.monotonic()
                try:
                    self._start()
                except OSError as error:
                    self._lost(str(error))

    def _lost(self, why: str) -> None:
        """End it, to be started again: after a pause where it did not last twice in a row."""
        self._end()
        now = time.monotonic()
        self._failures = 0 if now - self._since >= LASTING else self._failures + 1
        if self._failures < 2:
            log.warning("heartbeat-process.ended", why=why, then="started again")
            return
        self._not_before = now + doubled(FIRST_PAUSE, self._failures - 2, LONGEST_PAUSE)
        if self._failures == 2:
            then = "started again now and then; until it lasts a thread alone sends heartbeats"
            log.error("heartbeat-process.failed", why=why, then=then)

    def sent(self) -> None:
        """Tell the process that the member's own heartbeats have been sent."""
        self.keep_running()
        self.buffer.add(_line({"sent": 1}))

    def _start(self) -> None:
        script = str(Path(__file__).with_name("heartbeat_script.py"))
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        fd = self._process.stdin.fileno()
        os.set_blocking(fd, False)
        with suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._write(b"".join((_line(self._hello), *self._held.values())))

    def _changed(self, attempt: Attempt, held: bool) -> None:  # noqa: FBT001 - as the table tells it
        task = attempt.task
        lease = {"add": [task, attempt.version, "|".join(origin_of(task))]}
        line = _line(lease if held else {"drop": task})
        with self._lock:
            if held:
                self._held[task] = line
            else:
                self._held.pop(task, None)
        self.buffer.add(line)
        if held:
            self.buffer.flush()  # before a body that may hold the interpreter begins

    def _write(self, lines: bytes) -> None:
        """Write whole lines. If the pipe is full or broken the process is started again later."""
        with self._lock:
            if self._process is None:
                return
            written = 0
            with suppress(OSError):
                written = os.write(self._descriptors()[0], lines)
            if written < len(lines):
                self._lost("its pipe is full or closed")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING)

    def _descriptors(self) -> list[int]:
        process = self._process
        return [process.stdin.fileno()] if process is not None and process.stdin is not None else []


def _line(message: object) -> bytes:
    return msgspec.json.encode(message) + b"\n"
