"""What live views draw: whole ids, no torn lines, nothing foreign that acts."""

import io

import pytest
from rich.console import Console

from resonate_fleet.commands import ps, tables
from resonate_fleet.commands.addresses import Addresses
from resonate_fleet.commands.snapshot import FleetSnapshot, snapshot_of
from resonate_fleet.commands.view import View, clock
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.jobs import COLUMNS, JobLine
from resonate_fleet.contract.live import LiveAttempt, LiveGroup, LiveMember, LiveState
from resonate_fleet.contract.shown import clean

WIDTHS = (60, 80, 100, 160)


def printed(drawn: object, width: int = 100) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, height=40, force_terminal=True, color_system=None).print(drawn)
    return out.getvalue().splitlines()


def attempt(member: str, job: str, function: str = "f") -> LiveAttempt:
    return LiveAttempt(
        task=job, job=job, attempt=1, function=function, group="g", member=member, since=90.0
    )


def member(name: str, state: str = "present") -> LiveMember:
    return LiveMember(member=name, group="g", slots=1, free=1, since=0.0, state=state)  # type: ignore[arg-type] # one of its states


def state(count: int = 0, **given: object) -> LiveState:
    many = [member(f"worker-{n}") for n in range(1, count + 1)]
    base = {"at": 100.0, "as_of": 99.5, "steward": "steward", "since": 0.0, "members": many}
    return LiveState(**(base | given))  # type: ignore[arg-type] # the fields of a test


def test_a_steward_without_members_accuses_no_other() -> None:
    """Nobody offers it slots: with members another steward has them, without any nobody has."""
    where = Addresses(server="http://localhost:1", token=None, steward=None)
    for members, serving, elsewhere in ((0, False, False), (2, False, True), (2, True, False)):
        said = snapshot_of(where, state(members, serving=serving)).source
        assert ("another steward" in said) is elsewhere
    gone = state(members=[member("worker-1", "left")])
    assert snapshot_of(where, gone).source == "steward, 0.5 s old"


def test_each_field_of_a_job_s_line_has_its_column() -> None:
    for where in ("terminal", "page"):
        shown = [one.field for one in COLUMNS if one.where in ("both", where)]
        fields = {"created", "ended"} if where == "terminal" else set()  # its age says these
        assert {*shown, *fields} >= set(JobLine.__struct_fields__)
        assert all(hasattr(JobLine, field) for field in shown)


@pytest.mark.parametrize("height", [12, 20, 30, 100])
def test_rows_that_wrap_do_not_push_the_count_of_what_is_left_out_off_the_screen(
    height: int,
) -> None:
    held = [attempt(f"worker-{n}", f"a-customer's-very-long-name-of-a-job-{n}") for n in range(20)]
    screen = Console(file=io.StringIO(), width=40, height=height, force_terminal=True)
    view = View(screen, "fleet top", "", clock)
    view.take(FleetSnapshot(state(20, running=held), "steward"))
    lines = printed(view.drawn(), 40)
    assert len(lines) <= height
    assert any("more" in line for line in lines) == (height < 100)


@pytest.mark.parametrize("width", WIDTHS)
def test_ids_stay_whole_and_lines_fit(width: int) -> None:
    jobs = [new_id() for _ in range(3)]
    running = [attempt(f"worker-{n}-abc123", job, "a_function" * 9) for n, job in enumerate(jobs)]
    seen = FleetSnapshot(state(running=running), "steward")
    lines = printed(ps.drawn(seen, [], width), width)
    assert max(map(len, lines)) <= width
    for job in jobs:
        assert len([line for line in lines if job in line]) == (1 if width > 60 else 0)


def test_who_was_killed_reads_killed() -> None:
    rows = state(members=[member("b", "dead"), member("c")])
    killed, idle = list(ps.member_rows(rows))
    assert str(killed[2]) == "killed"
    assert str(idle[2]) == "idle"


def test_members_sort_as_people_count() -> None:
    names = [row[0] for row in ps.member_rows(state(12))]
    assert names == [f"worker-{n}" for n in range(1, 13)]


def test_what_has_no_room_is_counted() -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
    view = View(console, "fleet top", "http://localhost:8001", clock)
    view.take(FleetSnapshot(state(100), "steward"))
    lines = printed(view.drawn(), 80)
    assert len(lines) <= 24
    shown = sum("worker-" in line for line in lines)
    assert f"and {100 - shown} more" in "\n".join(lines)


def test_a_job_that_nobody_can_do_is_named_with_the_reason() -> None:
    why = "nobody has the function nope"
    group = LiveGroup(group="g", waiting=3, blocked={why: 3}, stuck={why: "a-job"})
    text = "\n".join(printed(ps.drawn(FleetSnapshot(state(groups=[group]), "s"), [], 100)))
    assert "g: 3 wait, nobody has the function nope: a-job" in text


@pytest.mark.parametrize(
    "foreign", ["[/nope]", "[bold]x", "a\x1b[2Jb", "\u202eabc", "x\ny", "\x9b2J"]
)
def test_foreign_text_is_no_markup_and_moves_nothing(foreign: str) -> None:
    one = JobLine(id=foreign, function=foreign, state="failed", reason=foreign, ended=99.0)
    running = [attempt(foreign, foreign, foreign)]
    group = LiveGroup(group=foreign, blocked={foreign: 1}, stuck={foreign: foreign})
    seen = FleetSnapshot(state(running=running, groups=[group]), foreign)
    text = "\n".join(printed(ps.drawn(seen, [one], 200), 200))
    assert text.count(clean(foreign)) >= 6
    assert not set("\x1b\x9b\u202e") & set(text)


def test_cleaned_text_can_be_told_from_what_it_stands_for() -> None:
    assert clean("a\tb\r\ud800") == "a\\tb\\r\\ud800"


def test_columns_without_room_are_left_out_last_first() -> None:
    names = ("id", "one?", "two?", "text~")
    rows = [["i" * 30, "o" * 10, "t" * 10, "x" * 100]]
    assert printed(tables.table(names, rows, 160), 160)[0].split() == ["id", "one", "two", "text"]
    assert printed(tables.table(names, rows, 62), 62)[0].split() == ["id", "one", "text"]
    assert printed(tables.table(names, rows, 50), 50)[0].split() == ["id", "text"]


def test_what_must_be_there_is_there_at_80_columns() -> None:
    job = new_id()
    row = [job, "running", "a_function", "g", "worker-1-abc123", 1, "12h 03m", ""]
    names = ("job/", "state", "function~?", "group???", "member??", "attempt>????", "age>", "why~?")
    head, line = printed(tables.table(names, [row], 80), 80)
    assert head.split() == ["job", "state", "function", "age"]
    assert [part for part in (job, "running", "a_function", "12h 03m") if part not in line] == []
    narrow = printed(tables.table(names, [row], 40), 40)
    assert max(map(len, narrow)) <= 40
    assert "12h 03m" in "".join(narrow)
    assert job in "".join(line[:20] for line in narrow[1:]), "folded, not cut"


def test_a_very_long_id_leaves_room_for_the_rest() -> None:
    lines = printed(tables.table(("job/", "state"), [["x" * 500, "done"], ["y", "failed"]], 80), 80)
    assert "".join(lines).count("x") == 500
    assert lines[1].endswith("done  ")


def test_an_error_is_one_line_of_a_table() -> None:
    failed = JobLine(id="a", state="failed", function="f", reason="boom\nTraceback\n  File x")
    text = "\n".join(printed(ps.drawn(FleetSnapshot(state(), "s"), [failed], 100)))
    assert "boom" in text
    assert "Traceback" not in text
