"""A server for tests: the embedded one or the real one, as a process that can be killed."""

import base64
import json
import os
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from resonate_fleet.contract.tuning import SERVER_ENV
from resonate_fleet.contract.words import PROTOCOL
from tests.support.processes import SERVER_BIN, Process, Processes, free_port, room_command
from tests.support.waiting import wait_until

ServerKind = Literal["embedded", "real"]


def kinds() -> list[ServerKind]:
    """Return the servers that there are to test on."""
    return ["embedded", "real"] if os.environ.get(SERVER_BIN) else ["embedded"]


class Server:
    """A server process on ports of its own, with the settings that the fleet runs with.

    `store` None keeps everything in memory; with a file, `restart` finds everything again.
    `url` and `metrics_url` stay the same over a restart.
    """

    def __init__(
        self,
        kind: ServerKind,
        processes: Processes,
        store: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.store = store
        self._processes = processes
        self._env = dict(env or {})
        self._port, self._metrics_port = free_port(), free_port()
        self.process: Process | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self._metrics_port}/metrics"

    def start(self) -> None:
        """Start, and wait until it answers."""
        env = {
            **SERVER_ENV,
            "RESONATE_SERVER__PORT": str(self._port),
            "RESONATE_SERVER__HOST": "127.0.0.1",
            "RESONATE_SERVER__BIND": "127.0.0.1",
            "RESONATE_OBSERVABILITY__METRICS_PORT": str(self._metrics_port),
            **self._env,
        }
        command, more = self._command()
        self.process = self._processes.start("server", command, env | more)
        wait_until(self._answers, 15, f"{self.kind} server answers on {self.url}")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        if self.kind == "embedded":
            store = ["--store", str(self.store)] if self.store else []
            return [*room_command("server"), *store], {}
        if self.store is None:
            return [os.environ[SERVER_BIN], "dev"], {}
        return [os.environ[SERVER_BIN], "serve"], {
            "RESONATE_STORAGE__SQLITE__PATH": str(self.store)
        }

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.running, f"the server ended at its start:\n{self.process.tail()}"
        try:
            return self.get("/ready")[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        self.process.kill()

    def restart(self) -> None:
        """Kill -9 and start again on the same ports and store."""
        self.kill()
        self.start()

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page of the API port."""
        return _request(self.url, "GET", path, None)

    def metrics(self) -> str:
        """Return the Prometheus text of the metrics port."""
        return _request(self.metrics_url, "GET", "/metrics", None)[1]

    def call(self, kind: str, **data: Any) -> tuple[int, Any]:
        """Send one request of the protocol; return its status and data."""
        envelope = {"kind": kind, "head": {"corrId": "test", "version": PROTOCOL}, "data": data}
        status, body = _request(self.url, "POST", "/", json.dumps(envelope))
        reply = json.loads(body)
        return reply["head"]["status"] or status, reply["data"]

    def promise(self, id: str) -> dict[str, Any] | None:
        status, data = self.call("promise.get", id=id)
        return data["promise"] if status == 200 else None

    def task(self, id: str) -> dict[str, Any] | None:
        status, data = self.call("task.get", id=id)
        return data["task"] if status == 200 else None

    def tasks(self, state: str) -> list[dict[str, Any]]:
        """Return the first 1,000 tasks in `state`."""
        _, data = self.call("task.search", state=state, limit=1000)
        return list(data["tasks"])

    def result(self, id: str) -> Any:
        """Return the decoded value of a settled promise, None while it is pending."""
        promise = self.promise(id)
        if promise is None or promise["state"] == "pending":
            return None
        return decoded(promise["value"])

    def wait_results(self, ids: list[str], timeout: float = 30.0) -> dict[str, Any]:
        """Wait until every job of `ids` is resolved; return the results by id."""

        def look() -> bool:
            return all((self.promise(job) or {}).get("state") == "resolved" for job in ids)

        wait_until(look, timeout, f"{len(ids)} jobs are resolved")
        return {job: self.result(job) for job in ids}


def decoded(value: Mapping[str, Any]) -> Any:
    """Return the JSON inside a payload of the wire."""
    data = value.get("data")
    return json.loads(base64.b64decode(data)) if data else None


def _request(url: str, method: str, path: str, body: str | None) -> tuple[int, str]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
