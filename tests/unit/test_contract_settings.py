import os
from pathlib import Path

import pytest

from resonate_fleet.contract.settings import (
    Mistake,
    addresses,
    choice,
    effective,
    flag,
    fresh_token,
    integer,
    length,
    load,
    masked,
    name,
    number,
    optional,
    port,
    seconds,
    setting,
    settings,
    shortened,
    text,
    url,
)
from resonate_fleet.member.settings import Settings as MemberSettings
from tools.docs import settings_table


@settings
class Sample:
    server: str = setting("SAMPLE_SERVER", "http://localhost:8001", url(), "Where the server is.")
    slots: int = setting("SAMPLE_SLOTS", "4", integer(1, 100), "Jobs at a time.")
    lease: float = setting("SAMPLE_LEASE", "60", seconds(1, 3600), "Lease asked for.")
    group: str = setting("SAMPLE_GROUP", "workers", name("group"), "Group.")
    quiet: bool = setting("SAMPLE_QUIET", "false", flag(), "Say less.")
    token: str | None = setting(
        "SAMPLE_TOKEN", "", optional(text("a token")), "Token.", secret=True
    )


@settings
class Demanding:
    must: int = setting("SAMPLE_MUST", None, port(), "Has no default.")


def test_defaults_are_read_like_values() -> None:
    got = load(Sample, {})
    assert (got.server, got.slots, got.lease, got.quiet, got.token) == (
        "http://localhost:8001",
        4,
        60.0,
        False,
        None,
    )


def test_options_win_over_environment_and_empty_counts_as_unset() -> None:
    got = load(Sample, {"SAMPLE_SLOTS": "2", "SAMPLE_LEASE": ""}, {"slots": "3", "group": None})
    assert (got.slots, got.lease, got.group) == (3, 60.0, "workers")


def test_all_mistakes_are_told_at_once_with_what_is_accepted() -> None:
    env = {"SAMPLE_SLOTS": "many", "SAMPLE_LEASE": "0", "SAMPLE_GROUP": "No Spaces"}
    with pytest.raises(Mistake) as caught:
        load(Sample, env)
    assert caught.value.lines == [
        "SAMPLE_SLOTS is 'many'; accepted: a whole number from 1 to 100",
        "SAMPLE_LEASE is '0'; accepted: seconds, a number from 1 to 3600",
        "SAMPLE_GROUP is 'No Spaces'; accepted: " + name("group").accepts,
    ]


def test_an_address_that_kubernetes_or_docker_put_there_is_named_for_what_it_is() -> None:
    with pytest.raises(Mistake) as caught:
        load(Sample, {"SAMPLE_SLOTS": "tcp://10.96.0.7:9466"})
    (line,) = caught.value.lines
    assert line.startswith("SAMPLE_SLOTS is 'tcp://10.96.0.7:9466'; accepted: a whole number")
    assert "Service" in line
    assert "enableServiceLinks: false" in line


def test_a_setting_without_default_must_be_given() -> None:
    with pytest.raises(Mistake, match="SAMPLE_MUST is not set"):
        load(Demanding, {})


def test_a_secret_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"\xef\xbb\xbfabc123 \r\n")  # as editors of Windows write it
    got = load(Sample, {"SAMPLE_TOKEN_FILE": str(file)})
    assert got.token == "abc123"
    assert effective(got)["SAMPLE_TOKEN"] == "(hidden)"
    assert effective(got)["SAMPLE_SLOTS"] == 4


def test_a_secret_from_the_environment_loses_the_newline_of_its_file() -> None:
    assert load(Sample, {"SAMPLE_TOKEN": "a.b.c\n"}).token == "a.b.c"


def test_digits_that_only_python_reads_are_refused_in_one_line() -> None:
    with pytest.raises(Mistake) as caught:
        load(Sample, {"SAMPLE_SLOTS": "1_0", "SAMPLE_LEASE": " 5 "})
    assert caught.value.lines == [
        "SAMPLE_SLOTS is '1_0'; accepted: a whole number from 1 to 100",
        "SAMPLE_LEASE is ' 5 '; accepted: seconds, a number from 1 to 3600",
    ]


@pytest.mark.parametrize("content", ["", " \n", "\ufeff\n"])
def test_a_secret_file_that_holds_nothing_is_one_line(tmp_path: Path, content: str) -> None:
    """It would count as no secret for good, also once somebody has written one to it."""
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(Mistake) as caught:
        load(Sample, {"SAMPLE_TOKEN_FILE": str(file)})
    says = (
        f"SAMPLE_TOKEN_FILE is {str(file)!r}, which holds nothing; accepted: a file of UTF-8 text"
    )
    assert caught.value.lines == [says]


def test_a_secret_of_blanks_is_one_line() -> None:
    with pytest.raises(Mistake, match=r"^SAMPLE_TOKEN holds no text; accepted: a token"):
        load(Sample, {"SAMPLE_TOKEN": " \n"})


