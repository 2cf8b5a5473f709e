"""The findings that a check can make: every name, what it means, and what it does to the verdict.

A finding is `broken` where a guarantee of the fleet is shown to be broken or two sources contradict
each other, and `unproved` where the run cannot show that the guarantees were kept.
"""

from typing import Final, Literal

import msgspec

Level = Literal["broken", "unproved"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found. `evidence` names places: `<journal file>:<line>`, `server.json#<id>`."""

    name: str
    level: Level
    says: str
    evidence: list[str] = []


#: Name: level, what it means. docs/report.md is made from this (tools/docs.py).
CATALOGUE: Final[dict[str, tuple[Level, str]]] = {
    # Jobs.
    "lost-job": ("broken", "A job that the server confirmed to its client has no result."),
    "missing-promise": (
        "broken",
        "The server confirmed a job to its client and does not know it now.",
    ),
    "late-job": ("broken", "A job had not ended when the run's deadline came."),
    "timed-out-job": ("broken", "The job's promise ran out of time before it had a result."),
    "rejected-job": ("broken", "A job ended with an error instead of a result."),
    "parked-unexpectedly": ("broken", "More jobs were parked than the scenario expects."),
    "forgotten-by-client": ("broken", "The server has a job that its client never confirmed."),
    "unsent-job": ("unproved", "A planned job was neither confirmed nor seen by the server."),
    "unplanned-job": ("unproved", "The server has a job of this run that nobody planned."),
    # Results.
    "double-result": ("broken", "Two attempts of one job claim to have brought its result."),
    "dropped-result": ("broken", "A member says it brought a result that the server never took."),
    "result-disagrees": ("broken", "The result on the server is not the one that was asked for."),
    "result-without-claim": ("broken", "A result comes from a member that had no claim."),
    "unrecorded-result": ("broken", "The server has a result that no member says it brought."),
    "step-checkpointed-twice": ("broken", "A step with a stored result was run again."),
    "work-skipped": ("broken", "A result came in less time than the work takes."),
    # Claims and leases.
    "claimed-twice": ("broken", "The same claim of a job was granted twice."),
    "claim-count-disagrees": ("broken", "Members wrote down claims that the server never counted."),
    "unrecorded-claim": ("broken", "The server counted a claim that no member wrote down."),
    "attempt-without-end": ("broken", "A living member began an attempt and says nothing more."),
    "end-without-claim": ("broken", "A member ended an attempt that it never claimed."),
    "lease-ignored": ("broken", "A member went on with a job that had gone to somebody else."),
    "unexplained-lapse": ("broken", "A lease ran out under a member that nothing had struck."),
    "unexplained-death": ("broken", "A member died, or was taken for dead, without a strike."),
    # Strikes.
    "strike-without-effect": (
        "broken",
        "Chaos says that it struck, and its target went on as before.",
    ),
    "strike-proof-disagrees": ("broken", "The target did not hold what chaos says it held."),
    "strike-hit-nothing": ("unproved", "A strike hit no held lease: nothing was put to the test."),
    "nothing-recovered": ("unproved", "A recovery time is guaranteed, and nothing was recovered."),
    "strike-not-healed": (
        "unproved",
        "Chaos says that it healed its target, which was not heard again.",
    ),
    "strike-missed": ("unproved", "A planned strike could not be done."),
    "strike-not-done": ("unproved", "Chaos says nothing at all of a planned strike."),
    "strike-unplanned": ("unproved", "Chaos did a strike that the plan does not have."),
    # Sources.
    "missing-source": ("unproved", "A journal or record that must be there is not."),
    "journal-cut": ("unproved", "A journal has a broken line, or ends before its process did."),
    "clock-nonsense": ("unproved", "Times contradict each other, so seconds cannot be judged."),
    "idle-member": ("unproved", "A member did no work although there was some."),
    # What the scenario guarantees beyond that.
    "redone-too-often": ("broken", "More jobs were done again than the scenario allows."),
    "steps-redone": ("broken", "More steps were done again than the scenario allows."),
    "recovery-too-slow": ("broken", "A struck job was claimed again later than guaranteed."),
    "makespan-too-long": ("broken", "The run took longer, against the bound, than guaranteed."),
}


#: Findings that rest on the times of several sources.
BY_TIMES: Final = frozenset(
    {
        "late-job",
        "lease-ignored",
        "unexplained-lapse",
        "unexplained-death",
        "strike-without-effect",
        "strike-proof-disagrees",
        "recovery-too-slow",
        "makespan-too-long",
    }
)


def finding(name: str, says: str, *evidence: str | None, incomplete: bool = False) -> Finding:
    """Make a finding of the catalogue.

    `incomplete`: a source that could have explained it is missing, so that it proves nothing.
    """
    level: Level = "unproved" if incomplete else CATALOGUE[name][0]
    return Finding(name=name, level=level, says=says, evidence=[one for one in evidence if one])
