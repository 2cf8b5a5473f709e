"""A plan in words, for people."""

from resonate_fleet.chaos.plan import Script
from resonate_fleet.contract.run import Plan


def plan_lines(script: Script) -> list[str]:
    """Return the plan as lines: fleet, load, strikes, promises."""
    plan = script.plan
    lines = [
        f"scenario {plan.scenario} on {plan.place}, seed {plan.seed}",
        _fleet(plan),
        _load(plan),
    ]
    for number, order in enumerate(plan.strikes):
        lines.append(f"  strike {number}  {order.fault:<15} {order.trigger}: {order.target}")
    if not plan.strikes:
        lines.append("  no strikes")
    lines.append(f"  promises {_guarantees(plan)}")
    return lines


def _fleet(plan: Plan) -> str:
    steward = "a steward" if plan.stewards == 1 else f"{plan.stewards} stewards"
    steward = steward if plan.steward else "no steward"
    slots = "1 slot" if plan.slots == 1 else f"{plan.slots} slots"
    return f"  fleet    {plan.members} members, {slots} each, lease {plan.lease:g} s, {steward}"


def _load(plan: Plan) -> str:
    jobs = plan.jobs
    costs = [job.cost for job in jobs]
    return (
        f"  load     {len(jobs)} {jobs[0].function} of {min(costs):g} to {max(costs):g} s "
        f"({sum(costs):.1f} s of work), over {jobs[-1].at:g} s, {jobs[0].id} to {jobs[-1].id}"
    )


def _guarantees(plan: Plan) -> str:
    promises = plan.guarantees
    numbers = {
        "redone": promises.redone,
        "redone steps": promises.redone_steps,
        "parked": promises.parked or None,
        "seconds of recovery": promises.recovery_seconds,
        "makespan over bound": promises.makespan_over_bound,
    }
    most = [f"{name} at most {value:g}" for name, value in numbers.items() if value is not None]
    return ", ".join(["nothing lost", "nothing doubled", *most])
