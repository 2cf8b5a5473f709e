"""Each place says by name what it can do, does that, and refuses every other fault in one line."""

import asyncio
import re
from typing import cast

import msgspec
import pytest

from resonate_fleet.chaos import compose, kubernetes, local, scenario
from resonate_fleet.chaos.place import Adapter, Candidate, PlaceFailed, can, module_of
from resonate_fleet.chaos.plan import script
from resonate_fleet.chaos.scenario import StrikeSpec, When
from resonate_fleet.contract.run import (
    AT_A_MEMBER,
    AT_ALL_MEMBERS,
    AT_THE_FLEET,
    FAULTS,
    FREEZING,
    PLACES,
    Fault,
    Place,
)
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.report.checks.strikes import SIGNS
from tests.support.processes import ROOT

#: A fault that somebody adds without a word to any place.
NEW = cast("Fault", "flood")
ADAPTERS: dict[Place, Adapter] = {
    "processes": local.LocalPlace(),
    "compose": compose.ComposePlace("fleet-nowhere"),
    "kubernetes": kubernetes.KubernetesPlace("nowhere"),
}


def with_new() -> scenario.Scenario:
    one = scenario.read(scenario.find("one-kill"))
    strike = StrikeSpec(fault=NEW, when=When(done=0.5))
    return msgspec.structs.replace(one, strikes=[strike])


def test_every_fault_is_done_to_a_member_or_to_the_fleet() -> None:
    assert sorted((*AT_A_MEMBER, *AT_THE_FLEET)) == sorted(FAULTS)


def test_what_is_done_to_the_fleet_shows_in_all_members_or_has_signs_of_its_own() -> None:
    assert sorted((*AT_ALL_MEMBERS, *SIGNS)) == sorted(AT_THE_FLEET)


def test_every_fault_has_a_sign_to_be_drawn() -> None:
    drawn = (ROOT / "resonate_fleet/web/outcomes.js").read_text(encoding="utf-8")
    table = drawn.partition("export const FAULTS = {")[2].partition("};")[0]
    assert sorted(re.findall(r'^  "?([a-z-]+)"?: ', table, re.MULTILINE)) == sorted(FAULTS)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_undoes_what_it_freezes_and_strikes_members_with_faults_of_members(
    place: Place,
) -> None:
    module = module_of(place)
    assert set(module.STRIKES) <= set(AT_A_MEMBER)
    assert set(module.HEALS) == set(module.STRIKES) & set(FREEZING)
    assert can(place) == {*AT_THE_FLEET, *module.STRIKES}


@pytest.mark.parametrize("place", PLACES)
def test_a_new_fault_is_refused_when_it_is_planned(place: Place) -> None:
    with pytest.raises(Mistake) as caught:
        script(with_new(), 1, place)
    (line,) = caught.value.lines
    assert line.startswith(f"one-kill: {place} cannot do flood; accepted: ")


@pytest.mark.parametrize("place", PLACES)
def test_a_plan_says_what_a_fault_is_done_to_or_refuses_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody has written that the place can do it."""
    monkeypatch.setitem(module_of(place).STRIKES, NEW, None)
    with pytest.raises(Mistake, match="no plan says what flood is done to; accepted: "):
        script(with_new(), 1, place)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("deed", ["strike", "heal"])
def test_a_place_does_nothing_for_a_fault_that_it_does_not_know(place: Place, deed: str) -> None:
    member = Candidate("worker-1-abcdef", "worker-1", allowed=True)
    with pytest.raises(PlaceFailed, match="no way for flood at a member of this place; accepted: "):
        asyncio.run(getattr(ADAPTERS[place], deed)(NEW, member))
