"""The real server's metric families."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from resonate_fleet.contract.instruments import Instrument

#: Upper bounds in seconds; server v0.9.8 uses its library's defaults, which are these.
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS: Final = Instrument(
    "resonate_request", "counter", "Requests answered.", ("kind", "status")
)
DURATION: Final = Instrument(
    "resonate_request_duration_seconds",
    "histogram",
    "Time to answer a request, in seconds.",
    ("kind",),
    _BUCKETS,
)
MESSAGES: Final = Instrument(
    "resonate_messages", "counter", "Messages taken off the queue.", ("kind",)
)
DELIVERIES: Final = Instrument(
    "resonate_deliveries", "counter", "Deliveries by HTTP push; there are none here.", ("status",)
)
SCHEDULED: Final = Instrument("resonate_schedule_promises", "counter", "Runs of schedules.")

INSTRUMENTS: Final = (REQUESTS, DURATION, MESSAGES, DELIVERIES, SCHEDULED)


class ServerMetrics:
    """The families of one server, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the real server has no `_created` series
        self._registry = CollectorRegistry()
        self.requests, self.messages, self.deliveries, self.scheduled = (
            Counter(one.name, one.help, one.labels, registry=self._registry)
            for one in (REQUESTS, MESSAGES, DELIVERIES, SCHEDULED)
        )
        named = DURATION.name, DURATION.help, DURATION.labels
        self.duration = Histogram(*named, buckets=DURATION.buckets, registry=self._registry)

    def page(self) -> bytes:
        return generate_latest(self._registry)
