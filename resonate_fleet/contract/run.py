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

from resonate_fleet.contract.faults import Fault
from resonate_fleet.contract.settings import flag, integer, number
from resonate_fleet.contract.wire import Promise, Task

Place = Literal["processes", "compose", "kubernetes"]
PLACES: Final[tuple[str, ...]] = get_args(Place)


class Traits(NamedTuple):
    """What differs between places. Times in seconds.

    `pace`: costs, deadline and guaranteed seconds are multiplied by it, and the rate is divided by
    it; leases stay. A container engine takes longer to strike, and jobs as short as on processes
    would be over before.

    `shows_on`: for so long after a strike took hold, traces of what was under way may still appear:
    answers that had left the network already and, on Kubernetes, times by other machines' clocks.
    `notice`: how long after the end of a process its death may be noticed; a kubelet closes a pod's
    connections after two seconds of its own.

    `own`: the run starts a fleet of its own; otherwise it strikes one that exists before and after
    the run. `asks`: nothing is done without `--strike`. `keys`: its jobs can have keys.
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
