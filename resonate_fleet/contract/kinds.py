"""Kinds of values in settings, options and files, and the words that say what is accepted."""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

#: The longest length of time, in seconds: later moments are beyond what the server can hold.
_CENTURY: Final = 36_500 * 86_400


@dataclass(frozen=True)
class Kind[T]:
    """How the text of a setting is read, and the words that say what is accepted.

    `form` makes the type of such a value in a TOML file, for msgspec. `words` are all values, where
    they are few; None: a path.
    """

    read: Callable[[str], T]
    accepts: str
    form: Callable[[], Any] = lambda: str
    words: tuple[str, ...] | None = ()


def text(accepts: str = "any text", pattern: str | None = None) -> Kind[str]:
    def read(raw: str) -> str:
        if pattern is not None and not re.fullmatch(pattern, raw):
            raise ValueError
        return raw

    return Kind(read, accepts)


def filled(what: str) -> Kind[str]:
    """Any text but an empty one, which an unset variable of a shell leaves behind."""
    accepts = f"{what} that is not empty"
    return Kind(text(accepts, r"(?s).+").read, accepts, lambda: _limited(str, min_length=1))


def name(what: str = "name") -> Kind[str]:
    """A word that may stand in a URL path, a label and a file name."""
    return text(
        f"a {what}: 1 to 63 of a-z, 0-9, - (not first or last)",
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    )


def integer(low: int, high: int) -> Kind[int]:
    def read(raw: str) -> int:
        # Python reads `1_000`, ` 5 ` and digits of other scripts too.
        if not re.fullmatch("[+-]?[0-9]+", raw) or not low <= (value := int(raw)) <= high:
            raise ValueError
        return value

    words = f"a whole number from {low} to {high}" if low < high else str(low)
    return Kind(read, words, lambda: _limited(int, ge=low, le=high))


def number(low: float, high: float, unit: str = "") -> Kind[float]:
    def read(raw: str) -> float:
        plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", raw)
        if not plain or not low <= (value := float(raw)) <= high:
            raise ValueError
        return value

    words = f"{unit + ', ' if unit else ''}a number from {low:.12g} to {high:.12g}"
    return Kind(read, words, lambda: _limited(float, ge=low, le=high))


def _limited(of: type, **limits: Any) -> Any:
    from msgspec import Meta  # noqa: PLC0415 - it takes time, and only files need it

    return Annotated[of, Meta(**limits)]


def seconds(low: float, high: float) -> Kind[float]:
    return number(low, high, "seconds")


def length() -> Kind[float]:
    """A length of time as people write it, read as seconds."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

    def read(raw: str) -> float:
        if not re.fullmatch("[0-9]+[smhd]", raw):
            raise ValueError
        value = int(raw[:-1]) * units[raw[-1]]
        if value > _CENTURY:
            raise ValueError
        return value

    return Kind(read, "a whole number with s, m, h or d, at most 36500d")


def port() -> Kind[int]:
    """A TCP port; 0 lets the system choose."""
    return integer(0, 65_535)


def listening_host() -> Kind[str]:
    """An address or a name that a socket of this machine can be bound to."""

    def read(raw: str) -> str:
        try:
            family, kind, *_, place = socket.getaddrinfo(raw, 0, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind) as one:
                one.bind(place)
        except (OSError, UnicodeError):
            raise ValueError from None
        return raw

    return Kind(read, "an address of this machine")


def choice(*words: str) -> Kind[str]:
    def read(raw: str) -> str:
        if raw not in words:
            raise ValueError
        return raw

    accepts = ", ".join(f"`{word}`" for word in words)
    return Kind(read, accepts, lambda: Literal[words], words)


def flag() -> Kind[bool]:
    word = choice("true", "false")
    return Kind(lambda raw: word.read(raw) == "true", word.accepts, lambda: bool, word.words)


def url() -> Kind[str]:
    """An address of HTTP: scheme, host, port, path. What else a URL can hold is refused."""

    def read(raw: str) -> str:
        parts = urlsplit(raw)
        host = parts.hostname
        if parts.scheme not in ("http", "https") or not host or parts.port == 0:
            raise ValueError
        if "@" in parts.netloc or "?" in raw or "#" in raw or not re.fullmatch(r"[!-~]+", raw):
            raise ValueError
        host.encode("idna")  # no name has an empty part, or one of more than 63 characters
        return raw.rstrip("/")

    return Kind(
        read, "an address such as `http://localhost:8001`, without user, password, query, fragment"
    )


def addresses() -> Kind[tuple[tuple[str, int], ...]]:
    """Any number of `host:port`; a host that holds colons stands in brackets."""

    def one(raw: str) -> tuple[str, int]:
        host, _, digits = raw.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host.removeprefix("[").removesuffix("]") if bracketed else host
        if not re.fullmatch(r"[!-~]+", host) or "/" in host or (":" in host) != bracketed:
            raise ValueError
        return host, integer(1, 65_535).read(digits)

    def read(raw: str) -> tuple[tuple[str, int], ...]:
        return tuple(one(word) for word in raw.split(",")) if raw else ()

    return Kind(
        read, "`host:port`, `[IPv6 address]:port`, several with a comma between, or nothing"
    )


def path() -> Kind[Path | None]:
    """A file or folder, or nothing."""
    return optional(Kind(Path, "a path", words=None))


def optional[T](kind: Kind[T]) -> Kind[T | None]:
    """A value of `kind`, or nothing."""
    accepts = f"{kind.accepts}, or nothing"
    return Kind(lambda raw: kind.read(raw) if raw else None, accepts, words=kind.words)
