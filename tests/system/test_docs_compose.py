"""Every command of docs/containers.md, and those of the README about containers, as written.

The documents' blocks are run in their order, in a clone made under a umask that closes it to
everybody else, as a Compose project of its own on free ports. What a command prints is compared as
far as it is the same each time.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.compose import ROOT, Stack, build_images, docker, need_containers
from tests.support.docs_blocks import Block, Command, missing, run_by

pytestmark = [
    pytest.mark.containers,
    pytest.mark.system,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("compose-docs"),
]

DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "containers.md")
#: Its module goes into the image with functions of one's own.
FUNCTIONS = ROOT / "docs" / "your-own-functions.md"
SHELL = ["bash", "-euo", "pipefail", "-c"]


class Reader:
    """Somebody who does what the documents say, in a clone of their own."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.folder = folder
        self._env = stack.env(UV_NO_SYNC="1", UV_PROJECT_ENVIRONMENT=str(ROOT / ".venv"))
        del self._env["COMPOSE_FILE"]  # what `docker/setup` writes is to count
        self._clone()

    def _clone(self) -> None:
        files = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout.split(b"\0")
        before = os.umask(0o077)
        try:
            for name in filter(None, map(os.fsdecode, files)):
                self._copy(ROOT / name, self.folder / name)
            (module,) = run_by("test_docs_compose", FUNCTIONS)
            mine = self.folder / "my-functions"
            mine.mkdir()
            (mine / "thumbnails.py").write_text(module.text, encoding="utf-8")
        finally:
            os.umask(before)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        if not source.is_file():  # deleted, and not committed yet
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o700 if os.access(source, os.X_OK) else 0o600)

    def does(self, command: Command) -> None:
        done = subprocess.run(
            [*SHELL, command.line],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        said = f"{command.line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == 0, said
        lacking = missing(command.prints, done.stdout)
        assert lacking is None, f"{lacking!r} was not printed by {said}"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    need_containers()
    build_images()
    with Stack() as stack:
        yield Reader(tmp_path_factory.mktemp("clone"), stack)
        docker("image", "rm", "--force", "my-fleet/worker:1")


def as_parameter(block: Block) -> object:
    marks = [pytest.mark.real] if block.needs == "with a real server" else []
    return pytest.param(block, id=block.where, marks=marks)


BLOCKS = [as_parameter(one) for one in run_by("test_docs_compose", *DOCUMENTS)]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_does_what_it_says(reader: Reader, block: Block) -> None:
    if block.language == "dockerfile":
        (reader.folder / "my-functions" / "Dockerfile").write_text(block.text, encoding="utf-8")
        return
    for command in block.commands:
        reader.does(command)
