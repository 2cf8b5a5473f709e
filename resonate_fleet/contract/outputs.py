"""Paths that a command line names, checked before anything runs."""

import os
from pathlib import Path

from resonate_fleet.contract.settings import Mistake


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
    """A program that is to be run."""

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
