"""Settings: each is declared once and read once; all mistakes are reported together."""

import dataclasses
import errno
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, dataclass_transform

from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.kinds import *  # noqa: F403 - kinds are imported from here
from resonate_fleet.contract.kinds import Kind

#: Added to a refusal of a value that Kubernetes or Docker put into the environment.
_LINK: Final = (
    "; this is the address of a Service or a linked container of that name: "
    "set enableServiceLinks: false in the pod, or drop the link"
)
#: Variables that Kubernetes makes of each Service of the namespace, unless a pod refuses them.
_LINKS: Final = re.compile(
    r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)="
    r"|_PORT=(tcp|udp|sctp)://"
)
#: Names that tests and chaos read; settings of the embedded server begin the same.
_OTHERS: Final = frozenset({"RESONATE_SERVER_BIN"})
#: How alike two names must be, from 0 to 1, for one to be taken for the other.
_ALIKE: Final = 0.75
#: Characters of a refused value that are shown.
VALUE_CHARACTERS: Final = 200
#: The command-line option of a setting that does not follow the rule of `Setting.option`.
_OPTIONS: Final = {"RESONATE_URL": "--server"}


@dataclass(frozen=True)
class Setting:
    """One declared setting, as the tables in the documentation show it."""

    env: str
    default: str | None
    kind: Kind[Any]
    help: str
    secret: bool = False
    typed: str = ""

    @property
    def option(self) -> str:
        """The command line's option, which wins over the variable; "" for a secret.

        >>> Setting("WORKER_LOG_LEVEL", "info", text(), "").option
        '--log-level'
        """
        if self.secret:
            return ""
        word = self.env.partition("__" if "__" in self.env else "_")[2]
        word = word.replace("__", "_").replace("_", "-").lower()
        return self.typed or _OPTIONS.get(self.env, f"--{word}")


class Mistake(Exception):  # noqa: N818 - the user's, told in plain lines
    """A user's input was refused: one line a mistake."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


def setting[T](
    env: str,
    default: str | None,
    kind: Kind[T],
    help: str,
    *,
    secret: bool = False,
    option: str = "",
) -> T:
    """Declare a field of a settings class.

    `default` is text, read like any other value; None means that the setting must be given. A value
    may also come from a file, named by `<env>_FILE`, as is usual for container secrets. `option`
    is the command line's option if it does not follow from `env`.
    """
    one = Setting(env, default, kind, help, secret, option)
    return field(metadata={"setting": one})  # type: ignore[no-any-return] # a field stands for its value


@dataclass_transform(frozen_default=True, field_specifiers=(setting,))
def settings[C](cls: type[C]) -> type[C]:
    """Make a frozen dataclass of declared settings."""
    return dataclass(frozen=True)(cls)


def declared(cls: type[Any]) -> list[tuple[str, Setting]]:
    """Return field name and declaration of each setting, in order."""
    return [(f.name, f.metadata["setting"]) for f in dataclasses.fields(cls)]


def load[C](
    cls: type[C], env: Mapping[str, str], given: Mapping[str, str | None] | None = None
) -> C:
    """Read all settings of `cls`.

    `given` holds command-line options by field name; they win over `env`. Empty text in `env`
    counts as not set: container tools write it for an unset variable.

    Raises:
        Mistake: with a line for every value that was refused, and for every variable that
            looks like a setting and is none.
    """
    values: dict[str, Any] = {}
    wrong = [
        f"{name} is set, and there is no such setting; accepted: {nearest}"
        for name, nearest in _undeclared(cls, env).items()
        if nearest
    ]
    for field_name, one in declared(cls):
        try:
            values[field_name] = _value(one, env, (given or {}).get(field_name))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise Mistake(*wrong)
    return cls(**values)


def _value(one: Setting, env: Mapping[str, str], given: str | None) -> Any:
    text, where = _text(one, env, given)
    if text is None:
        raise ValueError(f"{one.env} is not set; accepted: {one.kind.accepts}")
    try:
        read = one.kind.read(text)
        kept = one.secret and where != one.env and isinstance(read, str)
        return Token(read, Path(env[where]), one.kind) if kept else read
    except ValueError:
        shown = "(hidden)" if one.secret else repr(shortened(masked(text)))
        line = f"{where} is {shown}; accepted: {one.kind.accepts}"
        raise ValueError(line + (_LINK if text.startswith("tcp://") else "")) from None


def _text(one: Setting, env: Mapping[str, str], given: str | None) -> tuple[str | None, str]:
    if given is not None:
        return given, one.option
    if raw := env.get(one.env):
        # A Secret that Kubernetes puts into the environment keeps the newline of its file.
        text = raw.strip() if one.secret else raw
        if not text:
            raise ValueError(f"{one.env} holds no text; accepted: {one.kind.accepts}")
        return text, one.env
    file = env.get(f"{one.env}_FILE")
    if not file:
        return one.default, one.env
    wrong = f"{one.env}_FILE is {shortened(file)!r}"
    accepts = "accepted: a file of UTF-8 text"
    try:
        # A pipe of the shell's, `<(...)`, has a writer.
        if Path(file).is_fifo() and not file.startswith(("/dev/fd/", "/proc/")):
            raise ValueError(f"{wrong}, a named pipe; {accepts}")
        text = Path(file).read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise ValueError(f"{wrong}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{wrong}; {accepts}") from None
    if not text:
        raise ValueError(f"{wrong}, which holds nothing; {accepts}")
    return text, f"{one.env}_FILE"


class Token(str):  # noqa: SLOT000 - there is one in a process, and it keeps what it read
    """A secret from a file. Its text is what was read first; `now` reads the file again."""

    file: Path
    _kind: Kind[Any]
    _text: str
    _seen: tuple[int, int, int] | None

    def __new__(cls, text: str, file: Path, kind: Kind[Any]) -> Self:
        made = super().__new__(cls, text)
        made.file, made._kind, made._text, made._seen = file, kind, text, None
        return made

    def now(self) -> str:
        """Return the file's text; the last good one if it holds none now."""
        with suppress(OSError, ValueError):
            stat = self.file.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                text = self.file.read_text(encoding="utf-8-sig").strip()
                self._seen = seen
                self._text = self._kind.read(text) or self._text
        return self._text


