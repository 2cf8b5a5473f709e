"""The verdict's file is what its published schema and the documentation say."""

import json
from pathlib import Path

import jsonschema
import pytest

from resonate_fleet.report.__main__ import main
from resonate_fleet.report.verdict import document, schema
from tests.support.runs import Blow, play
from tests.support.sabotage import SABOTAGES
from tools.docs import findings_text

DOCS = Path(__file__).parents[2] / "docs"


def test_the_published_schema_is_the_codes() -> None:
    assert (DOCS / "verdict.schema.json").read_text() == document(schema())


def test_the_documentation_lists_every_finding() -> None:
    assert findings_text() in (DOCS / "report.md").read_text()


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", [None, "worker_drops_a_result", "a_members_journal_is_missing"])
def test_verdicts_keep_to_the_schema(name: str | None, tmp_path: Path) -> None:
    run = play([Blow("kill", 6)], jobs=20)
    if name is not None:
        SABOTAGES[name][0](run)
    folder = run.write(tmp_path)
    main([str(tmp_path)])
    verdict = json.loads(folder.verdict.read_text())
    jsonschema.Draft202012Validator(schema()).validate(verdict)
    assert verdict["verdict"] in ("PASS", "FAIL", "INCONCLUSIVE")


def test_the_schema_refuses_what_is_no_verdict(tmp_path: Path) -> None:
    folder = play(jobs=3).write(tmp_path)
    main([str(tmp_path)])
    verdict = json.loads(folder.verdict.read_text())
    verdict["verdict"] = "FINE"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(verdict)
