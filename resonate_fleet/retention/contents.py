"""What a store holds: its size, and its jobs by state and age."""

from dataclasses import dataclass
from typing import Final

from resonate_fleet.retention.database import Database, Size

DAY: Final = 86_400_000
#: Upper bounds of the age classes, in days, and the name of the last one.
AGES: Final = {"1 day": 1, "7 days": 7, "30 days": 30, "90 days": 90}
OLDER: Final = "older"


@dataclass(frozen=True)
class StoreContents:
    """`promises` and `tasks` count by state; `ages` the settled promises by age and state."""

    size: Size
    promises: dict[str, int]
    tasks: dict[str, int]
    ages: dict[str, dict[str, int]]
    schedules: int


def contents(database: Database, now: int) -> StoreContents:
    """Read the whole store once. `now` is in Unix milliseconds."""
    cases = " ".join(
        f"WHEN settled_at >= {now - days * DAY} THEN '{name}'" for name, days in AGES.items()
    )
    ages: dict[str, dict[str, int]] = {name: {} for name in (*AGES, OLDER)}
    promises: dict[str, int] = {}
    for age, state, count in database.rows(
        f"SELECT CASE {cases} ELSE '{OLDER}' END, state, count(*) FROM promises GROUP BY 1, 2"
    ):
        promises[state] = promises.get(state, 0) + count
        if state != "pending":
            ages[age][state] = count
    tasks = {
        str(state): int(count)
        for state, count in database.rows("SELECT state, count(*) FROM tasks GROUP BY state")
    }
    schedules = database.rows("SELECT count(*) FROM schedules")[0][0]
    return StoreContents(database.size(), promises, tasks, ages, schedules)
