"""The lines that members write."""

from resonate_fleet.contract.journal.base import Line


class MemberStarted(Line, frozen=True, tag="member.started"):
    """A member begins, with the settings that matter to its share."""

    group: str
    slots: int
    #: Process id of the operating system, as seen inside its container.
    process: int
    #: Version of the worker image or package.
    version: str


class MemberReady(Line, frozen=True, tag="member.ready"):
    """Work can be done: the stream is open, a steward is there, or the server takes requests."""


class MemberStopped(Line, frozen=True, tag="member.stopped"):
    """The member ends in order; attempts by how they ended."""

    done: int
    failed: int
    handed_back: int
    lost: int


class DrainStep(Line, frozen=True, tag="drain.step"):
    """`step`: not-ready, intake-closed, finishing, handing-back, closed. `held`: leases then."""

    step: str
    held: int


class Claimed(Line, frozen=True, tag="job.claimed"):
    """A lease was granted. `attempt` is the task's version.

    `task` is the job's id, or that of a child of it which is a task of its own.
    """

    job: str
    task: str
    attempt: int
    function: str
    #: Seconds from the job's creation to this claim, by the server's clock and this one's.
    waited: float


class Ended(Line, frozen=True, tag="job.ended"):
    """An attempt is over.

    `outcome`: resolved, rejected, suspended (the server resumes it later), released (handed
    back), lost (the lease was gone; the body was stopped, nothing written), refused (the server
    refused the late write), unknown-function, cancelled.
    """

    job: str
    task: str
    attempt: int
    function: str
    outcome: str
    seconds: float
    error: str = ""


class StepBegan(Line, frozen=True, tag="step.began"):
    """A child of the job began to run here (`promise` is its id)."""

    job: str
    attempt: int
    promise: str


class StepEnded(Line, frozen=True, tag="step.ended"):
    """A child's result was checkpointed."""

    job: str
    attempt: int
    promise: str
    seconds: float


class ClaimRefused(Line, frozen=True, tag="claim.refused"):
    """Somebody else had the task first."""

    task: str
    version: int


class LeaseLost(Line, frozen=True, tag="lease.lost"):
    """`why`: lapsed, taken (someone else claimed it), halted, gone."""

    job: str
    task: str
    attempt: int
    why: str


class Retried(Line, frozen=True, tag="job.retried"):
    """The function raised and runs again in the same attempt, after `delay` seconds."""

    job: str
    function: str
    error: str
    delay: float


class ServerLost(Line, frozen=True, tag="server.lost"):
    """A request found no server; requests are repeated from now on."""

    why: str


class ServerBack(Line, frozen=True, tag="server.back"):
    """The server answers again, so many seconds after it was lost."""

    seconds: float
