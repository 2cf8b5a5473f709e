"""The server's word on what was written: it counts, whatever a member thought of its lease."""

from msgspec.structs import replace

from resonate_fleet.contract.jobs import result_of
from resonate_fleet.contract.journal import Rejected
from resonate_fleet.contract.run import Record
from resonate_fleet.contract.wire import Promise
from resonate_fleet.report.evidence import Evidence
from resonate_fleet.report.facts import FINAL, UNSURE, AttemptFacts, MemberFacts


def accepted(evidence: Evidence, records: list[Record]) -> dict[tuple[str, int], Promise]:
    """Return the settled promise of each task's last claim, but for those rejected by hand."""
    by_hand = {entry.line.job for entry in evidence.of(Rejected)}
    return {
        (one.promise.id, one.task.version): one.promise
        for one in records
        if one.task and one.promise.state in FINAL and one.promise.id not in by_hand
    }


def with_results(
    members: dict[str, MemberFacts], written: dict[tuple[str, int], Promise]
) -> dict[str, MemberFacts]:
    """Correct attempts that stand as lost although the server accepted what they wrote."""

    def corrected(one: AttemptFacts) -> AttemptFacts:
        promise = written.get((one.task, one.number))
        if promise is None or one.outcome not in UNSURE:
            return one
        result = result_of(promise)
        by = result.member if result else one.member
        return replace(one, outcome=promise.state) if by == one.member else one

    return {
        name: replace(member, attempts=[corrected(one) for one in member.attempts])
        for name, member in members.items()
    }
