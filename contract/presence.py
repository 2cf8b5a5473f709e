"""The presence protocol between a member and the steward: lines of JSON over one TCP connection.

The member connects and says `Hello`; the steward answers `Welcome`. While the connection stands,
the member lives; when the member's process dies, its kernel closes the connection, on any
platform and without any right in a cluster. A member that stops in order says `Bye` first.
A member that the steward took for dead and that comes back is told with `Released` which leases
it lost by that, so that it stops those bodies.
"""

import msgspec


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="kind"):
    """`member` is the pid under which the member's leases stand on the server."""

    member: str
    group: str
    slots: int


class Bye(msgspec.Struct, frozen=True, tag="bye", tag_field="kind"):
    """The member holds nothing any more and closes."""


class Welcome(msgspec.Struct, frozen=True, tag="welcome", tag_field="kind"):
    """The steward watches this member from now on."""


class Released(msgspec.Struct, frozen=True, tag="released", tag_field="kind"):
    """`tasks` holds `[task, version]` of the leases that were handed over meanwhile."""

    tasks: list[tuple[str, int]]


FromMember = Hello | Bye
FromSteward = Welcome | Released
