"""The policy file: what it may say, and how mistakes are told."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from resonate_fleet.contract.settings import Mistake, load
from resonate_fleet.steward.life import policies_of
from resonate_fleet.steward.policy import (
    Attributes,
    GroupPolicy,
    Limit,
    attributes_of,
    notes,
    parse,
)
from resonate_fleet.steward.settings import StewardSettings
from tests.support.processes import ROOT


def read(file: Path) -> dict[str, GroupPolicy]:
    return policies_of(load(StewardSettings, {"STEWARD_POLICY": str(file)}))


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
    with pytest.raises(Mistake) as refused:
        parse(bad, "policy.toml")
    lines = refused.value.lines
    told = {int(line.split(":")[1]): line for line in lines}
    for number, words in {
        3: "ageing is 0; accepted: a number from 0.001",
        4: "alone is 'sometimes'; accepted: `wait`, `work`",
        6: "weigth is not known (did you mean weight?)",
        7: "running is 0; accepted: a whole number from 1",
        8: "accepted: starts in a time, such as 10/s",
        10: "charge_card is 5; accepted: a table",
        11: "group is not known (did you mean groups?)",
    }.items():
        assert words in told[number]


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("groups.g.keys.'a b'", 2),
        ('groups.g.keys."bob@example.com"', 2),
        (' groups . g . keys."\u00fc.]#" ', 2),
        ("groups.g.keys.plain", 2),
    ],
)
def test_a_key_of_any_name_has_its_line(table: str, line: int) -> None:
    with pytest.raises(Mistake, match=rf"^policy\.toml:{line}: .*running is 0"):
        parse(f"[{table}]\nrunning = 0", "policy.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[groups.g.each-key]\nburst = 3", "2: groups.g.each-key.burst is 3; accepted: a burst"),
        ("[groups.g.functions.'f@2']\nrunning = 1", "1: .*a limit counts all its versions"),
        ("[groups.Worker_Group]", "1: groups.Worker_Group is 'Worker_Group'; accepted: a group"),
        ('[groups.g]\nalone = "wait\\n"', "2: .*accepted: `wait`, `work`"),
        ('[groups.g.each-key]\nrate = "1/s\\n"', "2: .*accepted: starts in a time"),
        ('[groups.g.each-key]\nrate = "\u0663/s"', "2: .*accepted: starts in a time"),
        ("a = " + "[" * 5000, " it nests too deep"),
        ("a = " + "9" * 5000, " Exceeds the limit"),
    ],
)
def test_a_mistake_that_would_do_nothing_or_end_the_steward_is_told(text: str, says: str) -> None:
    with pytest.raises(Mistake, match=rf"^policy\.toml:{says}"):
        parse(text, "policy.toml")


@pytest.mark.parametrize(
    "bytes_", [b"", b"\xef\xbb\xbf[groups.g]", b"[groups.g]\r\nageing = 3\r\n"]
)
def test_files_of_any_editor_are_read(tmp_path: Path, bytes_: bytes) -> None:
    file = tmp_path / "policy.toml"
    file.write_bytes(bytes_)
    assert set(read(file)) == ({"g"} if bytes_ else set())


@pytest.mark.parametrize("bytes_", [None, b"[groups.g]\nalone = '\xe9'"])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, bytes_: bytes | None) -> None:
    file = tmp_path / "policy.toml"
    if bytes_ is None:
        file.mkdir()
    else:
        file.write_bytes(bytes_)
    with pytest.raises(Mistake, match=r"accepted: a TOML file that can be read"):
        read(file)


@pytest.mark.parametrize("is_set", [False, True])
def test_only_a_policy_that_is_set_is_logged(tmp_path: Path, *, is_set: bool) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("[groups.g]\n")
    settings = load(StewardSettings, {"STEWARD_POLICY": str(file)} if is_set else {})
    with capture_logs() as logs:
        policies = policies_of(settings)
    assert list(policies) == [name for one in logs for name in one["groups"]] == ["g"] * is_set
    assert len(logs) == is_set


DAY = 86_400.0


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({}, []),
        ({"fleet:priority": "3", "fleet:key": "", "fleet:not-before": "17"}, []),
        ({"fleet:priority": "3.0"}, ["fleet:priority counts as not given; accepted: 1 to 5"]),
        ({"fleet:not-before": "soon"}, ["fleet:not-before counts as not given; accepted: Unix"]),
        ({"fleet:not-before": "1970-01-01T12:00+01:00"}, []),
        ({"fleet:not-before": "1970-01-02"}, ["it times out before its time comes"]),
        ({"fleet:not-before": "20271231"}, ["it times out before its time comes"]),
        ({"fleet:not-before": "20271331"}, ["fleet:not-before counts as not given"]),
        ({"fleet:not-before": "1" * 300}, ["it times out before its time comes"]),
        ({"fleet:not-before": "1e300"}, ["fleet:not-before counts as not given"]),
    ],
)
def test_a_job_says_which_of_its_tags_do_not_count(tags: dict[str, str], says: list[str]) -> None:
    told = notes(tags, DAY, has_policy=True)
    assert [one[: len(words)] for one, words in zip(told, says, strict=True)] == says
    without = notes(tags, DAY, has_policy=False)
    assert without == (
        [f"its group has no policy, so that these do not count: {', '.join(tags)}"] * bool(tags)
    )


@pytest.mark.parametrize("text", ["groups = 3", "[groups]\nworker-group = 1", "[[[", "\x00"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(Mistake):
        parse(text, "policy.toml")


def test_a_file_that_is_not_there_is_one_line() -> None:
    with pytest.raises(Mistake, match="no-such-file"):
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
        ({"fleet:not-before": "1970-01-02"}, Attributes(function="f", not_before=86_400.0)),
        ({"fleet:not-before": "19700102"}, Attributes(function="f", not_before=86_400.0)),
        ({"fleet:not-before": "86400.50"}, Attributes(function="f", not_before=86_400.5)),
        ({"fleet:not-before": "1970-01-01T01:00+01:00"}, Attributes(function="f")),
        ({"fleet:not-before": "inf"}, Attributes(function="f")),
        ({"fleet:not-before": "1_000"}, Attributes(function="f")),
        ({"fleet:not-before": "٢٣"}, Attributes(function="f")),
        ({"fleet:not-before": "٢٠٢٨٢٢٣٢"}, Attributes(function="f")),
        ({"fleet:not-before": "1" * 300}, Attributes(function="f", not_before=253_402_300_800.0)),
    ],
)
def test_tags_say_where_a_job_stands(tags: dict[str, str], expected: Attributes) -> None:
    assert attributes_of(tags, "f") == expected


@pytest.mark.parametrize("rate", ["0/s", "0.0/h", "-1/s", f"{'9' * 400}/s", "1/d", "/s", ""])
def test_a_rate_without_starts_or_without_end_is_refused(rate: str) -> None:
    with pytest.raises(Mistake, match=r"policy\.toml:2: .*accepted: starts in a time"):
        parse(f'[groups.g.each-key]\nrate = "{rate}"', "policy.toml")
