"""What is built holds every file of the rooms, data files too, and nothing else."""

import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

from tests.support.processes import ROOT
from tests.support.services import need


def files(room: str) -> set[str]:
    """Return what belongs to a room here, by its path in the project."""
    found = (one for one in (ROOT / room).rglob("*") if one.is_file())
    return {
        str(one.relative_to(ROOT))
        for one in found
        if "__pycache__" not in one.relative_to(ROOT).parts
    }


def test_a_wheel_holds_the_rooms_with_their_data_and_nothing_else(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    need(uv is not None, "uv is not installed")
    command = [str(uv), "build", "--quiet", "--wheel", "--out-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("*.whl")
    held = {one for one in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in one}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rooms = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    here: set[str] = set().union(*(files(room) for room in rooms))
    forced = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert held == here | set(forced.values())
    kinds = {Path(one).suffix for one in held}
    assert {".py", ".toml", ".html", ".css", ".js"} <= kinds
