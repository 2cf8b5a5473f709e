"""Lines that cannot be written are lost, counted and said once; whoever writes goes on."""

import contextlib
import io
import json
import os
import resource
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

import pytest
import structlog

from resonate_fleet.contract import logs, recorder, sink
from resonate_fleet.contract.journal import MemberReady
from resonate_fleet.contract.recorder import Journal, make_room
from resonate_fleet.contract.sink import LineStream, Loss, Sink, losses


class Lines:
    def __init__(self) -> None:
        self.kept: list[str] = []

    def log(self, level: int, event: str, **fields: Any) -> None:  # noqa: ARG002
        self.kept.append(event)


@pytest.fixture
def told() -> Iterator[list[Loss]]:
    found: list[Loss] = []
    losses.listeners.append(found.append)
    yield found
    losses.listeners.remove(found.append)


def test_a_pipe_without_a_reader_loses_lines(told: list[Loss]) -> None:
    reader, writer = os.pipe()
    stream = LineStream(Sink("log", writer))
    print("one", file=stream)
    assert os.read(reader, 100) == b"one\n"
    os.close(reader)
    for _ in range(3):
        print("lost", file=stream)
    assert [(one.what, one.why, one.lines) for one in told] == [
        ("log", "Broken pipe", number) for number in (1, 2, 3)
    ]
    os.close(writer)


def test_a_reader_that_stopped_holds_nobody_for_long(told: list[Loss]) -> None:
    reader, writer = os.pipe()
    stream = LineStream(Sink("log", writer))
    began = time.monotonic()
    for _ in range(1000):
        print("x" * 500, file=stream)
    assert time.monotonic() - began < 10
    assert told[-1].why == "nobody reads it"
    while len(os.read(reader, 65536)) == 65536:
        pass
    print("again", file=stream)
    assert told[-1].over
    assert told[-1].lines == told[-2].lines
    assert os.read(reader, 65536).endswith(b"again\n")
    os.close(reader)
    os.close(writer)


