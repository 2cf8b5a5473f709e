"""A strike is on a member or on the whole fleet, and no fault is taken for another."""

from types import SimpleNamespace
from typing import Any, get_args

import pytest

from resonate_fleet.chaos.place import PlaceFailed
from resonate_fleet.chaos.striking import Striker
from resonate_fleet.contract.run import AT_A_MEMBER, Fault


def on_all(fault: str) -> str:
    """Return what is said of a fault that is done to the whole fleet."""
    anything: Any = SimpleNamespace(kill_steward=None, rolling_restart=None)
    order: Any = SimpleNamespace(fault=fault, to=3, seconds=0.0)
    striker = Striker([], anything, anything, print)
    return " ".join(striker._on_all(order)[:2])  # noqa: SLF001 - the table of deeds


def test_every_fault_that_is_not_on_a_member_has_a_deed_of_its_own() -> None:
    faults = [fault for fault in get_args(Fault) if fault not in AT_A_MEMBER]
    said = {fault: on_all(fault) for fault in faults}
    assert len(set(said.values())) == len(faults), said
    assert said["scale"] == "members to be 3"


@pytest.mark.parametrize("fault", [*AT_A_MEMBER, "flood"])
def test_any_other_is_refused(fault: str) -> None:
    with pytest.raises(PlaceFailed, match=f"{fault} is not done to the whole fleet"):
        on_all(fault)
