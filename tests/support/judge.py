"""The real server as the judge of the embedded one."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from resonate_fleet.contract.words import PROTOCOL
from tests.support.processes import Processes
from tests.support.servers import Server


class Judge:
    """A real server in debug mode: its time is what each request says."""

    def __init__(self, server: Server) -> None:
        self._connection = HTTPConnection(urlsplit(server.url).netloc, timeout=10)
        assert self.call(0, "debug.start", {})[0] == 200

    @classmethod
    @contextmanager
    def on(cls, processes: Processes, store: Path | None = None) -> Iterator[Self]:
        """Start one; it ends with `processes`."""
        env = {"RESONATE_DEBUG": "true", "RESONATE_TASKS__RETRY_TIMEOUT": "30000"}
        with closing(cls(Server("real", processes, store, env))) as judge:
            yield judge

    def close(self) -> None:
        self._connection.close()

    def call(self, now: int, kind: str, data: dict[str, Any]) -> tuple[int, Any]:
        head = {"corrId": "0", "version": PROTOCOL, "resonate:debug_time": now}
        body = json.dumps({"kind": kind, "head": head, "data": data})
        self._connection.request("POST", "/", body)
        reply = json.loads(self._connection.getresponse().read())
        return reply["head"]["status"], reply["data"]

    def tick(self, now: int) -> dict[str, Any]:
        assert self.call(now, "debug.tick", {"time": now})[0] == 200
        snap = self.call(now, "debug.snap", {})[1]
        return {"messages": snap["messages"], "tasks": snap["tasks"]}
