"""What probes, scrapes and the log say of a member."""

import re
from pathlib import Path

import pytest

from resonate_fleet.contract.journal import read
from resonate_fleet.contract.settings import declared
from resonate_fleet.member.metrics import INSTRUMENTS
from resonate_fleet.member.settings import Settings
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.pages import metrics, page, value
from tests.support.place import AWKWARD, Place
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


def test_a_blocked_loop_turns_liveness_red_after_its_threshold(place: Place) -> None:
    worker = place.worker(WORKER_FUNCTIONS=AWKWARD, WORKER_LIVENESS="3")
    job = place.job("block_the_loop", 10.0)
    place.claimed(job)
    assert page(worker, "/livez")[0] == 200
    wait_until(lambda: page(worker, "/livez")[0] == 503, 20, "liveness is red")
    why = page(worker, "/livez")[1]
    late = re.fullmatch(r"the event loop has been blocked for (\S+) s\n", why)
    assert late
    assert float(late.group(1)) >= 3
    assert value(metrics(worker), "fleet_worker_loop_lag_seconds") >= 3
    assert page(worker, "/readyz")[0] == 200
    wait_until(lambda: page(worker, "/livez")[0] == 200, 20, "liveness is green again")


def test_a_blocking_job_turns_nothing_red(place: Place) -> None:
    worker = place.worker(WORKER_LIVENESS="1")
    job = place.job("compute_something", 2.0)
    place.claimed(job)
    while place.server.result(job) is None:
        assert page(worker, "/livez") == (200, "ok\n")
        assert page(worker, "/readyz") == (200, "ok\n")
    assert place.server.result(job)["attempt"] == 1


def test_readiness_follows_the_stream(durable_fleet: Fleet) -> None:
    server = durable_fleet.server
    worker = durable_fleet.worker("w")
    assert page(worker, "/readyz")[0] == 200
    job = post_job(server, "compute_something", 1.0)
    worker.line("job.claimed")
    server.kill()
    wait_until(lambda: page(worker, "/readyz")[0] == 503, 20, "readiness is red")
    assert page(worker, "/livez")[0] == 200
    assert value(metrics(worker), "fleet_worker_stream_connected") == 0
    server.start()
    back = worker.line("server.back", 20)
    assert back["seconds"] < 60
    wait_until(lambda: page(worker, "/readyz")[0] == 200, 20, "readiness is green again")
    assert server.wait_results([job], 30)[job]["attempt"] == 1


def test_the_scrape_has_every_instrument_and_exemplars(place: Place) -> None:
    worker = place.worker()
    job = place.job("compute_something", 0.05)
    place.job("nobody_has_this")
    place.server.wait_results([job], 30)
    wait_until(lambda: 'outcome="unknown-function"' in metrics(worker), 20, "both have ended")
    text = metrics(worker)
    assert all(f"# TYPE {one.name} {one.kind}\n" in text for one in INSTRUMENTS)
    assert text.endswith("# EOF\n")
    name = 'fleet_worker_attempts_ended_total{function="compute_something",outcome="resolved"}'
    assert value(text, name) == 1
    assert f'# {{attempt="1",job="{job}"}} ' in text
    assert "nobody_has_this" not in text
    assert value(text, "fleet_worker_slots") == 1
    assert value(text, "fleet_worker_busy_seconds_total") >= 0.05
    plain = page(worker, "/metrics")[1]
    assert job not in plain
    assert name in plain


def test_a_resume_is_no_reclaim(place: Place, tmp_path: Path) -> None:
    worker = place.worker(WORKER_FUNCTIONS=AWKWARD)
    job = place.job("two_steps", str(tmp_path / "notes"))
    place.server.wait_results([job], 30)
    assert place.task(job)["version"] == 2
    series = 'fleet_worker_reclaims_total{function="two_steps"}'
    assert value(metrics(worker), series) == 0


def test_the_log_begins_with_the_settings_and_hides_secrets(place: Place) -> None:
    worker = place.worker(RESONATE_TOKEN="open-sesame")
    first = worker.lines()[0]
    assert first["action"] == "settings"
    assert all(one.env in first for _, one in declared(Settings))
    assert first["RESONATE_TOKEN"] == "(hidden)"
    assert "open-sesame" not in worker.err.read_text()
    assert page(worker, "/nothing")[0] == 404
    with worker.err.open("rb") as lines:
        kinds = [type(line).__name__ for line in read(lines, "log")]
    assert kinds == ["MemberStarted", "MemberReady"]
