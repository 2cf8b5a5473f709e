"""One place of a local fleet that a member fills."""

from dataclasses import dataclass, field

from resonate_fleet.chaos.child import Child
from resonate_fleet.chaos.gate import Gate


@dataclass
class LocalMember:
    """One place in the fleet. `member` is the name of the process that fills it just now.

    The place keeps its `name` over restarts; the member's name on the server is new each time.
    """

    name: str
    port: int
    child: Child | None = None
    member: str = ""
    gates: list[Gate] = field(default_factory=list)
    #: False once the fleet itself wants it gone.
    wanted: bool = True
    starts: int = 1
