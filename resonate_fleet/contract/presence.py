"""The presence protocol between a member and a steward: lines of JSON over one TCP connection.

The steward opens with `Challenge`, the member says `Hello`, the steward answers `Welcome` or
`Denied`. While the connection stands the member lives; when its process dies its kernel closes
the connection, on any platform and without any right in a cluster. A member that stops in order
says `Bye` first.

A welcomed member says what it holds (`Held`), and from then on what happens, several events in one
`Report`. It offers its free slots as credits to one steward alone. That steward
sends `Assign` with a task for each credit. The member claims the task on the server and answers
`claimed`, `refused` or `returned`. The server's claim decides: a lost message costs a wait, never a
job. A steward that has nothing else to say sends `Beat` once a second.
"""

import hmac
from typing import Annotated, Literal

import msgspec

#: Longest line that either side reads, in bytes, and longest hello.
LINE_BYTES = 1 << 20
HELLO_BYTES = 1 << 16
#: Most slots of a member.
MOST_SLOTS = 1000
#: Seconds of silence after which a steward sends `Beat`.
BEAT_SECONDS = 1.0
#: Seconds of silence after which a member offers a steward nothing.
SILENT_SECONDS = 3.5

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Slots = Annotated[int, msgspec.Meta(ge=1, le=MOST_SLOTS)]
Credits = Annotated[int, msgspec.Meta(ge=0)]


class Challenge(msgspec.Struct, frozen=True, tag="challenge", tag_field="kind", omit_defaults=True):
    """`nonce` is new for each connection."""

    nonce: str


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="kind", omit_defaults=True):
    """`member` is the pid under which the member's leases stand on the server.

    `incarnation` (on the wire `key`) is drawn once by its process; only the same incarnation may
    use a known name again. `functions` are registered here, as `name` or `name@version`. `proof`:
    see `prove`.
    """

    member: Name
    group: Name
    slots: Slots
    functions: tuple[str, ...] = ()
    incarnation: str = msgspec.field(default="", name="key")
    nonce: str = ""
    proof: str = ""


class Welcome(msgspec.Struct, frozen=True, tag="welcome", tag_field="kind", omit_defaults=True):
    """The steward takes this member. `since`: the steward's start, Unix seconds.

    `waits`: by the group's policy its members do not work while there is no steward.
    """

    steward: str = ""
    since: float = 0.0
    waits: bool = False
    proof: str = ""


class Denied(msgspec.Struct, frozen=True, tag="denied", tag_field="kind", omit_defaults=True):
    """The steward refuses this member and closes."""

    why: str


class Bye(msgspec.Struct, frozen=True, tag="bye", tag_field="kind", omit_defaults=True):
    """The member holds nothing and closes."""


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """A lease that the member holds. `since` is the claim's, Unix seconds."""

    task: str
    attempt: int
    function: str
    since: float


class Held(msgspec.Struct, frozen=True, tag="held", tag_field="kind", omit_defaults=True):
    """All leases that the member holds. Others of it that the steward knows are over.

    `full`: functions whose limit is reached here, as `name` or `name@version`.
    """

    attempts: list[Holding] = []
    full: list[str] = []


class Report(msgspec.Struct, frozen=True, tag="report", tag_field="kind", omit_defaults=True):
    """What happened since the last one. A claim at version v makes attempt v + 1.

    `free`: free slots that were not offered before. `claimed`: `[task, attempt, function]`.
    `refused`: `[task, version]` of assigned tasks that the server did not grant. `returned`:
    assigned tasks for which this member has no slot. `declined`: `[task, function]` of tasks given
    back because the function cannot begin here: it is not registered, or at its limit. An empty
    function stands for another reason.
    `ended`: `[task, attempt, outcome]`, outcomes as in the journal. `full`: as in `Held`, if it has
    changed. `turned`: from now on this steward has the member's slots; "again" if another one had
    them, or none for a while, so that hints may have gone elsewhere.
    """

    free: Credits = 0
    claimed: list[tuple[str, int, str]] = []
    refused: list[tuple[str, int]] = []
    returned: list[str] = []
    declined: list[tuple[str, str]] = []
    ended: list[tuple[str, int, str]] = []
    full: list[str] | None = None
    turned: Literal["", "first", "again"] = ""


class Withdraw(msgspec.Struct, frozen=True, tag="withdraw", tag_field="kind", omit_defaults=True):
    """The member takes its credits back. `draining`: it will offer no more."""

    draining: bool = False


class Assign(msgspec.Struct, frozen=True, tag="assign", tag_field="kind", omit_defaults=True):
    """`tasks` holds `[task, version]`, each for one credit; the version before the claim."""

    tasks: list[tuple[str, int]]


class Released(msgspec.Struct, frozen=True, tag="released", tag_field="kind", omit_defaults=True):
    """`tasks` holds `[task, attempt]` of leases that were handed over while it was missing."""

    tasks: list[tuple[str, int]]


class Cancel(msgspec.Struct, frozen=True, tag="cancel", tag_field="kind", omit_defaults=True):
    """The member must stop the bodies of these tasks: they were cancelled."""

    tasks: list[str]


class Beat(msgspec.Struct, frozen=True, tag="beat", tag_field="kind", omit_defaults=True):
    """The steward has nothing else to say, or the policy of the member's group has changed.

    `waits`: as in `Welcome`; None where it is as it was.
    """

    waits: bool | None = None


FromMember = Hello | Bye | Held | Report | Withdraw
FromSteward = Challenge | Welcome | Denied | Assign | Released | Cancel | Beat

_from_member: msgspec.json.Decoder[FromMember] = msgspec.json.Decoder(FromMember)
_from_steward: msgspec.json.Decoder[FromSteward] = msgspec.json.Decoder(FromSteward)
decode_member, decode_steward = _from_member.decode, _from_steward.decode
_encode = msgspec.json.Encoder().encode


def line(message: FromMember | FromSteward) -> bytes:
    return _encode(message) + b"\n"


def prove(secret: str | None, side: str, nonce: str, hello: Hello) -> str:
    """Return the proof that `side` (`member` or `steward`) knows the secret, "" without one.

    It covers both nonces and the member's name, so that it cannot be replayed.
    """
    if not secret:
        return ""
    parts = (side, nonce, hello.nonce, hello.member, hello.group, hello.incarnation)
    text = msgspec.json.encode(parts)
    return hmac.new(secret.encode(), text, "sha256").hexdigest()


def proven(secret: str | None, side: str, nonce: str, hello: Hello, proof: str) -> bool:
    """Say whether `proof` is right. Takes the same time for every wrong one."""
    return hmac.compare_digest(prove(secret, side, nonce, hello).encode(), proof.encode())
