"""What the scenario promises, beside what was found."""

import msgspec

from resonate_fleet.contract.run import Promises
from resonate_fleet.report.figures import Figures
from resonate_fleet.report.findings import Finding, found


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """One promise: at most `promised` (None: reported, not judged), and what was `found`."""

    promise: str
    promised: float | None
    found: float | None
    kept: bool


#: Field of `Promises`, the finding that breaking it makes (None: others name each case), words.
JUDGED = (
    ("lost", None, "jobs lost"),
    ("doubled", None, "results doubled"),
    ("parked", None, "jobs parked"),
    ("redone", "redone-too-often", "jobs done again"),
    ("redone_steps", "steps-redone", "steps done again"),
    ("recovery_seconds", "recovery-too-slow", "slowest recovery, s"),
    ("makespan_over_bound", "makespan-too-long", "makespan over bound"),
)


def kept(promises: Promises, figures: Figures) -> list[Promise]:
    """Return each promise beside its figure."""
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
        Promise(
            promise=words,
            promised=getattr(promises, name),
            found=figure[name],
            kept=_within(getattr(promises, name), figure[name]),
        )
        for name, _, words in JUDGED
    ]


def broken(promises: list[Promise]) -> list[Finding]:
    """Return a finding for each promise that is broken and that no other check names."""
    names = {words: name for _, name, words in JUDGED}
    return [
        found(
            names[one.promise] or "",
            f"{one.promise}: {one.found:g}, promised were at most {one.promised:g}",
            evidence=["plan.json"],
        )
        for one in promises
        if not one.kept
        and names[one.promise]
        and one.found is not None
        and one.promised is not None
    ]


def _within(promised: float | None, figure: float | None) -> bool:
    return promised is None or figure is None or figure <= promised
