"""Scenario and seed in, plan out. Pure: the same in, the same out, nothing is touched."""

import random
from typing import Final

import msgspec

from resonate_fleet.chaos.faults import ON_FLEET, can, can_last
from resonate_fleet.chaos.scenario import Scenario, StrikeOrder, StrikeSpec, When
from resonate_fleet.contract.run import (
    AT_THE_FLEET,
    TRAITS,
    Place,
    Plan,
    PlannedJob,
    PlannedStrike,
)
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
    fleet, orders = scenario.fleet, _orders(scenario, seed, tag)
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
        jobs=_jobs(scenario, seed, tag),
        strikes=[_planned(order) for order in orders],
        guarantees=scenario.guarantees,
    )
    return Script(plan=plan, orders=orders, client=_client_options(scenario, seed, tag))


def _paced(scenario: Scenario, place: Place) -> Scenario:
    """Return the scenario at the pace of the place."""
    pace = TRAITS[place].pace
    low, high = scenario.load.cost
    seconds = scenario.guarantees.recovery_seconds
    change = msgspec.structs.replace
    return change(
        scenario,
        deadline=scenario.deadline * pace,
        load=change(
            scenario.load,
            cost=(round(low * pace, DIGITS), round(high * pace, DIGITS)),
            rate=round(scenario.load.rate / pace, DIGITS),
        ),
        guarantees=change(
            scenario.guarantees,
            recovery_seconds=None if seconds is None else seconds * pace,
        ),
    )


def _client_options(scenario: Scenario, seed: int, tag: str) -> list[str]:
    """Return the options under which a client sends exactly the plan's jobs.

    The client draws costs from the seed by the same rule as `_jobs`, and numbers ids likewise.
    """
    load = scenario.load
    keys = ",".join(f"{key}={number}" for key, number in load.keys.items())
    return [
        f"--count={load.count}",
        f"--function={load.function}",
        f"--cost={load.cost[0]}..{load.cost[1]}",
        f"--seed={seed}",
        f"--rate={load.rate:g}",
        f"--group={DEFAULT_GROUP}",
        f"--id-prefix={prefix(scenario, seed, tag)}",
        *([f"--steps={load.steps}"] if load.steps else []),
        *([f"--keys={keys}"] if keys else []),
    ]


def _orders(scenario: Scenario, seed: int, tag: str) -> list[StrikeOrder]:
    found: list[StrikeOrder] = []
    for at, strike in enumerate(scenario.strikes):
        draws = _source(scenario, seed, f"strike {at}")
        found.extend(_expand(scenario, strike, prefix(scenario, seed, tag), draws))
    return [msgspec.structs.replace(order, strike=at) for at, order in enumerate(found)]


def _refuse(scenario: Scenario, place: Place) -> None:
    asked = {strike.fault for strike in scenario.strikes}
    able = can(place)
    wrong = [
        f"{scenario.name}: {place} cannot do {fault}; accepted: {', '.join(sorted(able))}"
        for fault in sorted(asked - able)
    ]
    lasting = {strike.fault for strike in scenario.strikes if strike.seconds}
    wrong += [
        f"{scenario.name}: {place} cannot do {fault} with seconds; accepted: none"
        for fault in sorted(lasting & able - can_last(place))
    ]
    if scenario.load.keys and not TRAITS[place].keys:
        able_to = ", ".join(one for one, traits in TRAITS.items() if traits.keys)
        wrong.append(f"{scenario.name}: {place} cannot do load.keys; accepted: {able_to}")
    if wrong:
        raise Mistake(*wrong)


def _source(scenario: Scenario, seed: int, what: str) -> random.Random:
    """A source of its own for each use, so that one more strike leaves the costs as they were."""
    return random.Random(f"{scenario.name}/{seed}/{what}")


def prefix(scenario: Scenario, seed: int, tag: str = "") -> str:
    """What the ids of the run's jobs begin with; the tokens of `docker/setup` allow `fleet-`."""
    return f"fleet-{scenario.name}-{seed}{tag}"


def _id(begin: str, number: int) -> str:
    """Ids sort in the order of their numbers: members without a steward take the oldest first."""
    return f"{begin}-{number:05d}"


def _jobs(scenario: Scenario, seed: int, tag: str) -> list[PlannedJob]:
    load = scenario.load
    low, high = load.cost
    keys = [key for key, number in load.keys.items() for _ in range(number)] or [""] * load.count
    chance = random.Random(seed)  # the client's own rule, so that `--seed` makes these costs there
    return [
        PlannedJob(
            id=_id(prefix(scenario, seed, tag), at + 1),
            at=round(at / load.rate, DIGITS) if load.rate else 0.0,
            function=load.function,
            cost=round(low + (high - low) * chance.random(), DIGITS),
            group=DEFAULT_GROUP,
            steps=load.steps,
            key=key,
        )
        for at, key in enumerate(keys)
    ]


def _expand(
    scenario: Scenario, strike: StrikeSpec, begin: str, draws: random.Random
) -> list[StrikeOrder]:
    """One order for each time that the strike is to be done."""
    when = strike.when
    job = when.job
    if job == 0:
        job = draws.randint(1, scenario.load.count)
    times = when.times if when.every is not None else when.attempts
    return [
        StrikeOrder(
            strike=0,
            fault=strike.fault,
            when=_at_time(when, job, number),
            job=_id(begin, job) if job else "",
            attempt=number if job else 0,
            seconds=round(strike.seconds or (strike.leases or 0) * scenario.fleet.lease, DIGITS),
            to=strike.to or 0,
            back=scenario.fleet.members,
            draw=round(draws.random(), 6),
        )
        for number in range(1, times + 1)
    ]


def _at_time(when: When, job: int | None, number: int) -> When:
    """The trigger of the `number`-th time: every 5 s becomes after 5, 10, 15 s."""
    if when.every is not None:
        return When(after=round(when.every * number, DIGITS))
    return msgspec.structs.replace(when, job=job, attempts=1)


def _planned(order: StrikeOrder) -> PlannedStrike:
    return PlannedStrike(
        strike=order.strike,
        fault=order.fault,
        trigger=trigger_words(order),
        target=_target(order),
        to=order.to if order.fault == "scale" else None,
    )


def trigger_words(order: StrikeOrder) -> str:
    """Return the trigger as a sentence's beginning."""
    when = order.when
    if order.job:
        again = f" in attempt {order.attempt}" if order.attempt > 1 else ""
        return f"when {order.job} is {when.part:.0%} done{again}"
    if when.done is not None:
        return f"when {when.done:.0%} of the jobs are done"
    return f"{when.after:g} s after the start"


def _target(order: StrikeOrder) -> str:
    if order.fault in AT_THE_FLEET:
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
