"""The client's metrics. Served only if CLIENT_PORT is set: most clients end at once."""

from typing import Final

from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.metrics import Exporter
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
        exporter = Exporter("fleet_client_", INSTRUMENTS)
        self.page, self._made = exporter.page, exporter.made

    def submitted(self, _: Job) -> None:
        self._made["jobs_submitted"].inc()

    def retried(self, _: Job, __: str) -> None:
        self._made["retries"].inc()

    def confirmed(self, confirmation: Confirmation) -> None:
        self._made["jobs_confirmed"].inc()
        self._made["submit_duration_seconds"].observe(confirmation.seconds)
