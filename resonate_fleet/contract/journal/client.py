"""The lines that clients write."""

from resonate_fleet.contract.journal.base import Line


class ClientStarted(Line, frozen=True, tag="client.started"):
    """A client begins to submit `count` jobs."""

    group: str
    count: int
    seed: int | None


class Confirmed(Line, frozen=True, tag="job.confirmed"):
    """The server has the job. `new` is False where it had the id before this submission."""

    job: str
    group: str
    function: str
    #: The job's nominal cost in seconds, where the function has one.
    cost: float | None
    new: bool


class ClientEnded(Line, frozen=True, tag="client.ended"):
    """The client ends; what is unconfirmed may or may not exist on the server."""

    confirmed: int
    unconfirmed: int
