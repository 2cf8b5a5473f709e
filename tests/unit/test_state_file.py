"""The state file: one steward has it, and a kill leaves the old one or the new one."""

from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from resonate_fleet.contract.live import Crash, CrashRecord
from resonate_fleet.steward.state_file import Known, Memory, StateFile


def memory(*members: str) -> Memory:
    record = CrashRecord("t", (Crash("m", 1, 5.0, True),), parked_at=6.0)
    return Memory(members=dict.fromkeys(members, Known("g", 2)), records={"t": record})


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "below" / "state.json"
    with closing(StateFile(path)) as first:
        assert first.load() == Memory()
        first.save(memory("a", "b"))
    with closing(StateFile(path)) as second:
        assert second.load() == memory("a", "b")


def test_a_second_steward_on_the_same_file_neither_reads_nor_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with closing(StateFile(path)) as first:
        first.load()
        first.save(memory("of the first"))
        with closing(StateFile(path)) as second:
            assert second.load() == Memory(), "it would take the first one's members for dead"
            second.save(memory("of the second"))
    with closing(StateFile(path)) as third:
        assert third.load() == memory("of the first")


def test_a_kill_amid_a_write_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with closing(StateFile(path)) as file:
        file.save(memory("old"))
        with patch("os.fsync", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
            file.save(memory("new"))
    with closing(StateFile(path)) as again:
        assert again.load() == memory("old")
