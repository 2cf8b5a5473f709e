"""Shares of keys while jobs of all keys waited."""

from types import SimpleNamespace
from typing import Any, cast

from resonate_fleet.report.facts import Facts
from resonate_fleet.report.figures import key_shares


def facts(*jobs: tuple[str, float, float]) -> Facts:
    """Return what `key_shares` reads of jobs: their key, creation, and start."""
    made: dict[str, Any] = {
        str(number): SimpleNamespace(
            planned=SimpleNamespace(key=key),
            created=created,
            attempts=[SimpleNamespace(began=began)],
            waited=began - created,
        )
        for number, (key, created, began) in enumerate(jobs)
    }
    return cast("Facts", SimpleNamespace(jobs=made))


def test_shares_count_while_all_keys_wait() -> None:
    noisy = [("noisy", 0.0, float(at)) for at in (1, 2, 4, 6, 8, 9, 10)]
    quiet = [("quiet", 2.5, float(at)) for at in (3, 5, 7)]
    one, two = key_shares(facts(*noisy, *quiet))
    assert (one.key, one.jobs, one.starts, one.share) == ("noisy", 7, 2, 0.4)
    assert (two.key, two.jobs, two.starts, two.share) == ("quiet", 3, 3, 0.6)
    assert (two.median, two.longest) == (2.5, 4.5)


def test_jobs_without_keys_have_no_shares() -> None:
    assert key_shares(facts(("", 0.0, 1.0))) == []
