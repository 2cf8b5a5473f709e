"""A function's limit: no more of it at a time in one member, and nobody else waits for that."""

import pytest

from tests.support.fleet import Fleet
from tests.support.place import Place
from tests.support.processes import Process

pytestmark = pytest.mark.system

type Spans = list[list[float]]


def most_at_once(spans: Spans) -> int:
    return max(sum(began <= at < ended for began, ended in spans) for at, _ in spans)


@pytest.fixture
def steward(fleet: Fleet) -> Process:
    return fleet.steward()


def run(fleet: Fleet, **env: str) -> tuple[Place, list[str], list[str]]:
    """Six scarce jobs first, then eight others, on one member with four slots."""
    place = Place(fleet)
    scarce = [place.job("scarce", 0.5) for _ in range(6)]
    plenty = [place.job("plenty", 0.2) for _ in range(8)]
    place.worker(WORKER_FUNCTIONS="tests.support.limited", WORKER_SLOTS="4", **env)
    return place, scarce, plenty


def test_the_limit_holds_and_others_go_on(fleet: Fleet, steward: Process) -> None:
    port = steward.line("steward.started")["presence_port"]
    place, scarce, plenty = run(fleet, WORKER_STEWARD=f"127.0.0.1:{port}")
    spans = place.server.wait_results(scarce + plenty, 60)
    limited = [spans[job] for job in scarce]
    assert most_at_once(limited) == 2
    first_three = sorted(ended for _, ended in (spans[job] for job in plenty))[:3]
    last_begun = max(began for began, _ in limited)
    assert first_three[-1] < last_begun, "others ran while scarce ones waited"
    claims = [place.task(job)["version"] for job in scarce]
    assert max(claims) <= 2, "the steward learns at the first refusal"


def test_without_a_steward_it_holds_too(fleet: Fleet) -> None:
    place, scarce, plenty = run(fleet)
    spans = place.server.wait_results(scarce + plenty, 90)
    assert most_at_once([spans[job] for job in scarce]) == 2
