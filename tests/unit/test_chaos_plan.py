"""Plans: pure, the client's own load, and nothing that a place cannot do."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_fleet.chaos import scenario
from resonate_fleet.chaos.__main__ import main
from resonate_fleet.chaos.faults import can, can_last
from resonate_fleet.chaos.plan import script
from resonate_fleet.chaos.scenario import (
    LoadSpec,
    Scenario,
    StrikeOrder,
    StrikeSpec,
    When,
)
from resonate_fleet.contract import exits
from resonate_fleet.contract.run import PLACES, Guarantees, Place, Plan
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.words import TAG_KEY
from resonate_fleet.submit import command as client_command

SHIPPED = {name: scenario.read(scenario.find(name)) for name in scenario.shipped()}

seeds = st.integers(min_value=0, max_value=2**63 - 1)
shipped = st.sampled_from(sorted(SHIPPED))


def made(count: int, *strikes: StrikeSpec) -> Scenario:
    return Scenario(
        name="made",
        about="made for a test",
        deadline=30.0,
        fleet=scenario.FleetSpec(),
        load=LoadSpec(count=count),
        strikes=list(strikes),
        guarantees=Guarantees(),
    )


def plan(one: Scenario, seed: int, place: Place = "processes") -> Plan:
    return script(one, seed, place).plan


def orders(one: Scenario, seed: int) -> list[StrikeOrder]:
    return script(one, seed, "processes").orders


@given(name=shipped, seed=seeds, noise=seeds)
def test_the_same_scenario_and_seed_make_the_same_plan(name: str, seed: int, noise: int) -> None:
    first = script(SHIPPED[name], seed, "processes")
    random.seed(noise)  # whatever else happens in the process
    again = script(SHIPPED[name], seed, "processes")
    assert msgspec.json.encode(first) == msgspec.json.encode(again)


@given(name=shipped, seed=seeds)
def test_a_plan_survives_its_file(name: str, seed: int) -> None:
    made = plan(SHIPPED[name], seed, "processes")
    assert msgspec.json.decode(msgspec.json.encode(made), type=Plan) == made


@given(name=shipped, seed=seeds)
def test_plan_and_orders_agree(name: str, seed: int) -> None:
    one = script(SHIPPED[name], seed, "processes")
    ids = [job.id for job in one.plan.jobs]
    assert ids == sorted(set(ids))
    assert [order.strike for order in one.orders] == list(range(len(one.orders)))
    for order, planned in zip(one.orders, one.plan.strikes, strict=True):
        assert (order.strike, order.fault) == (planned.strike, planned.fault)
        assert not order.job or (order.job in ids and order.job in planned.trigger)


@given(
    name=shipped,
    seed=seeds,
    tag=st.sampled_from(["", "-b"]),
    place=st.sampled_from(["processes", "compose"]),
)
def test_the_client_sends_exactly_the_planned_jobs(
    name: str, seed: int, tag: str, place: Place
) -> None:
    """Chaos and client meet on the command line; both must draw the same costs and ids."""
    shipped = msgspec.structs.replace(SHIPPED[name], strikes=[])
    one = script(shipped, seed, "processes" if shipped.load.keys else place, tag)
    asked = client_command.order(client_command.parser("client").parse_args(one.client), {})
    sent = asked.jobs
    planned = one.plan.jobs
    assert [(job.id, job.call.func, job.cost) for job in sent] == [
        (job.id, job.function, job.cost) for job in planned
    ]
    for job, known in zip(sent, planned, strict=True):
        assert job.call.args == [known.id, known.cost, *([known.steps] if known.steps else [])]
        assert job.tags == ({TAG_KEY: known.key} if known.key else {})


@given(seed=seeds)
def test_one_strike_more_leaves_the_others_and_the_load_as_they_were(seed: int) -> None:
    any_job = StrikeSpec(fault="kill", when=When(job=0))
    one, two = made(20, any_job), made(20, any_job, any_job)
    assert plan(one, seed, "processes").jobs == plan(two, seed, "processes").jobs
    assert orders(two, seed)[0] == orders(one, seed)[0]


def test_seeds_choose_different_victims() -> None:
    one = made(20, StrikeSpec(fault="kill", when=When(job=0)))
    assert len({orders(one, seed)[0].job for seed in range(20)}) > 5


def test_every_becomes_moments_and_attempts_become_orders() -> None:
    every = StrikeSpec(fault="kill", when=When(every=2.5, times=3))
    thrice = StrikeSpec(fault="out-of-memory", when=When(job=4, part=0.3, attempts=3))
    found = orders(made(9, every, thrice), 1)
    assert [order.when.after for order in found[:3]] == [2.5, 5.0, 7.5]
    assert [(order.job, order.attempt) for order in found[3:]] == [
        ("fleet-made-1-00004", 1),
        ("fleet-made-1-00004", 2),
        ("fleet-made-1-00004", 3),
    ]


def test_a_lasting_fault_lasts_so_many_leases() -> None:
    one = made(9, StrikeSpec(fault="pause", leases=2, when=When(after=1)))
    assert orders(one, 1)[0].seconds == 2 * one.fleet.lease


def test_what_is_done_to_the_whole_fleet_can_last_some_seconds_and_is_undone() -> None:
    away = StrikeSpec(fault="server-restart", seconds=4, when=When(after=1))
    empty = StrikeSpec(fault="scale", to=0, seconds=8, when=When(done=0.5))
    one = plan(made(9, away, empty), 1, "processes")
    told = [strike.target for strike in one.strikes]
    assert told == ["the server, away for 4 s", "to 0 members for 8 s, then to 3"]
    assert [(order.seconds, order.back) for order in orders(made(9, away, empty), 1)] == [
        (4, 3),
        (8, 3),
    ]


@pytest.mark.parametrize("place", PLACES)
def test_what_a_place_cannot_do_is_refused_when_planning(place: Place) -> None:
    for name, one in SHIPPED.items():
        beyond = {strike.fault for strike in one.strikes} - can(place)
        lasting = {strike.fault for strike in one.strikes if strike.seconds}
        beyond |= lasting & can(place) - can_last(place)
        keys = bool(one.load.keys) and place != "processes"
        if not beyond and not keys:
            assert plan(one, 1, place).place == place
            continue
        with pytest.raises(Mistake) as caught:
            plan(one, 1, place)
        assert len(caught.value.lines) == len(beyond) + keys, name
        assert all(f"{place} cannot do" in line for line in caught.value.lines)


def test_a_dry_run_prints_seed_and_plan_and_does_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "one-kill", "--on", "compose", "--seed", "5"]) == exits.OK
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "seed 5"
    assert any("fleet-one-kill-5-00007 is 40% done: its holder" in line for line in told)
    assert told[1] == "dry run: nothing is done on compose; --strike does it"


@pytest.mark.parametrize("more", [["freeze"], ["--times", "2"]])
def test_a_run_that_stays_is_one_run(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "one-kill", *more, "--stay"]) == exits.USAGE
    assert "--stay is for one run; accepted: one scenario" in capsys.readouterr().err


def test_times_makes_so_many_plans_with_the_next_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "one-kill", "freeze", "--seed", "5", "--times", "3"]) == exits.OK
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("scenario")]
    assert [line.rpartition(" ")[2] for line in told] == ["5", "6", "7", "5", "6", "7"]
    assert main(["plan", "one-kill", "--times", "0"]) == exits.USAGE


def test_a_drawn_seed_is_printed_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "one-kill"]) == exits.OK
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first.removeprefix("seed ").isdigit()
    assert second == f"scenario one-kill on processes, {first}"


def test_a_plan_as_json_is_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "freeze", "--seed", "5", "--json"]) == exits.OK
    text = capsys.readouterr().out.partition("\n")[2]
    assert msgspec.json.decode(text, type=Plan) == plan(SHIPPED["freeze"], 5, "processes")
