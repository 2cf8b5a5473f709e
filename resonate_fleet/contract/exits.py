"""Exit codes, the same in every command."""

from typing import Final


class CommandFailed(Exception):  # noqa: N818 - a state of the world, told in one line
    """The command cannot do what was asked. The text is for the user; `fleet` ends with FAILED."""


#: All went as promised.
OK: Final = 0
#: A guarantee was found broken: a job lost, doubled, or ended without its result.
BROKEN: Final = 1
#: The user's mistake: one line says what, where, and what is accepted.
USAGE: Final = 2
#: Nothing was proved: a journal is missing, or a planned strike hit nothing.
INCONCLUSIVE: Final = 3
#: The command itself failed: a process would not start, the server cannot be reached in time.
FAILED: Final = 4
#: Nobody reads the output any more (128 + SIGPIPE), as shells expect.
UNREAD: Final = 141
#: Ended by Ctrl-C (128 + SIGINT), as shells expect.
INTERRUPTED: Final = 130
