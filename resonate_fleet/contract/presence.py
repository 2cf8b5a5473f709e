"""The presence protocol between a member and the steward: lines of JSON over one TCP connection.

The member connects and says `Hello`; the steward answers `Welcome`. While the connection stands,
the member lives; when the member's process dies, its kernel closes the connection, on any
platform and without any right in a cluster. A member that stops in order says `Bye` first.
A member that the steward took for dead and that comes back is told with `Released` which leases
it lost by that, so that it stops those bodies.

The server sends a job's hint to one member at random, busy or not (v0.9.8). So a member that has
a slot free and knows of nothing to do says `Idle`, one without a free slot says `Busy` when it
had said `Idle`, and sends on each `Hint` that it cannot use; the steward hands it to one that is
idle, which must say `Idle` again before it gets another. All of this may be lost without harm: it
saves an idle member from waiting for its next look.
"""

import msgspec

#: Longest line that the steward reads, and the longest hint that a member passes on, in bytes.
LINE_BYTES = 4096
HINT_BYTES = 2048


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="kind"):
    """`member` is the pid under which the member's leases stand on the server."""

    member: str
    group: str
    slots: int


class Bye(msgspec.Struct, frozen=True, tag="bye", tag_field="kind"):
    """The member holds nothing any more and closes."""


class Idle(msgspec.Struct, frozen=True, tag="idle", tag_field="kind"):
    """The member has a slot free and knows of no job that waits."""


class Busy(msgspec.Struct, frozen=True, tag="busy", tag_field="kind"):
    """The member is not idle any more, though it was handed nothing."""


class Hint(msgspec.Struct, frozen=True, tag="hint", tag_field="kind"):
    """A task that waits, at a version. No longer than `HINT_BYTES` where a member sends it."""

    task: str
    version: int


class Welcome(msgspec.Struct, frozen=True, tag="welcome", tag_field="kind"):
    """The steward watches this member from now on.

    `hints`: it passes hints on. One that does not would take such a message for nonsense.
    """

    hints: bool = False


class Released(msgspec.Struct, frozen=True, tag="released", tag_field="kind"):
    """`tasks` holds `[task, version]` of the leases that were handed over meanwhile."""

    tasks: list[tuple[str, int]]


FromMember = Hello | Bye | Idle | Busy | Hint
FromSteward = Welcome | Released | Hint
