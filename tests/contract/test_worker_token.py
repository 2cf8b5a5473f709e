"""A member and a server that asks for a token (the real one: the embedded one has none)."""

import base64
import json
import time
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.processes import Processes
from tests.support.servers import Server

pytestmark = [pytest.mark.system, pytest.mark.real]


def unsigned(**claims: object) -> str:
    """A token for a server that was told to accept unsigned ones."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"exp": int(time.time()) + 600, **claims}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join(part.rstrip("=") for part in encoded) + ".c2lnbmF0dXJl"


@pytest.fixture
def guarded(processes: Processes, tmp_path: Path) -> Fleet:
    return Fleet(
        Server("real", processes, env={"RESONATE_AUTH__PUBLICKEY": "none"}), processes, tmp_path
    )


@pytest.mark.parametrize("claims", [{"role": "admin"}, {"prefix": "tenant"}])
def test_a_token_opens_stream_claims_and_heartbeats(
    guarded: Fleet, claims: dict[str, object]
) -> None:
    token = unsigned(**claims)
    worker = guarded.worker("w", RESONATE_TOKEN=token, WORKER_LEASE="0.6")
    guarded.submit("--cost", "1.5", "--id", "tenant", RESONATE_TOKEN=token)
    assert worker.line("job.ended", 30)["outcome"] == "resolved"
    assert not worker.lines("lease.lost")


def test_without_a_token_the_member_is_never_ready(guarded: Fleet) -> None:
    worker = guarded.worker("w", ready=False)
    assert "401" in worker.line("server.lost", 30)["why"]
    worker.terminate()
    assert worker.wait(30) == 0
