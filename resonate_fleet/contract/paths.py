"""Paths that a command line names, checked before anything is done, and how files are written."""

import os
from pathlib import Path
from tempfile import gettempdir

from resonate_fleet.contract.settings import Mistake


def write(file: Path, content: bytes) -> None:
    """Write a file; an error names it, also where the disk is full."""
    try:
        file.write_bytes(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None


def temporary() -> str:
    """Return the folder for temporary files.

    Raises:
        Mistake: there is none that can be written.
    """
    try:
        return gettempdir()
    except FileNotFoundError:
        says = "no folder for temporary files can be written; accepted: one that can, as TMPDIR"
        raise Mistake(says) from None


class NamedPath(Path):
    """A path that can be checked."""

    def check(self, option: str) -> None:
        """Check the path.

        Raises:
            Mistake: it is of no use for `option`.
        """

    def _unwritable(self, option: str, error: OSError, what: str) -> Mistake:
        accepted = f"a {what} that can be written"
        return Mistake(f"{option} is {str(self)!r}: {error.strerror}; accepted: {accepted}")


class Program(NamedPath):
    def check(self, option: str) -> None:
        if not (self.is_file() and os.access(self, os.X_OK)):
            raise Mistake(f"{option} is {str(self)!r}; accepted: a program that can be run")


class OutputFile(NamedPath):
    """A file to write. Its folder must exist."""

    def check(self, option: str) -> None:
        there = self.exists()
        try:
            self.open("ab").close()
            if not there:
                self.unlink()
        except OSError as error:
            raise self._unwritable(option, error, "file") from None


class OutputFolder(NamedPath):
    """A folder to write to. It need not exist: whatever writes to it makes it."""

    def check(self, option: str) -> None:
        there = next(one for one in (self, *self.absolute().parents) if one.exists())
        probe = there / ".fleet-can-write"
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise self._unwritable(option, error, "folder") from None