@pytest.mark.parametrize("token", ["a\nb", "a b", "a\r\nX-Other: b", "\u00e9"])
def test_a_bearer_token_that_no_header_takes_is_refused_and_not_shown(
    tmp_path: Path, token: str
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{token}\n", encoding="utf-8")
    for env in ({"RESONATE_TOKEN": token}, {"RESONATE_TOKEN_FILE": str(file)}):
        with pytest.raises(Mistake) as caught:
            load(MemberSettings, env)
        (line,) = caught.value.lines
        assert line.startswith(f"{next(iter(env))} is (hidden); accepted: a bearer token: ASCII")


def test_a_bearer_token_is_not_renewed_by_one_that_no_header_takes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    token = load(MemberSettings, {"RESONATE_TOKEN_FILE": str(file)}).token
    file.write_text("sec\nond")
    assert fresh_token(token) == "first"
    file.write_text("third")
    assert fresh_token(token) == "third"


def test_a_missing_secret_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=r"SAMPLE_TOKEN_FILE is .*: No such file"):
        load(Sample, {"SAMPLE_TOKEN_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (url(), "http://server:8001/", ["server:8001", "ftp://x", "http://", "http://x:99999"]),
        (
            url(),
            "https://[::1]:8001/base",
            ["http://u:p@h", "http://h?q", "http://h#f", "http://h:0"],
        ),
        (
            url(),
            "http://h",
            ["http://a b", "http://h/\u00e4", "http://[::1", "http://[hello]:1", ""],
        ),
        (
            url(),
            "http://a.host.:8001",
            ["http://a..host:1", "http://.host", f"http://{'a' * 64}.host"],
        ),
        (addresses(), "a:1, b:2", ["a:1,", "steward", ":1", "steward:0", "steward:x", "h:65536"]),
        (addresses(), "[::1]:9466", ["::1:9466", "[::1]", "[steward]:1", "a b:1", "http://h:1"]),
        (
            number(0, 1),
            "0.5",
            ["nan", "inf", "-0.1", "x", "0_0.5", " 0.5", "\u0660.5", "1e-1", "."],
        ),
        (number(-1, 1), "-.5", ["--.5", "- .5", "0x1", "\uff11"]),
        (integer(-9, 9999), "-9", ["1_000", " 5 ", "5\n", "\u0665", "5.0", "-", ""]),
        (integer(0, 9), "+5", ["++5", "\uff15"]),
        (length(), "90s", ["1_0s", " 9s", "\u0669s", "9", "9 s", "-9s", "s", ""]),
        (addresses(), "h:80", ["h:8_0", "h: 80", "h:\u0668\u0660"]),
        (choice("a", "b"), "a", ["c", "A", " a"]),
        (flag(), "true", ["yes", "1", "True"]),
        (port(), "0", ["-1", "65536", "http"]),
    ],
)
def test_kinds_take_the_good_and_refuse_the_bad(kind: object, good: str, bad: list[str]) -> None:
    read = kind.read  # type: ignore[attr-defined]
    read(good)
    for raw in bad:
        with pytest.raises(ValueError):  # noqa: PT011 - the message is made by the caller
            read(raw)


def test_the_table_shows_every_setting_and_no_secret_default() -> None:
    rows = settings_table(Sample).splitlines()
    assert len(rows) == 2 + 6
    assert (
        rows[3]
        == "| `SAMPLE_SLOTS` | `--slots` | `4` | a whole number from 1 to 100 | Jobs at a time. |"
    )


@pytest.mark.parametrize("raw", ["http://me:sesame@h:1", "http://me:ses/ame@h", "ftp://sesame@h"])
def test_a_password_in_an_address_is_refused_and_never_shown(raw: str) -> None:
    with pytest.raises(Mistake) as caught:
        load(Sample, {"SAMPLE_SERVER": raw})
    assert "sesame" not in caught.value.lines[0]
    assert "(hidden)@" in caught.value.lines[0]
    assert "sesame" not in masked(f"cannot reach {raw}")


def test_a_token_from_a_file_is_read_anew_where_the_file_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    token = load(Sample, {"SAMPLE_TOKEN_FILE": str(file)}).token
    assert (token, fresh_token(token)) == ("first", "first")
    file.write_text("\ufeffsecond one\n", encoding="utf-8")
    assert fresh_token(token) == "second one"
    replaced = tmp_path / "new"
    replaced.write_text("third\n")
    replaced.replace(file)  # as Kubernetes and most rotators do
    assert fresh_token(token) == "third"
    file.write_text("")
    assert fresh_token(token) == "third", "a file that is being written anew holds nothing"
    file.unlink()
    assert fresh_token(token) == "third"
    assert fresh_token(load(Sample, {"SAMPLE_TOKEN": "fixed"}).token) == "fixed"
    assert fresh_token(None) is None


def test_a_secret_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"\xff\xfe")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody writes to it: reading would wait for ever
    for path in (file, tmp_path / "none", tmp_path, pipe, Path("x" * 5000)):
        with pytest.raises(Mistake) as caught:
            load(Sample, {"SAMPLE_TOKEN_FILE": str(path)})
        (line,) = caught.value.lines
        assert line.startswith(f"SAMPLE_TOKEN_FILE is {shortened(str(path))!r}")


@pytest.mark.parametrize("name", ["SAMPLE_SLOTS", "SAMPLE_SERVER"])
def test_a_value_of_any_length_is_refused_in_a_short_line(name: str) -> None:
    with pytest.raises(Mistake) as caught:
        load(Sample, {name: "9" * 5000})
    (line,) = caught.value.lines
    assert line.startswith(f"{name} is '999")
    assert len(line) < 400
