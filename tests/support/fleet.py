"""A fleet for tests: workers, clients and a steward around one server."""

import json
import subprocess
from pathlib import Path
from typing import Any

from resonate_fleet.contract.journal import BadLine, Line, read_folder
from tests.support.processes import Process, Processes, run_room
from tests.support.servers import Server


class Fleet:
    """Starts members, clients and stewards whose journals all go to `journal_folder`."""

    def __init__(self, server: Server, processes: Processes, folder: Path) -> None:
        self.server = server
        self.processes = processes
        self.journal_folder = folder / "journal"

    def worker(self, name: str, *, ready: bool = True, **env: str) -> Process:
        """Start a member, by default with one slot, and wait until it listens.

        `env` holds settings such as WORKER_SLOTS="4"; they win.
        """
        settings = {
            "RESONATE_URL": self.server.url,
            "WORKER_NAME": name,
            "WORKER_SLOTS": "1",
            "WORKER_HOST": "127.0.0.1",
            "WORKER_PORT": "0",
            "WORKER_JOURNAL": str(self.journal_folder),
            "WORKER_LOG_FORMAT": "json",
        }
        process = self.processes.room("worker", name, settings | env)
        if ready:
            process.line("member.ready", timeout=30)
        return process

    def workers(self, count: int, **env: str) -> list[Process]:
        """Start members w0, w1 ... at the same time and wait until all listen."""
        started = [self.worker(f"w{n}", ready=False, **env) for n in range(count)]
        for process in started:
            process.line("member.ready", timeout=30)
        return started

    def member(self, worker: Process) -> str:
        """Return the name under which the member's leases stand on the server."""
        return str(worker.line("member.started")["who"])

    def steward(self, name: str = "steward", *, ready: bool = True, **env: str) -> Process:
        """Start a steward on ports of the system's choice and wait until it has begun.

        Its log line `steward.started` has been written when this returns.
        """
        settings = {
            "RESONATE_URL": self.server.url,
            "STEWARD_NAME": name,
            "STEWARD_HOST": "127.0.0.1",
            "STEWARD_PORT": "0",
            "STEWARD_PRESENCE_PORT": "0",
            "STEWARD_JOURNAL": str(self.journal_folder),
            "STEWARD_LOG_FORMAT": "json",
        }
        process = self.processes.room("steward", name, settings | env)
        if ready:
            process.line("steward.started", timeout=30)
        return process

    def client(
        self, *args: str, timeout: float = 60.0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m client args...` to its end."""
        return run_room("client", *args, env=self._client_env() | env, timeout=timeout)

    def start_client(self, name: str, *args: str, **env: str) -> Process:
        """Start `python -m client args...` in the background."""
        return self.processes.room("client", name, self._client_env() | env, *args)

    def submit(self, *args: str, **env: str) -> list[str]:
        """Run a client that must succeed; return the ids that it printed."""
        done = self.client("--json", *args, timeout=60.0, **env)
        assert done.returncode == 0, f"client ended with {done.returncode}: {done.stderr}"
        lines = [json.loads(line) for line in done.stdout.splitlines() if line]
        return [line["id"] for line in lines if line["action"] == "confirmed"]

    def journal(self) -> list[Line | BadLine]:
        """Return every journal line so far, by time."""
        return read_folder(self.journal_folder) if self.journal_folder.exists() else []

    def journal_of[L](self, kind: type[L]) -> list[L]:
        """Return the journal lines of one kind, by time."""
        return [line for line in self.journal() if isinstance(line, kind)]

    def _client_env(self) -> dict[str, str]:
        return {
            "RESONATE_URL": self.server.url,
            "CLIENT_JOURNAL": str(self.journal_folder),
            "CLIENT_LOG_FORMAT": "json",
        }


def holders(server: Server) -> dict[str, dict[str, Any]]:
    """Return the acquired tasks by id, as the server shows them (pid, version, ttl)."""
    return {task["id"]: task for task in server.tasks("acquired")}
