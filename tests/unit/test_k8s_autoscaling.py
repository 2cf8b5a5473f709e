"""The autoscaling rules of the components, followed in virtual time over several loads."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from resonate_fleet.contract.settings import declared
from resonate_fleet.contract.tuning import DRAIN_SECONDS
from resonate_fleet.member.settings import Settings
from tests.support.autoscaler import Autoscaler, Moment, Rule, follow
from tests.support.manifests import ROOT, Tree, find
from tests.support.queries import QUERIES, rules

SLOTS = 4
#: Image there, process ready, probe passed.
START_SECONDS = 6
#: What the goal allows for settling.
SETTLE_SECONDS = 120


def steady(rng: random.Random, now: int) -> list[float]:
    """Three jobs a second of 1 to 10 s, from the first minute on, for ten."""
    return [rng.uniform(1, 10) for _ in range(3)] if 60 <= now < 660 else []


def burst(rng: random.Random, now: int) -> list[float]:
    """Three hundred jobs at once, twice, onto an empty fleet."""
    return [rng.uniform(1, 10) for _ in range(300)] if now in (30, 400) else []


def ramp(rng: random.Random, now: int) -> list[float]:
    """From one job in ten seconds to five a second and back again."""
    rate = max(0.0, 5 - abs(now - 400) / 80)
    count = int(rate) + (rng.random() < rate % 1)
    return [rng.uniform(1, 10) for _ in range(count)]


def sawtooth(rng: random.Random, now: int) -> list[float]:
    """Thirty jobs every forty seconds: a backlog that comes and goes."""
    return [rng.uniform(1, 10) for _ in range(30)] if now % 40 == 0 and now < 700 else []


LOADS: list[Callable[[random.Random, int], list[float]]] = [steady, burst, ramp, sawtooth]


@pytest.fixture(scope="module", params=["keda", "hpa-external"])
def rule(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rule:
    objects = Tree(tmp_path_factory.mktemp("manifests")).with_components(request.param)
    kind = {"keda": "ScaledObject", "hpa-external": "HorizontalPodAutoscaler"}[request.param]
    return Rule.of(find(objects, kind, "worker"))


@pytest.fixture(params=LOADS, ids=lambda load: load.__name__)
def moments(request: pytest.FixtureRequest, rule: Rule) -> list[Moment]:
    rng = random.Random(7)
    arrivals = [request.param(rng, now) for now in range(1000)]
    return list(follow(rule, arrivals, SLOTS, START_SECONDS))


def test_one_member_stands_for_its_slots(rule: Rule) -> None:
    default = next(one.default for _, one in declared(Settings) if one.env == "WORKER_SLOTS")
    assert rule.target == SLOTS == int(default or 0)


def test_both_components_follow_the_recording_rule() -> None:
    """One wish by two ways, for the group and the slots of the base."""
    (recorded,) = [one["expr"] for one in rules() if one.get("record") == "fleet:jobs_wanted"]
    (keda,) = [query for where, query in QUERIES if where.startswith("keda")]
    settings = dict(
        line.split("=", 1) for line in (ROOT / "k8s/base/worker.env").read_text().splitlines()
    )
    group = f'{{group="{settings["WORKER_GROUP"]}"}}'
    assert keda.count(group) == 3
    assert keda.replace(group, "") == recorded.replace(" by (group) ", "")
    manifest = (ROOT / "k8s/components/hpa-external/hpa.yaml").read_text()
    (metric,) = yaml.safe_load(manifest)["spec"]["metrics"]
    assert metric["external"]["metric"] == {
        "name": "fleet:jobs_wanted",
        "selector": {"matchLabels": {"group": settings["WORKER_GROUP"]}},
    }
    assert int(settings["WORKER_SLOTS"]) == SLOTS


def test_capacity_is_never_below_running_work(moments: list[Moment]) -> None:
    for now in moments:
        assert now.replicas * SLOTS >= now.running, now


def test_everything_is_done_and_the_fleet_rests(rule: Rule, moments: list[Moment]) -> None:
    last = moments[-1]
    assert (last.waiting, last.running) == (0, 0)
    assert last.replicas == rule.least


def changes(moments: list[Moment]) -> list[tuple[int, int]]:
    return [
        (b.at, b.replicas - a.replicas) for a, b in pairwise(moments) if a.replicas != b.replicas
    ]


def test_a_steady_load_settles(rule: Rule) -> None:
    rng = random.Random(7)
    arrivals = [steady(rng, now) for now in range(700)]
    moments = list(follow(rule, arrivals, SLOTS, START_SECONDS))
    backlog = [m.at for m in moments if 60 + SETTLE_SECONDS < m.at < 660 and m.waiting > SLOTS]
    assert backlog == [], "work waits after the fleet should have settled"
    needed = math.ceil(3 * 5.5 / SLOTS)
    settled = [m.replicas for m in moments if 60 + SETTLE_SECONDS < m.at < 650]
    assert needed <= min(settled)
    assert max(settled) <= needed * 1.6


def test_it_does_not_flap(moments: list[Moment]) -> None:
    """A member that came is not sent away before the calm window, and no wave goes up and down."""
    turns = [(a, b) for a, b in pairwise(changes(moments)) if a[1] > 0 > b[1]]
    for up, down in turns:
        assert down[0] - up[0] >= 60, (up, down)


def test_zero_members_come_back_for_one_job(rule: Rule) -> None:
    arrivals: list[list[float]] = [[] for _ in range(200)]
    arrivals[100] = [2.0]
    moments = list(follow(rule, arrivals, SLOTS, START_SECONDS))
    first = next(m.at for m in moments if m.running)
    assert first - 100 <= START_SECONDS + 5 + 1


def test_a_burst_is_served_within_two_minutes_of_its_coming(rule: Rule) -> None:
    rng = random.Random(7)
    arrivals = [burst(rng, now) for now in range(400)]
    moments = list(follow(rule, arrivals, SLOTS, START_SECONDS))
    drained = next(m.at for m in moments if m.at > 30 and m.waiting == 0)
    assert drained - 30 <= SETTLE_SECONDS


def long_jobs() -> list[list[float]]:
    """Twelve jobs of 150 s: three members' worth of work that a drain does not outlast."""
    arrivals: list[list[float]] = [[] for _ in range(500)]
    arrivals[20] = [150.0] * 12
    return arrivals


