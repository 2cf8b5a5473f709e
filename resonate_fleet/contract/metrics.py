"""What a scrape of a process gets: its instruments, made from their declarations.

Only what serves metrics imports this: the library takes its time.
"""

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.pages import Page

_CLASSES: Final[dict[str, Any]] = {
    "counter": Counter, "gauge": Gauge, "histogram": Histogram, "info": Info,
}  # fmt: skip


class Exporter:
    """Instruments of the library, by their names without `prefix`."""

    def __init__(self, prefix: str, instruments: Iterable[Instrument]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the series, for nothing
        self.registry = CollectorRegistry(auto_describe=False)
        self.made: dict[str, Any] = {}
        for one in instruments:
            labels = () if one.kind == "info" else one.labels
            more = {"buckets": one.buckets} if one.buckets else {}
            made = _CLASSES[one.kind](one.name, one.help, labels, registry=self.registry, **more)
            self.made[one.name.removeprefix(prefix)] = made

    def page(self, accept: str) -> Page:
        """Return the scrape; with exemplars where `accept` takes OpenMetrics."""
        encode, content_type = choose_encoder(accept)
        return Page(encode(self.registry), content_type=content_type)
