import io
import json
import logging
from pathlib import Path

import msgspec
import structlog

from resonate_fleet.contract import journal, logs
from resonate_fleet.contract.journal import KINDS, BadLine, Claimed, Ended, LeaseLost, ServerLost
from resonate_fleet.contract.recorder import Journal

CLAIM = Claimed(job="j", task="j", attempt=2, function="f", waited=0.25)


def test_a_line_is_log_and_file_at_once(tmp_path: Path) -> None:
    out = io.StringIO()
    logs.configure("json", "info", "w-1", out)
    book = Journal("w-1", tmp_path, now=lambda: 100.5)
    book.write(CLAIM)
    book.write(LeaseLost(job="j", task="j", attempt=2, why="lapsed"), logging.WARNING)
    book.close()

    logged = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [one["action"] for one in logged] == ["job.claimed", "lease.lost"]
    assert logged[0]["who"] == "w-1"
    assert logged[1]["level"] == "warning"
    in_file = journal.read_folder(tmp_path)
    assert in_file[0] == msgspec.structs.replace(CLAIM, at=100.5, who="w-1")
    from_log = list(journal.read(out.getvalue().splitlines(), "log"))
    assert [type(line) for line in from_log] == [Claimed, LeaseLost]


def test_what_a_function_binds_to_its_lines_renames_none() -> None:
    out = io.StringIO()
    logs.configure("json", "info", "w-1", out)
    with structlog.contextvars.bound_contextvars(action="resize", event="e", size=3):
        Journal("w-1").write(CLAIM)
    (line,) = map(json.loads, out.getvalue().splitlines())
    assert (line["action"], line["size"]) == ("job.claimed", 3)


def test_other_log_lines_are_passed_over_and_broken_ones_named() -> None:
    lines = [
        '{"action": "settings", "at": 1}',
        '{"action": "server.lost", "at": 2, "who": "w", "why": "gone"}',
        '{"action": "job.claimed", "at": 3}',
        '{"action": "job.cl',
        "",
        '{"action": {"a": 1}, "at": 4}',
        '{"action": "member.started", "group": "g", "slots": 0, "process": 1, "version": ""}',
    ]
    got = list(journal.read(lines, "w.jsonl"))
    assert got == [
        ServerLost(at=2, who="w", why="gone"),
        BadLine("w.jsonl:3", lines[2]),
        BadLine("w.jsonl:4", lines[3]),
        BadLine("w.jsonl:7", lines[6]),
    ]


def test_lines_of_several_members_come_in_order_of_time(tmp_path: Path) -> None:
    for who, at in (("b", 2.0), ("a", 3.0), ("c", 1.0)):
        book = Journal(who, tmp_path, now=lambda at=at: at)  # type: ignore[misc]
        book.write(ServerLost(why="x"))
        book.close()
    got = journal.read_folder(tmp_path)
    assert [line.who for line in got if isinstance(line, ServerLost)] == ["c", "b", "a"]


def test_every_kind_of_line_has_its_own_action() -> None:
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(tags)) == len(tags)
    assert Ended in KINDS


def test_text_and_library_lines_are_readable() -> None:
    out = io.StringIO()
    logs.configure("text", "info", "w-1", out)
    Journal("w-1").write(CLAIM)
    logging.getLogger("somewhere").warning("odd: %s", 7)
    claimed, odd = out.getvalue().splitlines()
    assert "job.claimed" in claimed
    assert "job=j" in claimed
    assert "library.somewhere" in odd
    assert "odd: 7" in odd
