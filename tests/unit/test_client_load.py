"""The client's load: the same input makes the same jobs."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_fleet.contract.ids import Ids
from resonate_fleet.contract.settings import Mistake, load
from resonate_fleet.submit.command import order, parser
from resonate_fleet.submit.load import ID, make
from resonate_fleet.submit.settings import ClientSettings


def settings(**env: str) -> ClientSettings:
    return load(ClientSettings, {f"CLIENT_{key.upper()}": value for key, value in env.items()})


@given(st.integers(0, 2**63 - 1), st.integers(1, 50))
def test_a_seed_makes_the_costs_the_same_each_time(seed: int, count: int) -> None:
    asked = settings(seed=str(seed), count=str(count), cost="0.5..2")
    costs = [job.cost for job in make(asked, [], None, Ids().new)]
    assert costs == [job.cost for job in make(asked, [], None, Ids().new)]
    assert all(cost is not None and 0.5 <= cost <= 2 for cost in costs)
    assert len(costs) == count


def test_ids_are_new_and_in_the_order_of_time_unless_a_prefix_is_given() -> None:
    ids = [job.id for job in make(settings(count="100"), [], None, Ids().new)]
    assert ids == sorted(set(ids))
    assert {UUID(id_).version for id_ in ids} == {7}
    prefixed = [job.id for job in make(settings(count="3", id_prefix="mon"), [], None, Ids().new)]
    assert prefixed == ["mon-00001", "mon-00002", "mon-00003"]


def test_a_prefix_that_ends_in_a_dash_stands_before_new_ids() -> None:
    """What a token limits jobs to is a prefix, and a second load must not be the first again."""
    source = Ids()
    asked = settings(count="100", id_prefix="fleet-")
    ids = [job.id for _ in range(2) for job in make(asked, [], None, source.new)]
    assert ids == sorted(set(ids))
    assert {UUID(id_.removeprefix("fleet-")).version for id_ in ids} == {7}


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("compute_something", ["a", 2.0]),
        ("compute_durably", ["a", 2.0]),
        ("compute_in_steps", ["a", 2.0, 7]),
        ("someone_elses", ["a", 2.0]),
    ],
)
def test_a_call_has_the_arguments_of_its_function(function: str, args: list[object]) -> None:
    (job,) = make(settings(function=function, cost="2", steps="7"), ["a"], None, Ids().new)
    assert (job.call.func, job.call.args) == (function, args)


def test_arguments_given_by_hand_replace_those_and_have_no_cost() -> None:
    (job,) = make(settings(function="greet"), ["a"], [{"name": "Ada"}], Ids().new)
    assert (job.call.args, job.cost) == ([{"name": "Ada"}], None)


def test_an_id_given_twice_is_sent_twice_with_the_same_call() -> None:
    first, other, again = make(settings(), ["a", "b", "a"], None, Ids().new)
    assert first == again
    assert first.cost != other.cost


@pytest.mark.parametrize("id_", ["", "a:b", "a\0b", "a\ud800b", "x" * 513])
def test_ids_that_the_server_would_refuse_are_refused_before_anything_is_sent(id_: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - a kind says no more
        ID.read(id_)
    assert ID.read("fi\nne") == "fi\nne"


def test_every_wrong_option_is_named_at_once_as_it_was_typed() -> None:
    typed = ["--count", "0", "--cost", "5..2", "--id", "a:b", "--args", "{", "--seed", "x"]
    with pytest.raises(Mistake) as caught:
        order(parser("client").parse_args(typed), {"CLIENT_RATE": "-1"})
    starts = sorted(line.split(" is ")[0] for line in caught.value.lines)
    assert starts == ["--args", "--cost", "--count", "--count", "--id", "--seed", "CLIENT_RATE"]


def test_an_option_wins_over_its_variable() -> None:
    typed = parser("client").parse_args(["--group", "fast"])
    asked = order(typed, {"CLIENT_GROUP": "slow", "CLIENT_COUNT": "7"})
    assert (asked.settings.group, len(asked.jobs)) == ("fast", 7)
