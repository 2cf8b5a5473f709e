"""Scenario files: the shipped ones read well, bad ones are refused with every mistake at once."""

from pathlib import Path

import pytest

from resonate_fleet.chaos import scenario
from resonate_fleet.chaos.__main__ import main
from resonate_fleet.chaos.scenario import When
from resonate_fleet.contract import exits
from resonate_fleet.contract.checking import Checker
from resonate_fleet.contract.faults import FAULTS
from resonate_fleet.contract.settings import Mistake

GOOD = """\
about = "one kill"
deadline = 30

[fleet]
members = 2

[load]
count = 8
cost = [0.1, 0.2]

[[strikes]]
fault = "kill"
when = { job = 3, part = 0.5 }
"""

BAD = '''\
about = """
count = 5 in a text is no key"""
deadline = "soon"
colour = "red"

[fleet]
members = 0
slot = 1
steward = "yes"

[load]
count = 8
cost = [2.0, 1.0]

[[strikes]]
fault = "explode"
when = { job = 3 }

[[strikes]]
fault = "pause"
when = { job = 9, every = 2 }

[[strikes]]
fault = "kill"
leases = 2
when = { done = 0.5, times = 3 }

[[strikes]]
fault = "server-restart"
when = { job = 12 }

[guarantees]
lost = 3
'''


def lines_of(toml: str) -> list[str]:
    with pytest.raises(Mistake) as caught:
        scenario.parse(toml, "mine.toml")
    return caught.value.lines


def test_a_good_file_is_read() -> None:
    read = scenario.parse(GOOD, "mine.toml")
    assert (read.name, read.fleet.members, read.fleet.slots, read.load.count) == ("mine", 2, 1, 8)
    assert read.strikes[0].when == When(job=3, part=0.5)


def test_every_mistake_of_a_bad_file_is_told_at_once_with_line_and_accepted_values() -> None:
    lines = lines_of(BAD)
    wanted = {
        3: ["deadline is 'soon'", "a number from 1 to 3600"],
        4: ["colour is not known", "about, deadline"],
        7: ["fleet.members is 0", "a whole number from 1 to 100"],
        8: ["fleet.slot is not known (did you mean slots?)", "lease"],
        9: ["fleet.steward is 'yes'", "`true`, `false`"],
        13: ["load.cost is [2.0, 1.0]", "the lower first"],
        16: ["strikes.fault is 'explode'", *FAULTS],
        21: ["strikes.when is", "one trigger"],
        25: ["strikes.leases is 2", "only pause, partition"],
        26: ["strikes.when.times is 3", "nothing beside done"],
        30: ["strikes.when is", "for server-restart"],
        33: ["guarantees.lost is 3", "accepted: 0"],
    }
    for number, words in wanted.items():
        found = [line for line in lines if line.startswith(f"mine.toml:{number}: ")]
        assert found, f"no mistake is told of line {number}: {lines}"
        for word in words:
            assert any(word in line for line in found), (number, word, found)
    pause = [line for line in lines if "strikes.leases is missing" in line]
    assert pause == ["mine.toml:19: strikes.leases is missing; accepted: a number: pause needs it"]
    unknown = [line for line in lines if "when.job is 12" in line]
    assert "from 1 to load.count (8)" in unknown[0]
    assert all("accepted:" in line for line in lines)


def test_seconds_go_with_what_is_done_to_the_whole_fleet() -> None:
    (told,) = lines_of(GOOD.replace('fault = "kill"', 'fault = "kill"\nseconds = 3'))
    assert told == (
        "mine.toml:13: strikes.seconds is 3.0; accepted: nothing with kill; "
        "only server-restart, scale"
    )


