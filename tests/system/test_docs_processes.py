"""The commands of the README that run on processes of this machine, as written."""

import subprocess

import pytest

from tests.support.docs_blocks import missing, run_by
from tests.support.processes import ROOT, clean_env

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

README = ROOT / "README.md"


def test_the_demo_prints_what_the_readme_shows() -> None:
    script, shown = run_by("test_docs_processes", README)
    # The other command passes the tests, of which this is one.
    demo, tests = script.text.splitlines()
    assert tests.startswith("uv run pytest ")
    done = subprocess.run(
        ["bash", "-euc", demo],
        cwd=ROOT,
        env=clean_env({"UV_NO_SYNC": "1"}),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in shown.text.splitlines():
        # Who comes first, and with how many jobs, is another matter each time.
        assert missing((line,), done.stdout) is None, f"{line!r} is not in:\n{done.stdout}"
