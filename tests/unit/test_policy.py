"""The policy file: what it may say, and how mistakes are told."""

import pytest

from resonate_fleet.steward.policy import (
    Attributes,
    BadPolicy,
    GroupPolicy,
    Limit,
    attributes_of,
    parse,
    read,
)
from tests.support.processes import ROOT

GOOD = """
[groups.worker-group]
ageing = 30
alone = "wait"

[groups.worker-group.each-key]
running = 10

[groups.worker-group.keys.acme]
weight = 3
running = 2
rate = "600/m"
burst = 20

[groups.worker-group.functions.charge_card]
running = 5

[groups.other]
"""


def test_a_file_is_read() -> None:
    found = parse(GOOD, "policy.toml")
    assert found == {
        "worker-group": GroupPolicy(
            ageing=30,
            alone="wait",
            each_key=Limit(running=10),
            keys={"acme": Limit(weight=3, running=2, rate=10.0, burst=20)},
            functions={"charge_card": Limit(running=5)},
        ),
        "other": GroupPolicy(),
    }
    assert found["worker-group"].of_key("acme").weight == 3
    assert found["worker-group"].of_key("somebody").running == 10


def test_all_mistakes_are_told_at_once_with_their_lines() -> None:
    bad = """
[groups.worker-group]
ageing = 0
alone = "sometimes"
[groups.worker-group.keys.acme]
weigth = 3
running = 0
rate = "10 a second"
[groups.worker-group.functions]
charge_card = 5
[group.other]
"""
    with pytest.raises(BadPolicy) as refused:
        parse(bad, "policy.toml")
    lines = refused.value.lines
    told = {int(line.split(":")[1]): line for line in lines}
    for number, words in {
        3: "ageing is 0; accepted: a number from 0.001",
        4: "alone is 'sometimes'; accepted: wait, work",
        6: "weigth is not known (did you mean weight?)",
        7: "running is 0; accepted: a whole number from 1",
        8: "accepted: starts in a time, such as 10/s",
        10: "charge_card is 5; accepted: a table",
        11: "group is not known (did you mean groups?)",
    }.items():
        assert words in told[number]


@pytest.mark.parametrize("text", ["groups = 3", "[groups]\nworker-group = 1", "[[[", "\x00"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(BadPolicy):
        parse(text, "policy.toml")


def test_a_file_that_is_not_there_is_one_line() -> None:
    with pytest.raises(BadPolicy, match="no-such-file"):
        read(ROOT / "no-such-file.toml")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, Attributes(function="f")),
        (
            {"fleet:priority": "1", "fleet:key": "acme", "fleet:not-before": "17.5"},
            Attributes(1, "acme", "f", 17.5),
        ),
        ({"fleet:priority": "0"}, Attributes(function="f")),
        ({"fleet:priority": "urgent", "fleet:not-before": "soon"}, Attributes(function="f")),
        ({"fleet:priority": "²", "fleet:not-before": "nan"}, Attributes(function="f")),
        ({"fleet:priority": "1" * 5000, "fleet:not-before": "1" * 5000}, Attributes(function="f")),
        ({"fleet:priority": "\u0661", "fleet:key": ""}, Attributes(function="f")),
        ({"fleet:not-before": "-5"}, Attributes(function="f")),
        ({"fleet:not-before": "inf"}, Attributes(function="f")),
        ({"fleet:not-before": "1e300"}, Attributes(function="f", not_before=253_402_300_800.0)),
    ],
)
def test_tags_say_where_a_job_stands(tags: dict[str, str], expected: Attributes) -> None:
    assert attributes_of(tags, "f") == expected


@pytest.mark.parametrize("rate", ["0/s", "0.0/h", "-1/s", f"{'9' * 400}/s", "1/d", "/s", ""])
def test_a_rate_without_starts_or_without_end_is_refused(rate: str) -> None:
    with pytest.raises(BadPolicy, match=r"policy\.toml:2: .*accepted: starts in a time"):
        parse(f'[groups.g.each-key]\nrate = "{rate}"', "policy.toml")