def test_lines_of_threads_do_not_mix(tmp_path: Path) -> None:
    file = (tmp_path / "log").open("wb")
    stream = LineStream(Sink("log", file.fileno()))

    def chat(word: str) -> None:
        for _ in range(500):
            print(word, word, word, file=stream)

    threads = [threading.Thread(target=chat, args=(word,)) for word in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set((tmp_path / "log").read_text().splitlines()) == {"a a a", "b b b", "c c c"}
    file.close()


def test_a_stream_takes_what_libraries_do_to_standard_output(tmp_path: Path) -> None:
    """They set it up anew, write bytes, ask for its encoding, wrap and close it."""
    file = (tmp_path / "log").open("wb")
    stream = LineStream(Sink("log", file.fileno()))
    stream.reconfigure(encoding="ascii", errors="strict", line_buffering=True)
    assert stream.encoding == "utf-8"
    stream.buffer.write(b"b\xc3\xbctes\n")
    wrapped = io.TextIOWrapper(stream.detach(), "utf-8")
    print("wr\u00e4pped", file=wrapped, flush=True)
    wrapped.close()
    stream.close()
    print("\u00fcber, \udcff", file=stream)
    shown = (tmp_path / "log").read_text("utf-8")
    assert shown == "b\u00fctes\nwr\u00e4pped\n\u00fcber, \\udcff\n"
    file.close()


def test_a_line_without_an_end_is_bounded(tmp_path: Path) -> None:
    file = (tmp_path / "log").open("wb")
    stream = LineStream(Sink("log", file.fileno()))
    for _ in range(3 * sink.LINE_BYTES):
        print(".", end="", file=stream)
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert [len(line) for line in lines] == [sink.LINE_BYTES + 1] * 2
    file.close()


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files may not grow beyond 4 KiB: a write gives EFBIG, as a full disk gives ENOSPC."""
    import signal  # noqa: PLC0415 - the signal that comes with it would end the tests

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.usefixtures("small_files")
def test_a_journal_on_a_full_disk_says_so_once_and_goes_on(tmp_path: Path) -> None:
    lines = Lines()
    book = Journal("w", tmp_path, lines)
    for _ in range(200):
        book.write(MemberReady())
    assert lines.kept.count("member.ready") == 200
    assert lines.kept.count("journal.lost") == 1
    resource.setrlimit(
        resource.RLIMIT_FSIZE,
        (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]),
    )
    book.write(MemberReady())
    assert lines.kept[-2:] == ["journal.written", "member.ready"]
    book.close()
    # The line that was cut stands alone; the next is whole.
    *_, last = (tmp_path / "w.jsonl").read_bytes().splitlines()
    assert json.loads(last)["action"] == "member.ready"


@pytest.mark.parametrize("before", [0, 1])
def test_a_lost_log_is_said_in_the_journal_once(tmp_path: Path, before: int) -> None:
    """Also where lines were lost `before` the journal was open."""
    lines = Lines()
    book = Journal("w", tmp_path, lines)
    losses.tell(Loss("log", "Broken pipe", before + 1))
    losses.tell(Loss("log", "Broken pipe", before + 2))
    book.close()
    kept = [json.loads(line) for line in (tmp_path / "w.jsonl").read_bytes().splitlines()]
    assert [(one["action"], one["why"]) for one in kept] == [("log.lost", "Broken pipe")]


def test_a_journal_is_bounded_and_says_what_it_drops(tmp_path: Path) -> None:
    lines = Lines()
    book = Journal("w", tmp_path, lines, file_bytes=1000)
    for _ in range(100):
        book.write(MemberReady())
    book.close()
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert set(sizes) == {"w.jsonl", "w.1.jsonl"}
    assert max(sizes.values()) <= 1000
    assert lines.kept.count("journal.rotated") >= 2


def test_a_journal_that_somebody_deletes_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "CHECK_SECONDS", 0.0)
    lines, folder = Lines(), tmp_path / "journal"
    book = Journal("w", folder, lines)
    book.write(MemberReady())
    shutil.rmtree(folder)
    book.write(MemberReady())
    book.close()
    assert lines.kept.count("journal.deleted") == 1
    assert b"member.ready" in (folder / "w.jsonl").read_bytes()


def test_a_line_of_another_thread_does_not_meet_the_journal_s_end(
    tmp_path: Path, told: list[Loss], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file ends in the middle of that thread's write: it waits until that is over."""
    book = Journal("w", tmp_path, Lines())
    writes, goes_on = threading.Event(), threading.Event()
    write = sink.Sink.write

    def slowly(to: Sink, lines: bytes) -> None:
        writes.set()
        goes_on.wait(10)
        write(to, lines)

    monkeypatch.setattr(sink.Sink, "write", slowly)
    threads = [threading.Thread(target=book.write, args=(MemberReady(),)),
               threading.Thread(target=book.close)]  # fmt: skip
    threads[0].start()
    assert writes.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    goes_on.set()
    for one in threads:
        one.join(10)
    assert not told
    assert (tmp_path / "w.jsonl").read_bytes().count(b"\n") == 1


def test_journals_of_earlier_starts_go_when_the_folder_is_full(tmp_path: Path) -> None:
    held = Journal("held", tmp_path, Lines())
    held.write(MemberReady())
    for number, name in enumerate(["oldest", "older", "newest"]):
        (tmp_path / f"{name}.jsonl").write_bytes(b"x" * 1000)
        os.utime(tmp_path / f"{name}.jsonl", (number, number))
    os.utime(tmp_path / "held.jsonl", (0, 0))
    assert make_room(tmp_path, 2500) == (1, 1000)
    assert make_room(tmp_path, 0) == (2, 2000)
    assert [file.name for file in tmp_path.iterdir()] == ["held.jsonl"]
    held.close()


def test_a_start_says_which_journals_it_drops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "make_room", lambda _: (3, 300))
    lines = Lines()
    Journal("w", tmp_path, lines).close()
    assert lines.kept == ["journal.dropped"]


@pytest.fixture
def full_pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """A pipe that takes nothing until somebody reads."""
    monkeypatch.setattr(sink, "PIPE_SECONDS", 0.0)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_a_log_that_takes_lines_again_says_so_whatever_line_is_first(
    full_pipe: tuple[int, int],
) -> None:
    """The line that says so is written while another one is."""
    reader, writer = full_pipe
    logs.configure("json", "info", "w", cast("TextIO", LineStream(Sink("log", writer))))
    book, log = Journal("w"), structlog.get_logger()
    log.info("lost")
    os.read(reader, 1 << 20)
    speaker = threading.Thread(target=lambda: log.info("first"), daemon=True)
    speaker.start()
    speaker.join(5)
    book.close()
    said = os.read(reader, 1 << 20).decode()
    assert not speaker.is_alive()
    assert '"log.written"' in said
    assert '"first"' in said


def test_a_log_that_is_lost_as_the_journal_says_something_of_itself_hangs_nothing(
    full_pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first line that the log loses is said in the journal, in the middle of a write of it."""
    monkeypatch.setattr(recorder, "CHECK_SECONDS", 0.0)
    _, writer = full_pipe
    logs.configure("json", "info", "w", cast("TextIO", LineStream(Sink("log", writer))))
    book, file = Journal("w", tmp_path), tmp_path / "w.jsonl"
    file.unlink()
    speaker = threading.Thread(target=lambda: book.write(MemberReady()), daemon=True)
    speaker.start()
    speaker.join(5)
    assert not speaker.is_alive()
    book.close()
    assert [json.loads(line)["action"] for line in file.read_text().splitlines()] == [
        "member.ready",
        "log.lost",
    ]
