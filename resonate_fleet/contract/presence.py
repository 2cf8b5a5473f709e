"""The presence protocol between a member and a steward: lines of JSON over one TCP connection.

The steward opens with `Challenge`, the member says `Hello`, the steward answers `Welcome` or
`Denied`. While the connection stands the member lives; when its process dies its kernel closes
the connection, on any platform and without any right in a cluster. A member that stops in order
says `Bye` first.

A welcomed member says what it holds (`Held`) and from then on what happens, in one `Report` for
each turn of its loop. It offers its free slots as credits to one steward alone. That one sends it
`Assign` with a task for a credit; the member claims the task on the server and answers with
`claimed`, `refused` or `returned`. The server's claim decides: whatever is lost of this costs a
wait, never a job. A steward that has nothing to say says `Beat` once a second.
"""

import hmac
from typing import Annotated, Literal

import msgspec

#: Longest line that either side reads, in bytes; the first one is shorter.
LINE_BYTES = 1 << 20
HELLO_BYTES = 1 << 16
#: Most slots of a member, and most of them that it can offer.
MOST_SLOTS = 1000
#: A steward that has said nothing for so long says `Beat`, in seconds.
BEAT_SECONDS = 1.0
#: A member offers nothing to a steward that it has not heard for so long, in seconds.
SILENT_SECONDS = 3.5

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Slots = Annotated[int, msgspec.Meta(ge=1, le=MOST_SLOTS)]
Credits = Annotated[int, msgspec.Meta(ge=0)]


class Challenge(msgspec.Struct, frozen=True, tag="challenge", tag_field="kind", omit_defaults=True):
    """`nonce` is new for each connection."""

    nonce: str


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="kind", omit_defaults=True):
    """`member` is the pid under which the member's leases stand on the server.

    `incarnation` (on the wire `key`) is drawn once by its process: a name that is present is given
    up to the same incarnation alone. `functions` are registered here, as `name` or `name@version`.
    `proof`: see `prove`.
    """

    member: Name
    group: Name
    slots: Slots
    functions: tuple[str, ...] = ()
    incarnation: str = msgspec.field(default="", name="key")
    nonce: str = ""
    proof: str = ""


class Welcome(msgspec.Struct, frozen=True, tag="welcome", tag_field="kind", omit_defaults=True):
    """The steward watches this member from now on. `since`: its start, Unix seconds.

    `waits`: by the group's policy its members wait, and do not work, while no steward is there.
    """

    steward: str = ""
    since: float = 0.0
    waits: bool = False
    proof: str = ""


class Denied(msgspec.Struct, frozen=True, tag="denied", tag_field="kind", omit_defaults=True):
    """The steward does not take this member, and closes."""

    why: str


class Bye(msgspec.Struct, frozen=True, tag="bye", tag_field="kind", omit_defaults=True):
    """The member holds nothing any more and closes."""


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """A lease that the member holds. `since` is the claim's, Unix seconds."""

    task: str
    attempt: int
    function: str
    since: float


class Held(msgspec.Struct, frozen=True, tag="held", tag_field="kind", omit_defaults=True):
    """All that the member holds: whatever else the steward believes of it is over.

    `full`: functions of which no more may begin here now, as `name` or `name@version`.
    """

    attempts: list[Holding] = []
    full: list[str] = []


class Report(msgspec.Struct, frozen=True, tag="report", tag_field="kind", omit_defaults=True):
    """What happened since the last one.

    `free`: slots that are free now and were not offered before. `claimed`: `[task, attempt,
    function]`. `refused`: `[task, version]` of assigned tasks that the server did not grant.
    `returned`: assigned tasks that this member has no slot for. `declined`: `[task, function]`
    that it gives back because it lacks the function, or for a reason of its own where the function
    is empty. `ended`: `[task, attempt, outcome]`, outcomes as in the journal. `full`: as in `Held`,
    where it has changed. `turned`: from now on the member's slots are this steward's; "again" where
    it had another one before, or none for a while, so that a hint may have gone elsewhere.
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
    """Credits that were offered count no more. A member that drains offers none again."""

    draining: bool = False


class Assign(msgspec.Struct, frozen=True, tag="assign", tag_field="kind", omit_defaults=True):
    """`tasks` holds `[task, version]`, each for one credit."""

    tasks: list[tuple[str, int]]


class Released(msgspec.Struct, frozen=True, tag="released", tag_field="kind", omit_defaults=True):
    """`tasks` holds `[task, version]` of the leases that were handed over meanwhile."""

    tasks: list[tuple[str, int]]


class Cancel(msgspec.Struct, frozen=True, tag="cancel", tag_field="kind", omit_defaults=True):
    """The bodies of these tasks are to be stopped: their jobs were cancelled."""

    tasks: list[str]


class Beat(msgspec.Struct, frozen=True, tag="beat", tag_field="kind", omit_defaults=True):
    """The steward is there."""


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

    It is bound to both nonces and to the member's name, so that nothing of it can be replayed.
    """
    if not secret:
        return ""
    parts = (side, nonce, hello.nonce, hello.member, hello.group, hello.incarnation)
    text = msgspec.json.encode(parts)
    return hmac.new(secret.encode(), text, "sha256").hexdigest()


def proven(secret: str | None, side: str, nonce: str, hello: Hello, proof: str) -> bool:
    """Say whether `proof` is that of `side`. Takes the same time for every wrong one."""
    return hmac.compare_digest(prove(secret, side, nonce, hello).encode(), proof.encode())
