"""What is done to several things one by one: a mistake at one of them does not keep the others."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from resonate_fleet.contract import exits
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.options import tell, typed
from resonate_fleet.contract.settings import Mistake, text
from resonate_fleet.contract.shown import named

#: How the reason of an act is read.
REASON: Final = typed(text("a reason that is not empty", r"(?s).*\S.*"))


async def each(what: str, ids: Sequence[str], act: Callable[[str], Awaitable[int | None]]) -> int:
    """Do `act` to each of `ids` once, in order; return the gravest exit code.

    `act` may return one. Its mistakes are told in the name of the command `what`.

    Raises:
        CommandFailed: the server failed; the line names what is left to do.
    """
    code = exits.OK
    left = list(dict.fromkeys(ids))
    while left:
        try:
            code = max(code, await act(left[0]) or exits.OK)
        except Mistake as mistake:
            tell(*(f"{what}: {line}" for line in mistake.lines))
            code = exits.USAGE
        except CommandFailed as failed:
            one = failed if len(ids) == 1 else CommandFailed(f"{failed}; not done: {named(left)}")
            raise one from None
        del left[0]
    return code
