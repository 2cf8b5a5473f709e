"""What every reader of a run knows of a fault. How a fault is done: `chaos/faults.py`."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Fault = Literal[
    "kill",
    "out-of-memory",
    "kill-with-steward",
    "terminate",
    "pause",
    "partition",
    "server-restart",
    "steward-kill",
    "rolling-restart",
    "scale",
]


class Effect(NamedTuple):
    """What a fault is done to (`on`), what it `does` there, and how it is drawn.

    One that stops a member or cuts it off lasts for some leases. One that drains ends a member in
    order; one that drains all members may kill a member whose drain takes too long. `takes`: what a
    scenario may say of it beside its trigger. `sign`: an SVG path around 0 0.
    """

    on: tuple[Literal["member", "members", "steward", "server"], ...]
    does: Literal["kills", "drains", "stops", "cuts off"]
    sign: str
    takes: tuple[Literal["leases", "seconds", "to"], ...] = ()


FAULTS: Final[Mapping[Fault, Effect]] = {
    "kill": Effect(("member",), "kills", "M-3 -3L3 3M3 -3L-3 3"),
    "out-of-memory": Effect(("member",), "kills", "M-3 3V-2H3V3M-3 0.5H3"),
    "kill-with-steward": Effect(("member", "steward"), "kills", "M-4 -3L0 3M0 -3L-4 3M2.6 -3V3"),
    "terminate": Effect(("member",), "drains", "M-3.2 -1.5L0 2.5L3.2 -1.5"),
    "pause": Effect(("member",), "stops", "M-1.7 -3V3M1.7 -3V3", ("leases",)),
    "partition": Effect(
        ("member",), "cuts off", "M-4 0H-1.6M1.6 0H4M-0.6 3.4L0.6 -3.4", ("leases",)
    ),
    "server-restart": Effect(
        ("server",), "kills", "M3 -1A3.2 3.2 0 1 0 3 1.6M3.2 -3.6V-0.8H0.6", ("seconds",)
    ),
    "steward-kill": Effect(("steward",), "kills", "M-2.5 3L0 -3.2L2.5 3M-1.6 1H1.6"),
    "rolling-restart": Effect(
        ("members",), "drains", "M-3.4 0A3.4 3.4 0 0 1 3 -1.6M3.4 0A3.4 3.4 0 0 1 -3 1.6"
    ),
    "scale": Effect(
        ("members",),
        "drains",
        "M0 -3.6V3.6M-2.2 -1.6L0 -3.6L2.2 -1.6M-2.2 1.6L0 3.6L2.2 1.6",
        ("to", "seconds"),
    ),
}


def _faults(target: str, effect: str = "") -> tuple[Fault, ...]:
    """Return the faults of a target, or those of them that have this effect."""
    return tuple(
        name for name, one in FAULTS.items() if target in one.on and effect in ("", one.does)
    )


AT_A_MEMBER: Final = _faults("member")
DEADLY: Final = _faults("member", "kills")
STOPPING: Final = _faults("member", "stops")
FREEZING: Final = (*STOPPING, *_faults("member", "cuts off"))
DRAINING: Final = _faults("member", "drains")
#: Faults that go through all members.
AT_ALL_MEMBERS: Final = _faults("members")
#: The faults among these that replace each member.
AT_EACH_MEMBER: Final = tuple(one for one in AT_ALL_MEMBERS if "to" not in FAULTS[one].takes)
AT_THE_SERVER: Final = _faults("server")
#: Faults on the serving steward, alone or together with a member.
AT_THE_STEWARD: Final = _faults("steward")
AT_THE_FLEET: Final = tuple(one for one in FAULTS if one not in AT_A_MEMBER)
