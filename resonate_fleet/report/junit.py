"""The verdict as JUnit XML: a test case a check's name, so that CI shows each finding."""

from xml.etree import ElementTree as ET

from resonate_fleet.contract.shown import clean
from resonate_fleet.report.findings import CATALOGUE, Finding
from resonate_fleet.report.verdict import Verdict

#: Findings of one name beyond this are counted, not printed.
SHOWN = 20


def junit(verdict: Verdict) -> bytes:
    """Return the document: a failure for each broken name, an error for each unproved one."""
    by_name: dict[str, list[Finding]] = {name: [] for name in CATALOGUE}
    for one in verdict.findings:
        by_name[one.name].append(one)
    broken = {name for name, found in by_name.items() if any(f.level == "broken" for f in found)}
    unproved = {name for name, found in by_name.items() if found} - broken
    suite = ET.Element(
        "testsuite",
        name=f"{verdict.scenario} seed {verdict.seed} on {verdict.place}",
        tests=str(len(by_name)),
        failures=str(len(broken)),
        errors=str(len(unproved)),
        time=f"{verdict.figures.makespan:.3f}",
    )
    for name, found in by_name.items():
        case = ET.SubElement(suite, "testcase", classname=f"run.{verdict.scenario}", name=name)
        if found:
            tag = "failure" if name in broken else "error"
            result = ET.SubElement(case, tag, message=clean(found[0].says), type=name)
            result.text = _text(found)
    document: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document


def _text(found: list[Finding]) -> str:
    lines = [clean(f"{one.says} ({', '.join(one.evidence)})") for one in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} more")
    return "\n".join(lines)
