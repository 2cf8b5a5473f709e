"""What the scenario guarantees, beside what was found."""

import msgspec

from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report.figures import Figures
from resonate_fleet.report.findings import Finding, found


class Guarantee(msgspec.Struct, frozen=True, kw_only=True):
    """One guarantee: at most `limit` (None: reported, not judged), and what was `found`."""

    guarantee: str
    limit: float | None
    found: float | None
    kept: bool


#: Field of `Guarantees`, the finding that breaking it makes (None: others name each case), words.
JUDGED = (
    ("lost", None, "jobs lost"),
    ("doubled", None, "results doubled"),
    ("parked", None, "jobs parked"),
    ("redone", "redone-too-often", "jobs done again"),
    ("redone_steps", "steps-redone", "steps done again"),
    ("recovery_seconds", "recovery-too-slow", "slowest recovery, s"),
    ("makespan_over_bound", "makespan-too-long", "makespan over bound"),
)


def kept(guarantees: Guarantees, figures: Figures) -> list[Guarantee]:
    """Return each guarantee beside its figure."""
    figure: dict[str, float | None] = {
        "lost": figures.lost,
        "doubled": figures.doubled,
        "parked": figures.parked,
        "redone": figures.redone_jobs,
        "redone_steps": figures.redone_steps,
        "recovery_seconds": figures.recovery.max,
        "makespan_over_bound": figures.makespan_over_bound,
    }
    return [
        Guarantee(
            guarantee=words,
            limit=getattr(guarantees, name),
            found=figure[name],
            kept=_within(getattr(guarantees, name), figure[name]),
        )
        for name, _, words in JUDGED
    ]


def broken(guarantees: list[Guarantee]) -> list[Finding]:
    """Return a finding for each guarantee that is broken and that no other check names."""
    names = {words: name for _, name, words in JUDGED}
    return [
        found(
            names[one.guarantee] or "",
            f"{one.guarantee}: {one.found:g}, limit were at most {one.limit:g}",
            evidence=["plan.json"],
        )
        for one in guarantees
        if not one.kept and names[one.guarantee] and one.found is not None and one.limit is not None
    ]


def _within(limit: float | None, figure: float | None) -> bool:
    return limit is None or figure is None or figure <= limit
