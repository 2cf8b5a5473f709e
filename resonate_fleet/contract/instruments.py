"""How a process declares its metrics: one table, from which code and documentation are made."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Instrument:
    """One metric family. `name` is the exported name without the `_total` of counters.

    `buckets` are upper bounds of a histogram in the unit that the name ends in.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def exported(self) -> tuple[str, ...]:
        """The series names as a scrape shows them."""
        suffixes = {
            "counter": ("_total",),
            "gauge": ("",),
            "histogram": ("_bucket", "_sum", "_count"),
            "info": ("_info",),
        }
        return tuple(self.name + suffix for suffix in suffixes[self.kind])
