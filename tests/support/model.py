"""The server's model behind both wires: virtual time, and answers that get lost on request."""

from collections.abc import Callable
from typing import Any

import msgspec

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.envelope import Raw
from resonate_fleet.contract.wire import Unreachable, Wire
from resonate_fleet.contract.words import DEFAULT_GROUP, anycast
from resonate_fleet.server.state import State
from resonate_fleet.server.store import Store

#: Virtual time at the start, Unix milliseconds.
START = 1_700_000_000_000


class Model:
    """A server without sockets. `seconds` is its time since the start.

    `deaf` loses requests before they take effect; `lose` is asked of each kind and loses the
    answer where it says so. `kinds` holds the kinds of the requests that took effect.
    """

    def __init__(self, *, one_origin: bool = False) -> None:
        self._store = Store()
        self.state = State(self._store, one_origin=one_origin)
        self.seconds = 0.0
        self.deaf = False
        self.lose: Callable[[str], bool] = lambda _: False
        self.kinds: list[str] = []

    def close(self) -> None:
        self._store.close()

    @property
    def now(self) -> int:
        return START + int(self.seconds * 1000)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self.state.tick(self.now)

    def call(self, kind: str, **data: Any) -> tuple[int, Any]:
        reply = self.state.apply(self.now, kind, data)
        return reply.status, reply.data

    def task(self, id: str) -> dict[str, Any]:
        return dict(self.call("task.get", id=id)[1]["task"])

    def promise(self, id: str) -> dict[str, Any]:
        return dict(self.call("promise.get", id=id)[1]["promise"])

    def job(self, id: str, param: dict[str, Any] | None = None, **tags: str) -> str:
        """Create a job; return its id."""
        all_tags = {"target": anycast(DEFAULT_GROUP), "branch": id, "scope": "global"} | tags
        status, data = self.call(
            "promise.create",
            id=id,
            timeoutAt=self.now + 3_600_000,
            param=param or {},
            tags={k if ":" in k else f"resonate:{k}": value for k, value in all_tags.items()},
        )
        assert status == 200, data
        return id

    def claim(self, id: str, pid: str, ttl: float) -> int:
        """Claim a pending task for `ttl` seconds; return the new version."""
        version = self.task(id)["version"]
        status, data = self.call(
            "task.acquire", id=id, version=version, pid=pid, ttl=int(ttl * 1000)
        )
        assert status == 200, data
        return int(data["task"]["version"])

    def post(self, body: bytes | str) -> Raw:
        if self.deaf:
            raise Unreachable("model", "deaf")
        asked = msgspec.json.decode(body)
        kind, corr_id = asked["kind"], asked["head"]["corrId"]
        reply = self.state.apply(self.now, kind, asked["data"], corr_id)
        self.kinds.append(kind)
        if self.lose(kind):
            raise Unreachable("model", "the answer was lost")
        head = {"corrId": corr_id, "status": reply.status}
        return Raw(
            reply.status, msgspec.json.encode({"kind": kind, "head": head, "data": reply.data})
        )


class ModelWire(Wire):
    def __init__(self, model: Model) -> None:
        super().__init__("http://model")
        self._model = model

    async def post(self, body: str | bytes) -> Raw:
        return self._model.post(body)


class BlockingModelWire(BlockingWire):
    def __init__(self, model: Model) -> None:
        super().__init__("http://model")
        self._model = model

    def post(self, body: bytes) -> Raw:
        return self._model.post(body)
