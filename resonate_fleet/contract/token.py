"""A bearer token that may change while the process runs."""

from contextlib import suppress
from pathlib import Path
from typing import Self


class Token(str):  # noqa: SLOT000 - there is one in a process, and it keeps what it read
    """A token as it was read first. `now` reads its file again when that has changed."""

    #: Where it is read from.
    file: Path
    _text: str
    _seen: tuple[int, int, int] | None

    def __new__(cls, text: str, file: Path) -> Self:
        made = super().__new__(cls, text)
        made.file, made._text, made._seen = file, text, None
        return made

    def now(self) -> str:
        """Return the file's text; the last one if it holds nothing now."""
        with suppress(OSError, UnicodeDecodeError):
            stat = self.file.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._text = self.file.read_text(encoding="utf-8-sig").strip() or self._text
                self._seen = seen
        return self._text


def current(token: str | None) -> str | None:
    """Return the token to send now."""
    return token.now() if isinstance(token, Token) else token
