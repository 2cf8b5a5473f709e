"""Makes foreign text (ids, errors, names) safe to show, and sorts names."""

import re
from collections.abc import Sequence
from html import escape
from typing import Final

#: Characters that move a cursor, hide text or change its direction: control characters, line and
#: paragraph separators, direction marks; and surrogates, which no stream can carry.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: Most ids that are named one by one.
NAMED: Final = 20


def clean(text: object) -> str:
    r"""Return `text` with each character escaped that a terminal would act on.

    >>> clean("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def named(ids: Sequence[str]) -> str:
    """Return the first of `ids`, and how many more there are."""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return " ".join(map(clean, ids[:NAMED])) + more


def html(text: object) -> str:
    """Return `text` as plain words in HTML, an attribute's value included.

    >>> html("<b>")
    '&lt;b&gt;'
    """
    return escape(clean(text))


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return what sorts `worker-2` before `worker-10`.

    >>> sorted(["worker-10", "worker-2"], key=natural)
    ['worker-2', 'worker-10']
    """
    parts = re.split(r"(\d+)", name)
    return [(1, int(one), "") if one.isdecimal() else (0, 0, one) for one in parts]
