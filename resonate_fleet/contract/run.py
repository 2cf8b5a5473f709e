"""A run: one recorded exercise of a fleet, as a folder of files.

    runs/<name>/
      plan.json        what was going to be done (chaos, or a demo without strikes)
      journal/*.jsonl  what each process says it did (contract.journal)
      server.json      what the server says happened (`Records`), read after the run
      verdict.json     what the report found
      report.html      the same as a page
      targets/*.json   where its processes can be scraped meanwhile (Prometheus's file discovery)

The report reads `plan.json`, `journal/` and `server.json`, and nothing else.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, get_args

import msgspec

from resonate_fleet.contract.settings import flag, integer, number
from resonate_fleet.contract.wire import Promise, Task

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
    order; one that drains all members may kill a member whose drain takes too long. `takes`: what
    a scenario may say of it beside its trigger. `sign`: lines around 0 0, as SVG has them.
    """

    on: tuple[Literal["member", "members", "steward", "server"], ...]
    does: Literal["kills", "drains", "stops", "cuts off"]
    sign: str
    takes: tuple[Literal["leases", "seconds", "to"], ...] = ()


#: What is common to all that read a run; how each fault is done: `chaos/faults.py`.
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
#: Those of them that replace each.
AT_EACH_MEMBER: Final = tuple(one for one in AT_ALL_MEMBERS if "to" not in FAULTS[one].takes)
AT_THE_SERVER: Final = _faults("server")
#: On the serving steward, alone or with a member.
AT_THE_STEWARD: Final = _faults("steward")
AT_THE_FLEET: Final = tuple(one for one in FAULTS if one not in AT_A_MEMBER)

Place = Literal["processes", "compose", "kubernetes"]
PLACES: Final[tuple[str, ...]] = get_args(Place)


class Traits(NamedTuple):
    """What differs between places. Times in seconds.

    `pace`: a factor for costs, deadline and promised seconds; the rate is divided by it. A
    container engine takes its time to strike: a job as short as on processes would be over before.
    Leases stay. `shows_on`: how long what was under way when a strike took hold may still show: an
    answer that had passed the network already and, on Kubernetes, the clocks of several machines.
    `notice`: how much later a death may be noticed than its process ends; a kubelet closes a pod's
    connections only after its own two seconds. `own`: the run brings up a fleet of its own; else
    it strikes one that is there before and after. `asks`: nothing is done without `--strike`.
    `keys`: its jobs can have keys.
    """

    pace: float = 1.0
    shows_on: float = 0.5
    notice: float = 0.0
    own: bool = True
    asks: bool = True
    keys: bool = False


TRAITS: Final[Mapping[Place, Traits]] = {
    "processes": Traits(asks=False, keys=True),
    "compose": Traits(pace=2.0),
    "kubernetes": Traits(pace=10.0, shows_on=2.0, notice=2.5, own=False),
}


class PlannedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job of the load: its id, when it is sent (seconds after the start) and what it calls."""

    id: str
    at: float
    function: str
    cost: float
    group: str
    steps: int = 0
    key: str = ""


class PlannedStrike(msgspec.Struct, frozen=True, kw_only=True):
    """`strike` numbers the strikes of the plan from 0; the rest in the scenario's words.

    `to`: how many members a scaling leaves.
    """

    strike: int
    fault: Fault
    trigger: str
    target: str
    to: int | None = None


class Guarantees(msgspec.Struct, frozen=True, kw_only=True):
    """What the scenario promises; the report checks each and names those broken.

    None means that the figure is reported and not judged. Seconds and counts.
    """

    lost: Annotated[int, integer(0, 0)] = 0
    doubled: Annotated[int, integer(0, 0)] = 0
    redone: Annotated[int | None, integer(0, 100_000)] = None
    redone_steps: Annotated[int | None, integer(0, 100_000)] = None
    parked: Annotated[int, integer(0, 100_000)] = 0
    recovery_seconds: Annotated[float | None, number(0, 3600)] = None
    makespan_over_bound: Annotated[float | None, number(1, 1_000_000)] = None
    every_member_works: Annotated[bool, flag()] = True
    #: Every planned strike must have hit a member that held a lease.
    strikes_hit: Annotated[bool, flag()] = True


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is going to do. A pure function of scenario and seed."""

    scenario: str
    seed: int
    place: Place
    #: Members at the start, slots of each, lease in seconds, and whether a steward is up.
    members: int
    slots: int
    lease: float
    steward: bool
    #: Number of stewards if there are any.
    stewards: int = 1
    #: Seconds that the steward waits before it hands over what a dead member held.
    grace: float = 0.1
    #: Seconds after which the run is given up.
    deadline: float
    jobs: list[PlannedJob]
    strikes: list[PlannedStrike]
    guarantees: Guarantees = msgspec.field(default_factory=Guarantees)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One promise of the run and its task (None for a promise without one), by the server."""

    promise: Promise
    task: Task | None = None


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says: the run's jobs and their children. `at` in Unix seconds."""

    at: float
    server: str
    records: list[Record]


class RunFolder:
    """The files of one run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = root / "journal"
        self.plan = root / "plan.json"
        self.server = root / "server.json"
        self.verdict = root / "verdict.json"
        self.report = root / "report.html"
        self.logs = root / "logs"
        self.targets = root / "targets"
