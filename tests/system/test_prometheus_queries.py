"""Every query of every panel, rule and alert gives data on a real Prometheus; numbers agree."""

import math
import re
from pathlib import Path

import pytest

from resonate_fleet.contract.journal import Claimed
from resonate_fleet.report.figures import Spread
from tests.support.fleet import Fleet
from tests.support.judged import figures_of
from tests.support.prometheus import Prometheus, WatchedFleet, all_done
from tests.support.queries import QUERIES, alerts, rules
from tests.support.waiting import wait_until
from tools.docs import METRICS

pytestmark = pytest.mark.system


@pytest.fixture
def watched(fleet: Fleet, tmp_path: Path) -> WatchedFleet:
    return WatchedFleet(fleet, tmp_path)


@pytest.mark.timeout(180)
def test_queries_give_data_numbers_agree_and_a_quiet_run_raises_nothing(
    watched: WatchedFleet, tmp_path: Path
) -> None:
    prometheus, fleet = watched.prometheus, watched.fleet
    for name in ("w0", "w1", "w2"):
        watched.worker(name)
    wait_until(lambda: prometheus.value("sum(up)") == 5, 30, "all five are scraped")
    jobs = fleet.submit("--count", "24", "--cost", "0.05..0.2", "--seed", "3")
    wait_until(lambda: all_done(fleet, jobs), 40, "24 jobs to end")
    wait_until(lambda: prometheus.value(DONE) == 24, 10, "Prometheus to know of 24 jobs")

    # Jobs per pod and queue wait: as the report tells them in its verdict.json.
    figures = figures_of(fleet, tmp_path, members=3)
    shares = {share.member.rpartition("-")[0]: share.results for share in figures.shares}
    assert by_pod(prometheus, f"sum by (pod) ({RESOLVED})") == shares
    (panel,) = (query for where, query in QUERIES if "Jobs done per pod" in where)
    shown = by_pod(prometheus, panel)
    samples = by_pod(prometheus, f"min by (pod) (count_over_time({RESOLVED}[15m]))")
    assert shown.keys() == shares.keys()
    for pod, done in shares.items():
        # Prometheus estimates: `increase` goes beyond the first and last sample by up to 1.1
        # times the pause between two, and the panel rounds.
        most = done * (1 + 2.2 / (samples[pod] - 1)) + 0.5
        assert done - 1 <= shown[pod] <= most
    quantiles_agree(prometheus, "fleet_worker_queue_wait_seconds", figures.queue_wait)

    # Every query gives numbers; what watches for trouble gives none, and fires nothing.
    status, _ = fleet.server.call("promise.get", id="nobody-made-this")
    assert status == 404
    refused = 'resonate_request_total{status="404"}'
    wait_until(lambda: prometheus.query(refused), 10, "a refusal to be seen")
    prometheus.two_scrapes()
    dumb = {where for where, query in QUERIES if not numbers(prometheus, query)}
    assert dumb - {alert["alert"] for alert in alerts()} == {"fleet: Hand-over time"}
    assert prometheus.alerts() | prometheus.alerts("pending") == set()
    exports_agree(prometheus, fleet.server.kind)


def by_pod(prometheus: Prometheus, query: str) -> dict[str, float]:
    return {one["metric"]["pod"]: float(one["value"][1]) for one in prometheus.query(query)}


def quantiles_agree(prometheus: Prometheus, histogram: str, told: Spread) -> None:
    """Each figure of the report lies in the bucket that holds its rank."""
    found = prometheus.query(f"sum by (le) ({histogram}_bucket)")
    buckets = sorted((float(one["metric"]["le"]), float(one["value"][1])) for one in found)
    assert buckets[-1][1] == told.count > 0
    for part, value in ((0.5, told.p50), (0.95, told.p95), (0.99, told.p99), (1.0, told.max)):
        rank = math.ceil(part * told.count)
        below = max((edge for edge, count in buckets if count < rank), default=0.0)
        above = min(edge for edge, count in buckets if count >= rank)
        assert value is not None
        assert below - CLOCK <= value <= above + CLOCK, (part, value, below, above)


def numbers(prometheus: Prometheus, query: str) -> list[float]:
    """Return what a query finds, without what is no number (a quantile of nothing, say)."""
    values = [float(one["value"][1]) for one in prometheus.query(query)]
    return [value for value in values if math.isfinite(value)]


def exports_agree(prometheus: Prometheus, kind: str) -> None:
    """What is scraped is what docs/metrics.md declares, no family more or less."""
    scraped = {name.removesuffix("_total") for name in prometheus.families()}
    ours = {name for name in scraped if name.startswith(("fleet_", "resonate_"))}
    declared = {one.name for room, table in METRICS if room != "Client" for one in table}
    assert ours - declared == set()
    # The real server has a family once it has something to count.
    missing = {name for name in declared - ours if name.startswith("fleet_") or kind == "embedded"}
    assert missing == set()


