"""The checks: each is a pure function from facts, and what is missing of them, to findings."""

from resonate_fleet.report.checks import claims, jobs, leases, sources, strikes
from resonate_fleet.report.facts import Facts
from resonate_fleet.report.findings import Finding

CHECKS = (*sources.CHECKS, *jobs.CHECKS, *claims.CHECKS, *leases.CHECKS, *strikes.CHECKS)


def run(facts: Facts) -> list[Finding]:
    """Run every check; broken promises come first, each kind in the order of the checks."""
    found = [one for check in CHECKS for one in check(facts)]
    return sorted(found, key=lambda one: one.level != "broken")
