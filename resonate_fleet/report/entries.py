"""A journal line together with its place: what evidence points at."""

import msgspec

from resonate_fleet.contract.journal import Line


class JournalEntry[L: Line](msgspec.Struct, frozen=True):
    """A journal line and where it stands: `<file>:<line>`."""

    where: str
    line: L
