"""Makes a plan from scenario and seed. Pure: the same input gives the same plan."""

import random
from typing import Final

import msgspec
from msgspec.structs import replace

from resonate_fleet.chaos.faults import ON_FLEET, can, can_last
from resonate_fleet.chaos.scenario import LoadSpec, Scenario, StrikeOrder, When
from resonate_fleet.contract.faults import FAULTS
from resonate_fleet.contract.run import TRAITS, Place, Plan, PlannedJob, PlannedStrike
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.words import DEFAULT_GROUP

#: Costs are drawn to this many digits: what is printed is what is asked for.
DIGITS: Final = 3


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with all that a run needs beside it: triggers, and the options of its client."""

    plan: Plan
    orders: list[StrikeOrder]
    client: list[str]


def script(scenario: Scenario, seed: int, place: Place, tag: str = "") -> Script:
    """Return what a run of `scenario` with `seed` at `place` is going to do.

    Job ids are made of the scenario's name, the seed and `tag`: the same plan sent twice to one
    server is one load. Another `tag` makes it another.

    Raises:
        Mistake: the scenario asks for what the place cannot do.
    """
    _refuse(scenario, place)
    scenario = _paced(scenario, place)
    fleet, begin = scenario.fleet, prefix(scenario, seed, tag)
    orders = _orders(scenario, seed, begin)
    plan = Plan(
        scenario=scenario.name,
        seed=seed,
        place=place,
        members=fleet.members,
        slots=fleet.slots,
        lease=fleet.lease,
        steward=fleet.steward,
        stewards=fleet.stewards,
        deadline=scenario.deadline,
        jobs=_jobs(scenario.load, seed, begin),
        strikes=[
            PlannedStrike(
                strike=order.strike,
                fault=order.fault,
                trigger=_trigger(order),
                target=_target(order),
                to=order.to if "to" in FAULTS[order.fault].takes else None,
            )
            for order in orders
        ],
        guarantees=scenario.guarantees,
    )
    return Script(plan=plan, orders=orders, client=_client_options(scenario.load, seed, begin))


def prefix(scenario: Scenario, seed: int, tag: str = "") -> str:
    """What the ids of the run's jobs begin with; the tokens of `docker/setup` allow `fleet-`."""
    return f"fleet-{scenario.name}-{seed}{tag}"


def _refuse(scenario: Scenario, place: Place) -> None:
    able, cannot = can(place), f"{scenario.name}: {place} cannot do"
    asked = {strike.fault for strike in scenario.strikes}
    accepted = ", ".join(sorted(able))
    wrong = [f"{cannot} {fault}; accepted: {accepted}" for fault in sorted(asked - able)]
    lasting = {strike.fault for strike in scenario.strikes if strike.seconds}
    wrong += [
        f"{cannot} {fault} with seconds; accepted: none"
        for fault in sorted(lasting & able - can_last(place))
    ]
    if scenario.load.keys and not TRAITS[place].keys:
        able_to = ", ".join(one for one, traits in TRAITS.items() if traits.keys)
        wrong.append(f"{cannot} load.keys; accepted: {able_to}")
    if wrong:
        raise Mistake(*wrong)


def _paced(scenario: Scenario, place: Place) -> Scenario:
    """Return the scenario at the pace of the place."""
    pace, load, promised = TRAITS[place].pace, scenario.load, scenario.guarantees
    low, high = load.cost
    cost = (round(low * pace, DIGITS), round(high * pace, DIGITS))
    if promised.recovery_seconds is not None:
        promised = replace(promised, recovery_seconds=promised.recovery_seconds * pace)
    return replace(
        scenario,
        deadline=scenario.deadline * pace,
        load=replace(load, cost=cost, rate=round(load.rate / pace, DIGITS)),
        guarantees=promised,
    )


def _client_options(load: LoadSpec, seed: int, begin: str) -> list[str]:
    """Return the options under which a client sends exactly the plan's jobs.

    The client draws costs from the seed by the same rule as `_jobs`, and numbers ids likewise.
    """
    keys = ",".join(f"{key}={number}" for key, number in load.keys.items())
    return [
        f"--count={load.count}",
        f"--function={load.function}",
        f"--cost={load.cost[0]}..{load.cost[1]}",
        f"--seed={seed}",
        f"--rate={load.rate:g}",
        f"--group={DEFAULT_GROUP}",
        f"--id-prefix={begin}",
        *([f"--steps={load.steps}"] if load.steps else []),
        *([f"--keys={keys}"] if keys else []),
    ]


