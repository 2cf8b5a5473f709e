"""The client's metrics. Served only if CLIENT_PORT is set: most clients end at once."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder

from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.pages import Page
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.submit import Confirmation, Observer

INSTRUMENTS: Final = (
    Instrument("fleet_client_jobs_submitted", "counter", "Jobs that were sent, confirmed or not."),
    Instrument(
        "fleet_client_jobs_confirmed", "counter", "Jobs that the server has confirmed to have."
    ),
    Instrument("fleet_client_retries", "counter", "Tries after the first, over all jobs."),
    Instrument(
        "fleet_client_submit_duration_seconds",
        "histogram",
        "From the first try of a job to its confirmation.",
        buckets=(0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    ),
)


class SubmissionMetrics(Observer):
    """Counts what submission does."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        submitted, confirmed, retries, duration = INSTRUMENTS
        self._submitted = Counter(submitted.name, submitted.help, registry=self._registry)
        self._confirmed = Counter(confirmed.name, confirmed.help, registry=self._registry)
        self._retries = Counter(retries.name, retries.help, registry=self._registry)
        self._duration = Histogram(
            duration.name, duration.help, registry=self._registry, buckets=duration.buckets
        )

    def submitted(self, _: Job) -> None:
        self._submitted.inc()

    def retried(self, _: Job, __: str) -> None:
        self._retries.inc()

    def confirmed(self, confirmation: Confirmation) -> None:
        self._confirmed.inc()
        self._duration.observe(confirmation.seconds)

    def page(self, accept: str) -> Page:
        """Return the metrics in the format that `accept` asks for."""
        encode, content_type = choose_encoder(accept)
        return Page(encode(self._registry), content_type=content_type)
