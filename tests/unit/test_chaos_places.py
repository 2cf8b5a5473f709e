"""A fault is declared once, in two halves; a place does those that it has the abilities for."""

import math
from collections.abc import Callable, Coroutine
from typing import Any, get_args
from unittest.mock import MagicMock

import pytest

from resonate_fleet.chaos.faults import ALL, ON_FLEET, ON_MEMBER, can, can_last, strike
from resonate_fleet.chaos.options import ChaosOptions
from resonate_fleet.chaos.place import Ability, Adapter, Victim, abilities, adapter_of
from resonate_fleet.chaos.plan import script
from resonate_fleet.chaos.scenario import StrikeOrder, When, parse
from resonate_fleet.contract.faults import (
    AT_A_MEMBER,
    AT_THE_FLEET,
    AT_THE_STEWARD,
    FAULTS,
    FREEZING,
    Fault,
)
from resonate_fleet.contract.run import PLACES, Place
from resonate_fleet.contract.settings import Mistake

#: Nothing runs beside a process; Kubernetes lacks rights on nodes, and a server that stays away.
LACKS: dict[Place, set[Ability]] = {
    "processes": {"run"},
    "compose": set(),
    "kubernetes": {"signal", "cut_off", "connect", "take_away"},
}


def test_every_fault_has_both_halves() -> None:
    assert set(get_args(Fault)) == set(FAULTS)
    assert set(ON_MEMBER) == set(AT_A_MEMBER)
    assert set(ON_FLEET) == set(AT_THE_FLEET)


def test_what_freezes_is_healed_and_nothing_else() -> None:
    assert {fault for fault, one in ON_MEMBER.items() if one.heal} == set(FREEZING)


@pytest.mark.parametrize("place", LACKS)
def test_a_place_is_able_to_do_what_its_class_has(place: Place) -> None:
    assert set(get_args(Ability)) - abilities(place) == LACKS[place]
    assert isinstance(adapter_of(place).chosen(ChaosOptions(command="run")), Adapter)


def test_kubernetes_refuses_what_the_documentation_says() -> None:
    assert {"pause", "partition"}.isdisjoint(can("kubernetes"))
    assert set(AT_THE_FLEET) - can_last("kubernetes") == {"server-restart"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("ability", get_args(Ability))
def test_a_place_with_one_ability_less_refuses_what_needs_it_when_planning(
    place: Place, ability: Ability, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = can(place)
    monkeypatch.setattr(adapter_of(place), ability, getattr(Adapter, ability))
    assert ability not in abilities(place)
    needing = [fault for fault in before if ability in ALL[fault].needs]
    assert before - can(place) == set(needing)
    for fault in needing:
        more = {"leases": "\nleases = 1", "to": "\nto = 2"}
        takes = "".join(more.get(one, "") for one in FAULTS[fault].takes)
        text = f'about = "x"\n[load]\ncount = 9\n[[strikes]]\nfault = "{fault}"{takes}'
        with pytest.raises(Mistake) as caught:
            script(parse(f"{text}\nwhen = {{ done = 0.5 }}\n", "mine.toml"), 1, place)
        (line,) = caught.value.lines
        assert line.startswith(f"mine: {place} cannot do {fault}; accepted: ")


def noted(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def deed(place: Any, *given: Any) -> Any:
        place.asked.append((name, *given))
        return None if name == "run" else Victim(name, "") if name in ABSTRACT else name

    return deed


ABSTRACT = ("steward", "server", "look_again")
#: A place that is able to do everything and writes down what it is asked to do.
Recording: Any = type(
    "Recording", (Adapter,), {x: noted(x) for x in (*get_args(Ability), *ABSTRACT)}
)
Recording.__abstractmethods__ = frozenset()
MEMBER = Victim("worker-1-abcdef", "worker-1")


@pytest.mark.parametrize("fault", ON_MEMBER)
async def test_a_fault_of_a_member_asks_for_what_it_needs(fault: Fault) -> None:
    place = Recording()
    place.asked = []
    await strike(place, fault, MEMBER)
    assert place.asked.pop(0) == ("look_again", MEMBER)
    if heal := ON_MEMBER[fault].heal:
        await heal(place, MEMBER)
    asked = {name for name, *_ in place.asked}
    needs = {"run"} if fault == "out-of-memory" else set(ON_MEMBER[fault].needs)
    assert asked - {"steward"} == needs
    assert ("steward" in asked) == (fault in AT_THE_STEWARD)


async def test_where_nothing_runs_inside_a_kill_stands_for_what_the_kernel_does() -> None:
    place = type("Local", (Recording,), {"run": Adapter.run})()
    place.asked = []
    assert await strike(place, "out-of-memory", MEMBER) == "kill"


@pytest.mark.parametrize("seconds", [0.0, 0.01])
@pytest.mark.parametrize("fault", ON_FLEET)
async def test_a_fault_of_the_fleet_asks_for_what_it_needs(
    fault: Fault, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resonate_fleet.chaos.faults.Wire", MagicMock())
    place, one = Recording(), ON_FLEET[fault]
    place.asked = []
    order = StrikeOrder(strike=0, fault=fault, when=When(), to=1, back=3, seconds=seconds)
    answer = await one.strike(place, order)
    asked = [name for name, *_ in place.asked if name not in ABSTRACT]
    assert set(asked) == set(one.lasting if seconds and one.lasting else one.needs)
    if fault == "scale" and seconds:
        assert place.asked == [("scale", 1), ("scale", 3)]
        assert answer == "scale; after 0.01 s scale"


def test_no_two_faults_of_the_fleet_are_planned_in_the_same_words() -> None:
    order = StrikeOrder(strike=0, fault="scale", when=When(), to=3)
    told = {fault: one.target(order) for fault, one in ON_FLEET.items()}
    assert len(set(told.values())) == len(told)
    assert told["scale"] == "to 3 members"
    away = StrikeOrder(strike=0, fault="server-restart", when=When(), seconds=math.inf)
    assert ON_FLEET["server-restart"].target(away) == "the server, away for as long as the run"
