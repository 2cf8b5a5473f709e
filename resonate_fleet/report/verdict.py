"""The verdict: guarantees, findings and figures of a run in one value, and its JSON Schema."""

from operator import attrgetter
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from resonate_fleet.contract import exits
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report import checks
from resonate_fleet.report.facts import Facts
from resonate_fleet.report.figures import Figures, figures_of
from resonate_fleet.report.findings import BY_TIMES, Finding, finding

Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]

#: Raised whenever a reader of an older verdict.json could misread a newer one.
VERSION: Final = 3

EXITS: Final = {"PASS": exits.OK, "FAIL": exits.BROKEN, "INCONCLUSIVE": exits.INCONCLUSIVE}
#: What stands before the word.
SIGNS: Final = {"PASS": "✔", "FAIL": "✘", "INCONCLUSIVE": "?"}
#: Field of `Guarantees`, its figure, words, and the finding that breaking it makes ("": other
#: checks name each case).
JUDGED: Final = (
    ("lost", "lost", "jobs lost", ""),
    ("doubled", "doubled", "results doubled", ""),
    ("parked", "parked", "jobs parked", "parked-unexpectedly"),
    ("redone", "redone_jobs", "jobs done again", "redone-too-often"),
    ("redone_steps", "redone_steps", "steps done again", "steps-redone"),
    ("recovery_seconds", "recovery.max", "slowest recovery, s", "recovery-too-slow"),
    ("makespan_over_bound", "makespan_over_bound", "makespan over bound", "makespan-too-long"),
)


class Guarantee(msgspec.Struct, frozen=True, kw_only=True):
    """One guarantee: at most `limit` (None: reported, not judged), and what was `found`."""

    guarantee: str
    limit: float | None
    found: float | None
    kept: bool


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All that the judge says of one run.

    FAIL where any finding is `broken`; else INCONCLUSIVE where there is any finding; else PASS.
    `began` in Unix seconds.
    """

    version: int = VERSION
    verdict: Word
    exit: int
    says: str
    scenario: str
    seed: int | None
    place: str
    server: str
    began: float
    guarantees: list[Guarantee]
    findings: list[Finding]
    figures: Figures


def judge(facts: Facts) -> Verdict:
    plan, records = facts.evidence.plan, facts.evidence.records
    figures = figures_of(facts)
    found = checks.run(facts)
    clocks_differ = any(one.name == "clock-nonsense" for one in found)
    void = BY_TIMES if clocks_differ else frozenset[str]()
    if plan is None:  # nobody knows how many were to be parked
        void |= {"parked-unexpectedly"}
    guarantees = _judged(facts.evidence.guarantees, figures, found, void)
    found = [replace(one, level="unproved") if one.name in void else one for one in found]
    found.sort(key=lambda one: one.level != "broken")
    word: Word = "PASS" if not found else "FAIL" if found[0].level == "broken" else "INCONCLUSIVE"
    return Verdict(
        verdict=word,
        exit=EXITS[word],
        says=_sentence(word, found, figures),
        scenario=plan.scenario if plan else "",
        seed=plan.seed if plan else None,
        place=plan.place if plan else "",
        server=records.server if records else "",
        began=facts.began,
        guarantees=guarantees,
        findings=found,
        figures=figures,
    )


def _judged(
    promised: Guarantees, figures: Figures, found: list[Finding], void: frozenset[str]
) -> list[Guarantee]:
    """Return each guarantee beside its figure; add what no check names to what was `found`.

    `void`: findings that prove nothing in this run; their guarantees are not judged.
    """
    judged: list[Guarantee] = []
    for field, figure, words, name in JUDGED:
        limit, value = getattr(promised, field), attrgetter(figure)(figures)
        kept = limit is None or value is None or value <= limit
        if name and not kept and all(one.name != name for one in found):
            found.append(finding(name, f"{words}: {value:g}, at most {limit:g}", "plan.json"))
        if name in void:
            limit, kept = None, True
        judged.append(Guarantee(guarantee=words, limit=limit, found=value, kept=kept))
    return judged


def _sentence(word: Word, found: list[Finding], figures: Figures) -> str:
    jobs = f"{figures.jobs_done} of {figures.jobs_planned or figures.jobs_confirmed} jobs done"
    if word == "PASS":
        aside = f", {figures.parked} parked" if figures.parked else ""
        return f"{jobs}{aside}, none lost or doubled; {counted(figures.strikes, 'strike')} survived"
    names = ", ".join(dict.fromkeys(one.name for one in found))
    return f"{jobs}; {counted(len(found), 'finding')}: {names}"


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The verdict on a run of the fleet",
        **msgspec.json.schema(Verdict),
    }


def document(value: object) -> str:
    """Return a verdict, or the schema, as its file holds it."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
