"""Functions that run as many bodies in this member as they may."""

from collections.abc import Mapping

from resonate_fleet.member.attempts import Attempt, Table


class Limits:
    """`most` bounds the attempts of a function, by its label: its name, `@version` past the first.

    Safe to use from any thread.
    """

    def __init__(self, most: Mapping[str, int], table: Table) -> None:
        self._most = most
        self._table = table

    def refuse(self, attempt: Attempt) -> str:
        """Return why an attempt that is not in the table yet must not run, "" where it may."""
        most = self._most.get(attempt.label)
        if most is None or self._running(attempt.label) < most:
            return ""
        return f"{most} of {attempt.label!r} run here already"

    def full(self) -> list[str]:
        """Return the labels of the functions of which no more may begin."""
        return [label for label, most in self._most.items() if self._running(label) >= most]

    def _running(self, label: str) -> int:
        return sum(one.label == label for one in self._table.held())
