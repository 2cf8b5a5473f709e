"""The real server's metric families."""

from typing import Final

from resonate_fleet.contract.instruments import Instrument

#: Upper bounds in seconds; server v0.9.8 uses its library's defaults, which are these.
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

INSTRUMENTS: Final = (
    Instrument("resonate_request", "counter", "Requests answered.", ("kind", "status")),
    Instrument(
        "resonate_request_duration_seconds",
        "histogram",
        "Time to answer a request, in seconds.",
        ("kind",),
        _BUCKETS,
    ),
    Instrument("resonate_messages", "counter", "Messages taken off the queue.", ("kind",)),
    Instrument(
        "resonate_deliveries",
        "counter",
        "Deliveries by HTTP push; there are none here.",
        ("status",),
    ),
    Instrument("resonate_schedule_promises", "counter", "Runs of schedules."),
)
