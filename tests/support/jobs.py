"""Jobs made by hand, as a client of any SDK would make them."""

import base64
import json
import time
from typing import Any

from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.words import DEFAULT_GROUP, anycast
from tests.support.servers import Server


def post_job(
    server: Server,
    function: str,
    *args: Any,
    id: str | None = None,
    group: str = DEFAULT_GROUP,
    version: int = 1,
    tags: dict[str, str] | None = None,
) -> str:
    """Create a job that calls `function` with its own id before `args`; return the id."""
    job = id or new_id()
    call = {"func": function, "args": [job, *args], "kwargs": {}, "version": version}
    own = {"scope": "global", "target": anycast(group), "origin": job, "branch": job, "parent": job}
    status, data = server.call(
        "promise.create",
        id=job,
        timeoutAt=int((time.time() + 3600) * 1000),
        param={"data": base64.b64encode(json.dumps(call).encode()).decode()},
        tags={f"resonate:{key}": value for key, value in own.items()} | (tags or {}),
    )
    assert status == 200, f"{status}: {data}"
    return job
