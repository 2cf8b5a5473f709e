"""Times in which an answer of the server may have been lost on its way."""

from resonate_fleet.contract.journal import ServerBack, ServerLost
from resonate_fleet.contract.run import AT_THE_SERVER, FREEZING
from resonate_fleet.report.facts import Facts

#: A request may be under way this long before its sender notices anything, in seconds.
UNDER_WAY = 1.0


def outages(facts: Facts) -> list[tuple[float, float]]:
    """Return the times of restarts of the server, pauses, partitions and what members noticed."""
    times = [
        (strike.asked - UNDER_WAY, (strike.healed or strike.at) + UNDER_WAY)
        for strike in facts.strikes
        if strike.fault in (*AT_THE_SERVER, *FREEZING)
    ]
    backs = [(entry.line.who, entry.line.at) for entry in facts.evidence.of(ServerBack)]
    for entry in facts.evidence.of(ServerLost):
        back = [at for who, at in backs if who == entry.line.who and at >= entry.line.at]
        times.append((entry.line.at - UNDER_WAY, min(back, default=entry.line.at) + UNDER_WAY))
    return times