#: The steward is away for a minute and a half, in the middle of those jobs.
AWAY = range(60, 150)


def test_a_steward_that_is_away_scales_nobody_away(rule: Rule) -> None:
    moments = list(follow(rule, long_jobs(), SLOTS, START_SECONDS, blind=AWAY))
    assert [now for now in moments if now.replicas * SLOTS < now.running] == []
    assert moments[-1].replicas == rule.least, "and once it is back, the fleet shrinks as ever"


def test_an_empty_answer_that_counts_as_zero_would_scale_a_busy_fleet_away(rule: Rule) -> None:
    """What KEDA does by default: so the test above can fail."""
    rule = replace(rule, empty_is_zero=True)
    moments = list(follow(rule, long_jobs(), SLOTS, START_SECONDS, blind=AWAY))
    assert [now for now in moments if now.replicas * SLOTS < now.running]


def test_nobody_comes_or_goes_for_want_of_the_metric(tmp_path: Path) -> None:
    rule = Rule.of(find(Tree(tmp_path).with_components("keda"), "ScaledObject", "worker"))
    assert not rule.empty_is_zero
    for replicas in (0, 1, 7):
        scaler = Autoscaler(rule, replicas=replicas)
        assert {scaler.look(now, None) for now in range(300)} == {replicas}


def test_a_drain_outlasts_the_jobs_of_these_loads() -> None:
    assert DRAIN_SECONDS > 10