def fresh_token(token: str | None) -> str | None:
    """Return the token to send now."""
    return token.now() if isinstance(token, Token) else token


def unknown(cls: type[Any], env: Mapping[str, str]) -> list[str]:
    """Return the variables that begin like settings of `cls` and are close to none.

    Names that begin with `RESONATE_` or `FLEET_` are left out: other programs use them too.
    """
    found = _undeclared(cls, env)
    return sorted(
        name
        for name, nearest in found.items()
        if not nearest and not name.startswith(("RESONATE_", "FLEET_"))
    )


def _undeclared(cls: type[Any], env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have a prefix of settings of `cls` (`WORKER_`, say) and are none.

    Each with the setting of its prefix that is closest to it, "" if none is close.
    """
    known: dict[str, dict[str, str]] = {}
    for _, one in declared(cls):
        prefix, _, word = one.env.partition("_")
        words = known.setdefault(f"{prefix}_", {})
        words[word] = one.env
        if one.secret:
            words[f"{word}_FILE"] = f"{one.env}_FILE"
    found = {}
    for name, value in env.items():
        prefix, mark, given = name.partition("_")
        word, among = given.removesuffix("_FILE"), known.get(prefix + mark)
        if among is None or not value or name in _OTHERS or _LINKS.search(f"{name}={value}"):
            continue
        if word not in among and given not in among:
            found[name] = _nearest(word, among)
    return found


def _nearest(word: str, words: Mapping[str, str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    if "__" in word:  # the real server has many more of these than the embedded one
        return ""
    return "".join(words[near] for near in get_close_matches(word, words, 1, _ALIKE))


def masked(text: str) -> str:
    """Return `text` without the user and password that an address in it may hold."""
    return re.sub(r"//.*@", "//(hidden)@", text)


def shortened(text: str) -> str:
    """Return `text`, cut to what a line has room for."""
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}..."


def effective(values: Any) -> dict[str, Any]:
    """Return the settings in force by environment name, secrets hidden."""
    shown: dict[str, Any] = {}
    for field_name, one in declared(type(values)):
        value = getattr(values, field_name)
        if one.secret and value:
            value = "(hidden)"
        elif isinstance(value, str):
            value = masked(value)
        shown[one.env] = value if isinstance(value, str | int | float | bool | None) else str(value)
    return shown


def taken_port(values: Any, error: OSError) -> CommandFailed:
    """Return the error that names the setting whose port is taken; other errors keep their text."""
    numbers = re.findall(r"\d+", str(error)) if error.errno == errno.EADDRINUSE else []
    for field_name, one in declared(type(values)):
        value = getattr(values, field_name)
        if one.env.endswith("_PORT") and value and str(value) in numbers:
            says = f"{one.env} is {value}, which is taken; accepted: a port that is free"
            return CommandFailed(says)
    return CommandFailed(str(error))


def sentence(words: str) -> str:
    """Return `words` with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:].removesuffix('.')}."
