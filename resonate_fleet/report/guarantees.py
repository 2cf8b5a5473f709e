"""What the scenario guarantees, beside what was found."""

from operator import attrgetter

import msgspec

from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report.figures import Figures
from resonate_fleet.report.findings import BY_TIMES, Finding, finding


class Guarantee(msgspec.Struct, frozen=True, kw_only=True):
    """One guarantee: at most `limit` (None: reported, not judged), and what was `found`."""

    guarantee: str
    limit: float | None
    found: float | None
    kept: bool


#: Field of `Guarantees`, its figure, words, and the finding that breaking it makes ("": other
#: checks name each case).
JUDGED = (
    ("lost", "lost", "jobs lost", ""),
    ("doubled", "doubled", "results doubled", ""),
    ("parked", "parked", "jobs parked", ""),
    ("redone", "redone_jobs", "jobs done again", "redone-too-often"),
    ("redone_steps", "redone_steps", "steps done again", "steps-redone"),
    ("recovery_seconds", "recovery.max", "slowest recovery, s", "recovery-too-slow"),
    ("makespan_over_bound", "makespan_over_bound", "makespan over bound", "makespan-too-long"),
)


def kept(guarantees: Guarantees, figures: Figures) -> list[Guarantee]:
    """Return each guarantee beside its figure."""
    judged: list[Guarantee] = []
    for field, figure, words, _ in JUDGED:
        limit, value = getattr(guarantees, field), attrgetter(figure)(figures)
        within = limit is None or value is None or value <= limit
        judged.append(Guarantee(guarantee=words, limit=limit, found=value, kept=within))
    return judged


def without_times(guarantees: list[Guarantee]) -> list[Guarantee]:
    """Return the guarantees; those that rest on times are not judged."""
    replace = msgspec.structs.replace
    return [
        replace(one, limit=None, kept=True) if name in BY_TIMES else one
        for one, (*_, name) in zip(guarantees, JUDGED, strict=True)
    ]


def broken(guarantees: list[Guarantee]) -> list[Finding]:
    """Return a finding for each guarantee that is broken and that no other check names."""
    return [
        finding(name, f"{one.guarantee}: {one.found:g}, at most {one.limit:g}", "plan.json")
        for one, (*_, name) in zip(guarantees, JUDGED, strict=True)
        if name and not one.kept
    ]
