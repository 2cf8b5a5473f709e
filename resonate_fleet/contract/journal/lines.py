"""The lines of a journal: a class for each action."""

from typing import Annotated

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="action", omit_defaults=False):
    """Fields of every line: `at` in Unix seconds and `who`, the name of the writing process."""

    at: float = 0.0
    who: str = ""


# Members.


class MemberStarted(Line, frozen=True, tag="member.started"):
    """A member starts."""

    group: str
    slots: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    #: Process id of the operating system, as seen inside its container.
    process: int
    #: Version of the worker image or package.
    version: str


class MemberReady(Line, frozen=True, tag="member.ready"):
    """Work can be done: the stream is open, a steward is there, or the server takes requests."""


class MemberStopped(Line, frozen=True, tag="member.stopped"):
    """The member ends in order; its attempts by outcome."""

    done: int
    failed: int
    handed_back: int
    lost: int


class DrainStep(Line, frozen=True, tag="drain.step"):
    """One of not-ready, intake-closed, finishing, handing-back, closed. `held`: leases then."""

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
    """An attempt is over, `seconds` after its claim and `writing` after the end of its body.

    `outcome`: resolved, rejected, suspended (the server resumes it later), released (handed back),
    lost (the lease was lost; the body was stopped, nothing written), refused (the server refused
    the late write), unknown-function, cancelled.
    """

    job: str
    task: str
    attempt: int
    function: str
    outcome: str
    seconds: float
    error: str = ""
    writing: float = 0.0


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


# Clients.


class ClientStarted(Line, frozen=True, tag="client.started"):
    """A client begins to submit `count` jobs."""

    group: str
    count: int
    seed: int | None


class Confirmed(Line, frozen=True, tag="job.confirmed"):
    """The server has the job. `new` is False if it had the id before this submission."""

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


# Stewards, and operators without one.


class StewardStarted(Line, frozen=True, tag="steward.started"):
    """Both its ports are open. `port` serves the pages, `presence_port` the members."""

    version: str
    port: int = 0
    presence_port: int = 0


class Joined(Line, frozen=True, tag="member.joined"):
    """A member opened its presence with the steward."""

    member: str
    group: str


class Left(Line, frozen=True, tag="member.left"):
    """A member said goodbye and closed its presence."""

    member: str


class Died(Line, frozen=True, tag="member.died"):
    """A member's presence ended without goodbye and did not come back in time.

    `tasks` holds `[task, version]` of every lease it held then.
    """

    member: str
    tasks: list[tuple[str, int]]


class HandedOver(Line, frozen=True, tag="lease.handed-over"):
    """A dead member's lease was released. `seconds` since its presence ended."""

    job: str
    task: str
    attempt: int
    member: str
    seconds: float


class FalseAlarm(Line, frozen=True, tag="member.false-alarm"):
    """A member that was taken for dead came back."""

    member: str


class Parked(Line, frozen=True, tag="job.parked"):
    """A job was parked (`task.halt`) after `crashes` crashes of the `members` that held it."""

    job: str
    task: str
    crashes: int
    members: list[str]


class Redriven(Line, frozen=True, tag="job.redriven"):
    """A parked job was put back to work by hand."""

    job: str


class Acted(Line, frozen=True, tag="jobs.acted"):
    """An act on jobs on the steward's page. `by`: the address that the request came from.

    `members`: the members to kill, one for each job; whoever started them does it.
    """

    act: str
    jobs: list[str]
    by: str
    members: list[str] = msgspec.field(default_factory=list)


# Chaos.


class RunStarted(Line, frozen=True, tag="run.started"):
    """Chaos begins a run."""

    scenario: str
    seed: int
    place: str


class StrikeDone(Line, frozen=True, tag="strike.done"):
    """A fault was done.

    A fault on one member was asked for at `asked` and had taken hold by `at`. For a fault on
    server, steward or all members the line is written just before it is done, without `asked`;
    `strike.healed` or `strike.missed` follows.

    `strike` numbers the plan's strikes from 0. `held`: `[task, version]` of each lease that the
    target held then, by the server. `answer`: the place's words. `job`: the job that triggered it,
    if any; `part`, 0 to 1, says how far it was, `done` how many jobs had ended. A replay strikes at
    the same point.
    """

    strike: int
    fault: str
    target: str
    job: str = ""
    held: list[tuple[str, int]] = msgspec.field(default_factory=list)
    answer: str = ""
    part: float = 0.0
    done: int = 0
    asked: float = 0.0


class StrikeMissed(Line, frozen=True, tag="strike.missed"):
    """A planned strike could not be done; `why` in one sentence."""

    strike: int
    fault: str
    why: str


class StrikeHealed(Line, frozen=True, tag="strike.healed"):
    """A strike is over: its effect was undone, or one on server, steward or all members was done.

    It was asked for at `asked` and done by `at`. `answer`: the place's words.
    """

    strike: int
    fault: str
    target: str
    answer: str = ""
    asked: float = 0.0


class RunEnded(Line, frozen=True, tag="run.ended"):
    """`finished`: every job ended before the deadline."""

    finished: bool
