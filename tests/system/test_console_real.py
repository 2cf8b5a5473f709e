"""The page's asks and acts over a real steward: token, hidden payloads, the jobs view's filters."""

import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from resonate_fleet.contract.journal import Acted
from tests.support.browser import browser
from tests.support.console import Watched
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.waiting import wait_until
from tests.system.test_fleet_commands import parked_job

pytestmark = pytest.mark.system

TOKEN = "open-sesame"
FUNCTIONS = """
def secret(ctx, id, text):
    return f"the result of {text}"


def fails(ctx, id, text):
    raise ValueError(text)


def register(registry):
    registry.register(secret)
    registry.register(fails)
"""


def opened(asked: str | Request) -> Any:
    return urlopen(asked, timeout=10)  # noqa: S310 - our own steward


def get(url: str) -> str:
    with opened(url) as answer:
        return str(answer.read(1_000_000).decode())


def act(pages: str, name: str, job: str, token: str | None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = json.dumps({"jobs": [job]}).encode()
    asked = Request(f"{pages}/acts/{name}", body, headers)  # noqa: S310 - our own steward
    try:
        with opened(asked) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refused:
        return refused.code, json.load(refused)


def pages_of(fleet: Fleet, **env: str) -> tuple[str, int]:
    started = fleet.steward("steward", ready=True, **env).line("steward.started")
    return f"http://127.0.0.1:{started['port']}", started["presence_port"]


@pytest.mark.parametrize(
    ("name", "parked"), [("cancel", 0), ("rerun", 0), ("redrive", 1), ("reject", 1)]
)
def test_each_act_needs_the_token_and_is_journalled(fleet: Fleet, name: str, parked: int) -> None:
    pages, _ = pages_of(fleet, STEWARD_CONSOLE_TOKEN=TOKEN)
    if parked:
        parked_job(fleet.server, "a-job")
    else:
        post_job(fleet.server, "nobody_has_it", id="a-job")
    if name == "rerun":
        fleet.server.call("promise.settle", id="a-job", state="rejected", value={})
    for token in (None, "wrong"):
        assert act(pages, name, "a-job", token)[0] == 401
    assert not fleet.journal_of(Acted)
    assert act(pages, "kill", "a-job", TOKEN)[0] == 404, "chaos is not switched on"
    status, answer = act(pages, name, "a-job", TOKEN)
    assert status == 200
    assert not answer.get("unchanged"), answer
    wait_until(lambda: fleet.journal_of(Acted), 10, "it is journalled")
    (line,) = fleet.journal_of(Acted)
    assert (line.act, line.jobs, line.by) == (name, ["a-job"], "127.0.0.1")


def test_what_is_hidden_is_hidden_everywhere(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "functions_hidden.py").write_text(FUNCTIONS)
    pages, presence = pages_of(fleet, STEWARD_CONSOLE_PAYLOADS="false")
    fleet.worker(
        "w",
        WORKER_STEWARD=f"127.0.0.1:{presence}",
        WORKER_FUNCTIONS="functions_hidden",
        WORKER_RETRIES="0",
        PYTHONPATH=str(tmp_path),
    )
    for job, function in (("done", "secret"), ("failed", "fails")):
        post_job(fleet.server, function, "4111-1111", id=job)

    def page(job: str) -> Any:
        return json.loads(get(f"{pages}/job/{job}"))

    def is_over(job: str) -> bool:
        return bool(page(job)["state"] == job)

    for job in ("done", "failed"):
        wait_until(partial(is_over, job), 20, f"{job} has ended")
    assert page("failed")["error"] == "ValueError"
    assert page("done")["hidden"]
    with opened(f"{pages}/events") as stream:
        told = b"".join(stream.readline() for _ in range(8)).decode()
    assert "event: state" in told
    shown = [told, *(get(f"{pages}/{one}") for one in ("state", "jobs", "job/done", "job/failed"))]
    assert all("4111-1111" not in text for text in shown)
    assert all(one in text for one, text in zip(("done", "failed"), shown[3:], strict=True))


ROWS = "[...document.querySelectorAll('#job-rows th')].map((e) => e.innerText).sort().join()"


@pytest.mark.browser
async def test_the_jobs_view_filters_by_function_group_and_member(
    fleet: Fleet, tmp_path: Path
) -> None:
    pages, presence = pages_of(fleet)
    steward = f"127.0.0.1:{presence}"
    for group in ("left", "right"):
        post_job(fleet.server, "compute_something", 60, id=f"{group}-runs", group=group)
        worker = fleet.worker(group, WORKER_GROUP=group, WORKER_STEWARD=steward)
    post_job(fleet.server, "nobody_has_it", id="left-waits", group="left")
    on_the_right = fleet.member(worker)
    async with browser(tmp_path) as page:
        shown = Watched(page)
        await page.open(f"{pages}/#/jobs")
        await shown.until(f"{ROWS} === 'left-runs,left-waits,right-runs'", "all are listed")
        found: list[tuple[dict[str, str], str]] = [
            ({"function": "nobody_has_it"}, "left-waits"),
            ({"function": "compute_something"}, "left-runs,right-runs"),
            ({"group": "left"}, "left-runs,left-waits"),
            ({"member": on_the_right}, "right-runs"),
            ({"function": "compute_something", "group": "left"}, "left-runs"),
            ({"group": "left", "member": on_the_right}, ""),
            ({}, "left-runs,left-waits,right-runs"),
        ]
        for given, jobs in found:
            await page.value(filled(given))
            await shown.until(f"{ROWS} === '{jobs}'", f"{given} finds {jobs or 'none'}")
        # The address holds the filters: whoever is sent it sees the same.
        await page.open("about:blank")
        await page.open(f"{pages}/#/jobs?group=right")
        await shown.until(f"{ROWS} === 'right-runs'", "the address filters")
        assert (
            await page.value("document.getElementById('filters').elements.group.value") == "right"
        )
        assert page.errors == []


def filled(given: dict[str, str]) -> str:
    """Return a script that types `given` into the filters, and nothing into the others."""
    return (
        f"(() => {{ const given = {json.dumps(given)}, form = document.getElementById('filters');"
        "for (const name of ['function', 'group', 'member'])"
        " form.elements[name].value = given[name] || '';"
        "form.dispatchEvent(new Event('input')); })()"
    )
