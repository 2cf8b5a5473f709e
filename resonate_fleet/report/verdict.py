"""The verdict: guarantees, findings and figures of a run in one value, and its JSON Schema."""

from typing import Any, Final, Literal

import msgspec

from resonate_fleet.contract import exits
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report import checks, guarantees
from resonate_fleet.report.facts import Facts
from resonate_fleet.report.figures import Figures, figures_of
from resonate_fleet.report.findings import BY_TIMES, Finding
from resonate_fleet.report.guarantees import Guarantee

Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]

#: Raised whenever a reader of an older verdict.json could misread a newer one.
VERSION: Final = 3

EXITS: Final[dict[Word, int]] = {
    "PASS": exits.OK,
    "FAIL": exits.BROKEN,
    "INCONCLUSIVE": exits.INCONCLUSIVE,
}


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
    judged = guarantees.kept(plan.guarantees if plan else Guarantees(), figures)
    found = [*checks.run(facts), *guarantees.broken(judged)]
    if any(one.name == "clock-nonsense" for one in found):
        judged, found = guarantees.without_times(judged), without_times(found)
    found.sort(key=lambda one: one.level != "broken")
    word = _word(found)
    return Verdict(
        verdict=word,
        exit=EXITS[word],
        says=_sentence(word, found, figures),
        scenario=plan.scenario if plan else "",
        seed=plan.seed if plan else None,
        place=plan.place if plan else "",
        server=records.server if records else "",
        began=facts.began,
        guarantees=judged,
        findings=found,
        figures=figures,
    )


def without_times(found: list[Finding]) -> list[Finding]:
    """Return the findings as they are where clocks disagree: times prove nothing."""
    replace = msgspec.structs.replace
    return [replace(one, level="unproved") if one.name in BY_TIMES else one for one in found]


def _word(found: list[Finding]) -> Word:
    if any(one.level == "broken" for one in found):
        return "FAIL"
    return "INCONCLUSIVE" if found else "PASS"


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
    made = msgspec.json.schema(Verdict)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The verdict on a run of the fleet",
        **made,
    }


def schema_text() -> str:
    """Return the schema as the file in docs/ holds it."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"
