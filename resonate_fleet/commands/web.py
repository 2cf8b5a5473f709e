"""What `fleet up` and `fleet demo --web` do for the page: its token, its address, its kills."""

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from resonate_fleet.contract.journal import Acted, BadLine, Line

_TOKEN: Final = "STEWARD_CONSOLE_TOKEN"  # noqa: S105 - the setting's name


def console_env(*, chaos: bool) -> dict[str, str]:
    """Return the stewards' settings: with this shell's token, or one of its own for chaos."""
    token = os.environ.get(_TOKEN) or (secrets.token_urlsafe(9) if chaos else "")
    kill = {"STEWARD_CONSOLE_KILL": "true"} if chaos else {}
    return {_TOKEN: token, **kill} if token else {}


def console_line(url: str, env: Mapping[str, str]) -> str:
    """Return where the page is; the token is said where this fleet made it."""
    own = _TOKEN in env and not os.environ.get(_TOKEN)
    return f"console  {url}/" + (f"  token {env[_TOKEN]}" if own else "")


def kills(lines: Iterable[Line | BadLine]) -> Iterator[tuple[str, str]]:
    """Yield member and job of each kill that was asked for on the page."""
    for line in lines:
        if isinstance(line, Acted) and line.act == "kill":
            yield from zip(line.members, line.jobs, strict=True)