@pytest.mark.timeout(180)
def test_recoveries_agree_with_the_report(watched: WatchedFleet, tmp_path: Path) -> None:
    prometheus, fleet = watched.prometheus, watched.fleet
    victim = watched.worker("w0")
    watched.worker("w1")
    wait_until(lambda: prometheus.value("sum(up)") == 4, 30, "all four are scraped")
    jobs = fleet.submit("--count", "4", "--cost", "2.5")
    member = fleet.member(victim)
    wait_until(
        lambda: [line for line in fleet.journal_of(Claimed) if line.who == member],
        10,
        "the victim to hold a job",
    )
    seen = 'fleet_worker_slots_used{pod="w0"}'
    wait_until(lambda: prometheus.value(seen) == 1, 10, "Prometheus to see it")
    victim.kill()
    wait_until(lambda: all_done(fleet, jobs), 40, "4 jobs to end")
    wait_until(lambda: prometheus.value("sum(fleet_worker_reclaims_total)") == 1, 10, "a new claim")
    figures = figures_of(fleet, tmp_path, members=2)
    assert prometheus.value("sum(fleet_steward_deaths_total)") == 1
    handed = prometheus.value("sum(fleet_steward_handovers_total)")
    assert handed == figures.hand_overs == figures.hand_over.count == 1
    again = prometheus.value("sum(fleet_worker_reclaims_total)")
    assert again == figures.redone_attempts == figures.recovery.count == 1
    duration = prometheus.value("sum(fleet_steward_handover_duration_seconds_sum)")
    assert duration == pytest.approx(figures.hand_over.max, abs=0.05)
    quantiles_agree(prometheus, "fleet_steward_handover_duration_seconds", figures.hand_over)
    told = {where: query for where, query in QUERIES if re.search("Deaths and|Hand-over", where)}
    assert len(told) == 2
    for where, query in QUERIES:
        if where in told:
            assert max(numbers(prometheus, query)) > 0, where
    # The share of the dead stays visible over the shown time.
    share = 'sum by (pod) (max_over_time(fleet_worker_slots{pod="w0"}[5m]))'
    assert prometheus.value(share) == 1


@pytest.mark.timeout(240)
def test_jobs_add_no_series(watched: WatchedFleet) -> None:
    """A thousand jobs, and names that strangers make up, leave the series as they were.

    tests/unit/test_cardinality.py has each exporter see ten thousand.
    """
    prometheus, fleet = watched.prometheus, watched.fleet
    watched.worker("w0", WORKER_SLOTS="16")

    def series() -> set[tuple[tuple[str, str], ...]]:
        found = prometheus.query('{job=~"worker|steward|server"}')
        return {tuple(sorted(one["metric"].items())) for one in found}

    wait_until(lambda: prometheus.value("sum(up)") == 3, 30, "all three are scraped")
    first = fleet.submit("--count", "50", "--cost", "0")
    wait_until(lambda: all_done(fleet, first), 20, "50 jobs to end")
    fleet.submit("--function", "stranger-0", "--args", "[]")
    tried = 'sum(fleet_worker_attempts_ended_total{outcome="unknown-function"})'
    wait_until(lambda: prometheus.value(tried) > 0, 20, "the stranger's job to be tried")
    prometheus.two_scrapes()  # of each of the three
    before = series()
    more = fleet.submit("--count", str(JOBS), "--cost", "0")
    for number in range(1, 4):
        fleet.submit("--function", f"stranger-{number}", "--args", "[]")
    wait_until(lambda: all_done(fleet, more), 160, f"{JOBS} jobs to end")
    wait_until(lambda: prometheus.value(DONE) == 50 + JOBS, 10, "Prometheus to know")
    # What may be new is a request or a refusal of a kind that had not happened before.
    new = [dict(labels) for labels in series() - before]
    kinds = ("resonate_request_", "fleet_worker_hints_dropped_")
    assert [one for one in new if not one["__name__"].startswith(kinds)] == []
    assert len({(one.get("kind"), one.get("status"), one.get("why")) for one in new}) <= 8, new


JOBS = 1000
RESOLVED = 'fleet_worker_attempts_ended_total{outcome="resolved"}'
DONE = f"sum({RESOLVED})"
#: Seconds by which two processes' moments of one event differ.
CLOCK = 0.02


def test_every_rule_is_among_the_queries() -> None:
    assert {rule.get("alert") or rule["record"] for rule in rules()} <= {w for w, _ in QUERIES}
