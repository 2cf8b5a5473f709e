"""Whatever leaves a body: its job ends with a result, or with an error that says why."""

import base64
import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import Mock

import pytest
from resonate.codec import Codec, NoopEncryptor
from resonate.types import Value as SdkValue

from resonate_fleet.contract.envelope import Raw
from tests.support.failing import FAILURES, child_id, fails_anew, sleeps
from tests.support.model import ModelWire
from tests.support.rig import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig(
        WORKER_RETRIES="1",
        WORKER_RETRY_DELAY="0",
        functions=[*FAILURES, child_id, fails_anew, sleeps],
    )
    made.sdk.start()
    yield made
    await made.sdk.stop()
    made.model.close()


def error_of(promise: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(promise["value"]["data"]))
    return found


@pytest.mark.parametrize("function", FAILURES, ids=lambda one: one.__name__)
async def test_a_job_whose_body_fails_in_any_way_is_rejected_with_the_reason(
    rig: Rig, function: Any
) -> None:
    promise = await rig.run(function.__name__)
    assert promise["state"] == "rejected"
    error = error_of(promise)
    assert FAILURES[function] in error["message"]
    assert FAILURES[function].split("\n")[0] in rig.lines.of("job.ended")[-1]["error"]
    assert rig.model.task("job")["version"] <= 3
    # Whoever awaits it gets an exception, and neither ends nor hangs.
    decoded = Codec(NoopEncryptor()).decode_error(SdkValue(data=promise["value"]["data"]))
    assert isinstance(decoded, BaseException)
    assert await rig.run("fine", "another") is not None


async def test_why_the_sdk_gives_a_job_up_does_not_hang_on_what_it_logs(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`logging.config.dictConfig` disables loggers that exist, unless it is told not to."""
    monkeypatch.setattr(logging.getLogger("resonate.core"), "disabled", True)
    assert "not found" in error_of(await rig.run("nobody_has_the_step"))["message"]
    assert rig.model.task("job")["version"] == 3


async def test_an_error_keeps_its_traceback_from_the_users_first_frame_on(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    error = error_of(await rig.run("own_base_in_a_step"))
    assert "in own_base" in error["stack"]
    first = error["stack"].splitlines()[1]
    assert "failing.py" in first
    assert len(error["stack"]) < 10_000
    assert not [one for one in caplog.records if one.name.startswith("resonate.")]


async def test_a_traceback_is_logged_once_an_attempt(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()  # how logging is set up is other tests' matter
    monkeypatch.setattr("resonate_fleet.member.bodies.log", log)
    await rig.run("fails_anew")
    assert len(rig.lines.of("job.retried")) == 1
    (said,) = log.warning.mock_calls
    assert said.args == ("function.raised",)
    assert "in fails_anew" in said.kwargs["exception"]


async def test_a_call_that_cannot_be_read_ends_its_job(rig: Rig) -> None:
    rig.model.job("unread", {"data": "bm90IGpzb24="})
    for version in range(3):
        rig.intake.told.clear()
        rig.intake.hint("unread", version)
        await rig.told("done", "unread")
    promise = rig.model.promise("unread")
    assert promise["state"] == "rejected"
    assert "call cannot be read" in error_of(promise)["message"]


@pytest.mark.parametrize("status", [404, 403, 308])
async def test_a_lasting_page_of_somebody_else_is_said_and_costs_no_result(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A proxy answers in the server's place for a while; then the result is written."""
    left = [3]
    post = ModelWire.post

    async def refuse(wire: ModelWire, body: str | bytes) -> Raw:
        if '"task.fulfill"' in str(body) and left[0]:
            left[0] -= 1
            return Raw(status, b"<html>no</html>")
        return await post(wire, body)

    monkeypatch.setattr(ModelWire, "post", refuse)
    assert (await rig.run("fine"))["state"] == "resolved"
    assert left == [0]
    assert rig.model.task("job")["version"] == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_is_busy_for_a_while_costs_no_result(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    post, left = ModelWire.post, [3]

    async def refuse(wire: ModelWire, body: str | bytes) -> Raw:
        request = json.loads(body)
        if request["kind"] != "task.fulfill" or not left[0]:
            return await post(wire, body)
        left[0] -= 1
        head = {"corrId": request["head"]["corrId"], "status": status}
        return Raw(status, json.dumps(request | {"head": head, "data": "busy"}).encode())

    monkeypatch.setattr(ModelWire, "post", refuse)
    assert (await rig.run("fine"))["state"] == "resolved"
    assert left == [0]
    assert rig.model.task("job")["version"] == 1


async def test_a_write_that_the_server_fails_for_good_ends_its_job(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes all else: so it is the job's own fault, not that of a database that is away."""
    post = ModelWire.post
    for name in ("upstream.RETRY_SECONDS", "writes.WRITE_RETRY_SECONDS"):
        monkeypatch.setattr(f"resonate_fleet.member.{name}", 0.1)

    async def fail(wire: ModelWire, body: str | bytes) -> Raw:
        request = json.loads(body)
        if request["kind"] != "task.fence":
            return await post(wire, body)
        head = {"corrId": request["head"]["corrId"], "status": 500}
        return Raw(500, json.dumps(request | {"head": head, "data": "no such column"}).encode())

    monkeypatch.setattr(ModelWire, "post", fail)
    promise = await rig.run("child_id")
    assert promise["state"] == "rejected"
    assert "500 no such column" in error_of(promise)["message"]
    assert rig.model.task("job")["version"] == 3


@pytest.mark.parametrize("function", ["child_id", "sleeps"])
async def test_a_server_that_refuses_the_sdks_child_ids_ends_jobs_with_its_words(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """As the server's main branch does, where jobs without children go on."""
    post, words = ModelWire.post, "Promise ID must be prefixed by resonate:origin"

    async def refuse(wire: ModelWire, body: str | bytes) -> Raw:
        request = json.loads(body)
        if request["kind"] != "task.fence":
            return await post(wire, body)
        head = {"corrId": request["head"]["corrId"], "status": 400}
        return Raw(400, json.dumps({"kind": "task.fence", "head": head, "data": words}).encode())

    monkeypatch.setattr(ModelWire, "post", refuse)
    log = Mock()  # how logging is set up is other tests' matter
    monkeypatch.setattr("resonate_fleet.member.ledger.log", log)
    promise = await rig.run(function)
    assert promise["state"] == "rejected"
    assert words in error_of(promise)["message"]
    assert rig.model.task("job")["version"] == 3
    assert (await rig.run("fine", "without"))["state"] == "resolved"
    assert [one.args for one in log.error.mock_calls] == [("server.unfit",)]


async def test_a_smaller_limit_of_a_proxy_rejects_the_job_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = ModelWire.post

    async def refuse(wire: ModelWire, body: str | bytes) -> Raw:
        return Raw(413, b"<html>too large</html>") if len(body) > 1000 else await post(wire, body)

    monkeypatch.setattr(ModelWire, "post", refuse)
    assert "is not taken (413)" in error_of(await rig.run("recursion"))["message"]
