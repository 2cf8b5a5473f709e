"""What was lost, late, doubled, parked or done again, as far as the sources show. Pure."""

import math
from collections import defaultdict

from resonate_fleet.contract.journal import Ended, RunEnded
from resonate_fleet.report.evidence import JournalEntry
from resonate_fleet.report.facts import FINAL, Facts


def _gave_up(facts: Facts) -> bool:
    """Say whether chaos ended the run at its deadline with jobs unfinished."""
    return any(not entry.line.finished for entry in facts.evidence.of(RunEnded))


def parked(facts: Facts) -> set[str]:
    """Return the jobs that stood parked when the run had ended."""
    return {
        job.id
        for job in facts.jobs.values()
        if job.record and job.record.task and job.record.task.state == "halted"
    }


def lost(facts: Facts) -> list[str]:
    """Return confirmed jobs without an end: unknown to the server, or pending for good."""
    if facts.evidence.records is None:
        return []
    ended = ("unknown",) if _gave_up(facts) else ("unknown", "pending")
    aside = parked(facts)
    return [
        job.id
        for job in facts.jobs.values()
        if job.confirmed and job.id not in aside and job.state in ended
    ]


def late(facts: Facts) -> list[str]:
    """Return jobs that were still going on when the run was given up, or ended after that."""
    plan = facts.evidence.plan
    if facts.evidence.records is None:
        return []
    end = facts.began + plan.deadline + 1 if plan else math.inf
    aside, gave_up = parked(facts), _gave_up(facts)
    jobs = [job for job in facts.jobs.values() if job.id not in aside]
    return [
        job.id
        for job in jobs
        if (job.settled or 0) > end or (gave_up and job.confirmed and job.state == "pending")
    ]


def doubled(facts: Facts) -> dict[str, list[JournalEntry[Ended]]]:
    """Return the tasks that were brought to an end more than once, with the lines that say so."""
    ends: defaultdict[str, list[JournalEntry[Ended]]] = defaultdict(list)
    for entry in facts.evidence.of(Ended):
        if entry.line.outcome in FINAL:
            ends[entry.line.task].append(entry)
    return {task: final for task, final in ends.items() if len(final) > 1}


def redone_steps(facts: Facts) -> int:
    """Return how often a step began that had begun in an earlier attempt."""
    total = 0
    for job in facts.jobs.values():
        began = [step.promise for one in job.attempts for step in one.steps]
        total += len(began) - len(set(began))
    return total
