"""The figures of each strike: what it interrupted and how soon that was taken up again. Pure."""

from typing import Literal

import msgspec

from resonate_fleet.report.facts import Facts, StrikeFacts
from resonate_fleet.report.recoveries import Recovery

Against = Literal["sooner", "as predicted", "later"]
#: Written times are this exact, in seconds.
EXACT = 0.01


class StrikeFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One strike: what it interrupted, and its slowest recovery beside the prediction.

    `at` is in seconds from the start of the run. `seconds` is None where nothing had to be taken
    up again. The prediction is that of the slowest one, `predicted_high` with its `wait` for the
    first free slot.
    """

    strike: int
    fault: str
    target: str
    at: float
    held: int
    interrupted: int
    seconds: float | None = None
    predicted_low: float | None = None
    predicted_high: float | None = None
    way: str = ""
    #: The measured time against the prediction.
    against: Against | None = None


def strike_figures(facts: Facts, found: list[Recovery]) -> list[StrikeFigure]:
    """Return a figure for each strike that was done, in time order."""
    return [_figure(facts, strike, found) for strike in facts.strikes]


def _figure(facts: Facts, strike: StrikeFacts, found: list[Recovery]) -> StrikeFigure:
    mine = [one for one in found if (one.strike, one.cause) == (strike.number, strike.fault)]
    if strike.target in facts.members:
        mine = [one for one in mine if one.member == strike.target]
    figure = StrikeFigure(
        strike=strike.number,
        fault=strike.fault,
        target=strike.target,
        at=round(strike.at - facts.began, 3),
        held=len(strike.held),
        interrupted=len(mine),
    )
    slowest = max(mine, key=lambda one: one.seconds or 0.0, default=None)
    if slowest is None or slowest.seconds is None:
        return figure
    return msgspec.structs.replace(
        figure,
        seconds=round(slowest.seconds, 3),
        predicted_low=round(slowest.low, 3),
        predicted_high=round(slowest.high, 3),
        way=slowest.way,
        against=_against(slowest.seconds, slowest.low, slowest.high),
    )


def _against(seconds: float, low: float, high: float) -> Against:
    if seconds > high + EXACT:
        return "later"
    return "sooner" if seconds < low - EXACT else "as predicted"
