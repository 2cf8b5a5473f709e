"""What all lines of a journal have."""

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="action", omit_defaults=False):
    """Fields of every line: `at` in Unix seconds and `who`, the name of the writing process."""

    at: float = 0.0
    who: str = ""