@pytest.mark.parametrize(
    ("fleet", "strike", "told"),
    [
        (
            "steward = false",
            'fault = "steward-kill"\nwhen = { done = 0.5 }',
            "8: strikes.fault is 'steward-kill'; accepted: nothing at a steward where none is up",
        ),
        (
            "",
            'fault = "kill"\nwhen = { every = 10, times = 3 }',
            "9: strikes.when is 'over at 30 s'; accepted: what is over before the deadline (30 s)",
        ),
        (
            "lease = 20",
            'fault = "pause"\nleases = 2\nwhen = { job = 3 }',
            "10: strikes.when is 'over at 40 s'; accepted: what is over before the deadline (30 s)",
        ),
        (
            "",
            'fault = "kill"\nwhen = { done = 1.0 }',
            "9: strikes.when.done is 1.0; accepted: a number from 0 to 0.99",
        ),
    ],
)
def test_a_strike_that_can_never_be_done_is_refused(fleet: str, strike: str, told: str) -> None:
    load = "load = { count = 8 }"
    toml = f'about = "x"\ndeadline = 30\n{load}\n\n[fleet]\n{fleet}\n[[strikes]]\n{strike}\n'
    assert lines_of(toml) == [f"mine.toml:{told}"]


@pytest.mark.parametrize(
    ("load", "needed"),
    [
        ("count = 61\ncost = [2.0, 3.0]", "41"),  # on three slots
        ("count = 6\ncost = [2.0, 3.0]\nrate = 0.1", "52"),
        ("count = 1\ncost = [60, 60]\nfunction = 'compute_durably'", "60"),
    ],
)
def test_a_load_that_the_deadline_leaves_no_time_for_is_refused(load: str, needed: str) -> None:
    (told,) = lines_of(f'about = "x"\ndeadline = 30\n[load]\n{load}\n')
    assert told.startswith(f"mine.toml:2: deadline is 30.0; accepted: at least the {needed}")
    durable = "count = 900\ncost = [1, 1]\nfunction = 'compute_durably'"
    scenario.parse(f'about = "x"\ndeadline = 30\n[load]\n{durable}\n', "mine.toml")


def test_a_name_that_ids_cannot_begin_with_is_refused() -> None:
    with pytest.raises(Mistake, match="a name of letters, digits, - and _"):
        scenario.parse(GOOD, "my.own: scenario.toml")


def test_a_file_that_is_no_toml_names_the_line() -> None:
    assert "line 2" in lines_of('about = "x"\ncount = = 3\n')[0]


@pytest.mark.parametrize("part", ["[load]\ncount = 8\n", 'about = "x"\n'])
def test_what_must_be_there_is_missed(part: str) -> None:
    assert any("is missing" in line for line in lines_of(part))


def test_strikes_that_are_no_tables_are_refused() -> None:
    start = 'about = "x"\n[load]\ncount = 1\n'
    assert "tables under [[strikes]]" in lines_of(f"strikes = 3\n{start}")[0]
    assert "accepted: a table" in lines_of(f"strikes = [1]\n{start}")[0]


def test_a_bad_file_ends_the_command_with_2_and_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, runs = tmp_path / "mine.toml", tmp_path / "runs"
    file.write_text(BAD)
    assert main(["run", str(file), "--runs", str(runs)]) == exits.USAGE
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len(lines_of(BAD)) > 10
    assert not runs.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "no-such-scenario"],
        ["run", "one-kill", "--seed", "x"],
        ["run", "one-kill", "--on", "moon"],
        ["replay", "no-such-folder"],
        ["explode"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == exits.USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_at_least_eight_scenarios_are_shipped_and_every_fault_is_in_one() -> None:
    read = [scenario.read(scenario.find(name)) for name in scenario.shipped()]
    assert len(read) >= 8
    assert {strike.fault for one in read for strike in one.strikes} == set(FAULTS)
    assert all(len(one.about) <= 100 for one in read)


def test_lines_are_found_in_tables_repeated_tables_and_dotted_keys() -> None:
    toml = 'a = 1\n[t]\nb.c = 2\n[[s]]\nx = 1\n[[s]]\nx = """\ny = 3\n"""\nz = 4\n'
    lines = {
        ("a",): 1,
        ("t", "b", "c"): 3,
        ("s", 0, "x"): 5,
        ("s", 1, "x"): 7,
        ("s", 1, "z"): 10,
        ("s", 1, "y"): 6,  # it stands in a text, so its table is named
        ("s", 1, "not", "there"): 6,
    }
    checker = Checker(toml, "s.toml")
    for path in lines:
        checker.miss(path, "x")
    assert [line for line, _ in checker.wrong] == list(lines.values())
