"""Rooms as processes forked from one that has imported them: a start costs a tenth.

    python -m tests.support.forks      reads a request a line and answers each with a number

A forked process differs from one that Python starts in two things alone: its modules are imported
already, and /proc shows the command line and the environment of the one that it came from.
"""

import atexit
import contextlib
import ctypes
import gc
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import msgspec

from resonate_fleet.chaos.child import OutputFiles
from resonate_fleet.commands.command_table import COMMANDS

#: What is imported later than a command's own module: by its deed, or when a room goes to work.
LATER = (
    *("difflib", "rich.live", "uvloop", "resonate_fleet.contract.http"),
    *("resonate_fleet.submit.command", "resonate_fleet.server.server"),
    *("resonate_fleet.steward.life", "resonate_fleet.member.life"),
)
#: Variables of these beginnings mean something to Python as it starts.
PYTHONS = ("LANG", "LC_", "PYTHON")
#: What `poll` answers while a process runs; no exit code is that large.
RUNS = 1000
#: Asks the kernel to kill a process when its parent ends (Linux).
_DIE_WITH_PARENT = 1


class Start(msgspec.Struct, frozen=True, tag=True):
    """A module to run as `python -m` does, and where its two streams are appended."""

    module: str
    args: list[str]
    env: dict[str, str]
    out: str
    err: str


class Poll(msgspec.Struct, frozen=True, tag=True):
    """Asks for the exit code of a process that was started."""

    pid: int


_requests = msgspec.json.Decoder(Start | Poll)


class Forker:
    """The one process that forks. Safe to use from any thread."""

    def __init__(self) -> None:
        command, pipe = [sys.executable, "-m", __name__], subprocess.PIPE
        self._process = subprocess.Popen(command, 0, stdin=pipe, stdout=pipe)
        self._lock = threading.Lock()

    def close(self) -> None:
        """End it: it ends when there is nobody to ask."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ask(self, request: Start | Poll) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            return int(self._process.stdout.readline())


class Forked:
    """A forked process, with what `subprocess.Popen` offers of one."""

    def __init__(self, command: list[str], env: Mapping[str, str], streams: OutputFiles) -> None:
        out, err = streams.out or streams.log, streams.log
        for path in (out, err):
            path.touch()
        self._command = command
        # `python -m module arguments...`
        asked = Start(command[2], command[3:], dict(env), str(out), str(err))
        self._forker = _forker()
        self.pid = self._forker.ask(asked)
        self._handle = os.pidfd_open(self.pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float) -> int:
        """Return the exit code, negative for the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        if self.returncode is None:
            if not select.select([self._handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._command, timeout)
            while (code := self._forker.ask(Poll(self.pid))) == RUNS:
                time.sleep(0.001)
            self.returncode = code
            os.close(self._handle)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)


def can_fork(command: list[str], env: Mapping[str, str]) -> bool:
    """Tell whether `command` under `env` need not be started anew."""
    python = command[:2] == [sys.executable, "-m"] and sys.platform == "linux"
    return python and all(
        os.environ.get(key) == env[key]
        for key in env
        if key.startswith(PYTHONS) and key != "PYTHONUNBUFFERED"
    )


def run(
    command: list[str], env: Mapping[str, str], folder: Path, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end, as `subprocess.run` does; its output is kept in `folder`."""
    streams = OutputFiles(folder / "err", folder / "out")
    process = Forked(command, env, streams)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        raise
    out, err = (path.read_bytes().decode() for path in (folder / "out", folder / "err"))
    return subprocess.CompletedProcess(command, code, out, err)


@cache
def _forker() -> Forker:
    forker = Forker()
    atexit.register(forker.close)
    return forker


def main() -> None:
    for command in COMMANDS.values():
        import_module(command.module)
    for module in LATER:
        import_module(module)
    gc.freeze()  # what is here is not looked through by those that are forked
    for line in sys.stdin.buffer:
        request = _requests.decode(line)
        answer = _poll(request.pid) if isinstance(request, Poll) else _start(request)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _start(asked: Start) -> int:
    pid = os.fork()
    if not pid:
        _become(asked)
    return pid


def _poll(pid: int) -> int:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else RUNS


def _become(asked: Start) -> NoReturn:
    """Run the module in this process, and end; to clear up what was forked takes a while."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.setsid()
    _put_streams(asked)
    os.environ.clear()
    os.environ.update(asked.env)
    sys.argv = [asked.module, *asked.args]
    sys.modules.pop(f"{asked.module}.__main__", None)  # it is run, as if nobody had imported it
    code: object = 1
    try:
        runpy.run_module(asked.module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - what Python does with it
        traceback.print_exc()
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(bool(code)))


def _put_streams(asked: Start) -> None:
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
    for fd, path in ((1, asked.out), (2, asked.err)):
        os.dup2(os.open(path, flags, 0o644), fd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    main()