def _id(begin: str, number: int) -> str:
    """Ids sort in the order of their numbers: members without a steward take the oldest first."""
    return f"{begin}-{number:05d}"


def _jobs(load: LoadSpec, seed: int, begin: str) -> list[PlannedJob]:
    low, high = load.cost
    keys = [key for key, number in load.keys.items() for _ in range(number)] or [""] * load.count
    chance = random.Random(seed)  # the client's own rule, so that `--seed` makes these costs there
    return [
        PlannedJob(
            id=_id(begin, at + 1),
            at=round(at / load.rate, DIGITS) if load.rate else 0.0,
            function=load.function,
            cost=round(low + (high - low) * chance.random(), DIGITS),
            group=DEFAULT_GROUP,
            steps=load.steps,
            key=key,
        )
        for at, key in enumerate(keys)
    ]


def _orders(scenario: Scenario, seed: int, begin: str) -> list[StrikeOrder]:
    """One order for each time that a strike is to be done."""
    found: list[StrikeOrder] = []
    for at, strike in enumerate(scenario.strikes):
        # A source of its own, so that one more strike leaves the others as they were.
        draws = random.Random(f"{scenario.name}/{seed}/strike {at}")
        when, lease = strike.when, scenario.fleet.lease
        job = draws.randint(1, scenario.load.count) if when.job == 0 else when.job
        times = when.times if when.every is not None else when.attempts
        found += [
            StrikeOrder(
                strike=len(found) + number,
                fault=strike.fault,
                when=(
                    replace(when, job=job, attempts=1)
                    if when.every is None
                    else When(after=round(when.every * (number + 1), DIGITS))
                ),
                job=_id(begin, job) if job else "",
                attempt=number + 1 if job else 0,
                seconds=round(strike.seconds or (strike.leases or 0) * lease, DIGITS),
                to=strike.to or 0,
                back=scenario.fleet.members,
                draw=round(draws.random(), 6),
            )
            for number in range(times)
        ]
    return found


def _trigger(order: StrikeOrder) -> str:
    """Return the trigger as a sentence's beginning."""
    when = order.when
    if order.job:
        again = f" in attempt {order.attempt}" if order.attempt > 1 else ""
        return f"when {order.job} is {when.part:.0%} done{again}"
    if when.done is not None:
        return f"when {when.done:.0%} of the jobs are done"
    return f"{when.after:g} s after the start"


def _target(order: StrikeOrder) -> str:
    if order.fault in ON_FLEET:
        return ON_FLEET[order.fault].target(order)
    lasting = f" for {order.seconds:g} s" if order.seconds else ""
    return ("its holder" if order.job else "a busy member") + lasting


def plan_lines(plan: Plan) -> list[str]:
    """Return the plan in words: fleet, load, strikes, guarantees."""
    steward = f"stewards {plan.stewards}" if plan.steward else "no steward"
    jobs, costs = plan.jobs, [job.cost for job in plan.jobs]
    numbers = {
        "redone": plan.guarantees.redone,
        "redone steps": plan.guarantees.redone_steps,
        "parked": plan.guarantees.parked or None,
        "seconds of recovery": plan.guarantees.recovery_seconds,
        "makespan over bound": plan.guarantees.makespan_over_bound,
    }
    most = [f"{name} at most {value:g}" for name, value in numbers.items() if value is not None]
    strikes = [
        f"  strike {number}  {order.fault:<15} {order.trigger}: {order.target}"
        for number, order in enumerate(plan.strikes)
    ]
    load = (
        f"  load     {len(jobs)} {jobs[0].function} of {min(costs):g} to {max(costs):g} s "
        f"({sum(costs):.1f} s of work), over {jobs[-1].at:g} s, {jobs[0].id} to {jobs[-1].id}"
    )
    return [
        f"scenario {plan.scenario} on {plan.place}, seed {plan.seed}",
        f"  fleet    members {plan.members}, slots {plan.slots}, lease {plan.lease:g} s, {steward}",
        load,
        *(strikes or ["  no strikes"]),
        f"  promises {', '.join(['nothing lost', 'nothing doubled', *most])}",
    ]
