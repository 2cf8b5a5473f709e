"""The steward's instruments, and what a scrape gets."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.live import LiveGroup, LiveState
from resonate_fleet.contract.pages import Page
from resonate_fleet.contract.words import package_version
from resonate_fleet.steward.survey import OTHER

#: Groups with series of their own. A job names its group itself, so there may be any number.
MOST_GROUPS: Final = 100

#: Makes a value of the groups that share a label, at a time.
type _Reader = Callable[[list[LiveGroup], float], float]


def _sum(field: str) -> _Reader:
    return lambda groups, _now: sum(getattr(one, field) for one in groups)


def _oldest_age(groups: list[LiveGroup], now: float) -> float:
    return max((now - one.oldest for one in groups if one.oldest), default=0.0)


def _group_gauge(name: str, help: str, reader: _Reader) -> tuple[Instrument, _Reader]:
    return Instrument(name, "gauge", help, ("group",)), reader


_PER_GROUP = (
    _group_gauge("fleet_jobs_waiting", "Tasks that wait for a member", _sum("waiting")),
    _group_gauge(
        "fleet_jobs_limited",
        "Waiting tasks that wait for a limit of the policy, or for their time",
        _sum("limited"),
    ),
    _group_gauge("fleet_jobs_running", "Tasks that a member holds", _sum("running")),
    _group_gauge(
        "fleet_jobs_suspended", "Tasks that wait for a child or a timer", _sum("suspended")
    ),
    _group_gauge("fleet_jobs_parked", "Tasks in quarantine", _sum("parked")),
    _group_gauge(
        "fleet_oldest_waiting_age_seconds",
        "How long the longest waiting task has waited; 0 when none waits",
        _oldest_age,
    ),
    _group_gauge("fleet_members", "Members that are present", _sum("members")),
)
_LEASES = Instrument(
    "fleet_member_leases", "gauge", "Leases of each member; its series ends with it", ("member",)
)
_AS_OF = Instrument(
    "fleet_steward_state_timestamp_seconds",
    "gauge",
    "Unix time of the figures: now while it hears the server's hints, else that of the last "
    "search for waiting tasks; 0 before the first",
)
_SERVING = Instrument(
    "fleet_steward_serving", "gauge", "1 while members offer it their slots, else 0"
)
_OWN = (
    Instrument("fleet_steward_deaths", "counter", "Members taken for dead"),
    Instrument("fleet_steward_handovers", "counter", "Leases of dead members released"),
    Instrument(
        "fleet_steward_handover_duration_seconds",
        "histogram",
        "From the end of a member's presence to the release of its last lease",
        buckets=(0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60),
    ),
    Instrument("fleet_steward_false_alarms", "counter", "Members taken for dead that came back"),
    Instrument("fleet_steward_quarantined", "counter", "Jobs parked"),
    Instrument("fleet_steward_hints", "counter", "Hints that this steward has heard"),
    Instrument("fleet_steward_assigned", "counter", "Tasks assigned to a free slot"),
    Instrument("fleet_steward_refused", "counter", "Assigned tasks whose claim the server refused"),
    Instrument(
        "fleet_steward_errors",
        "counter",
        "What failed: a survey, a hand-over, the quarantine, a read of promises, a new policy, "
        "the state file, an extra, accept, a line of log or journal",
        ("what",),
    ),
    Instrument("fleet_steward_survey_duration_seconds", "gauge", "How long the last survey took"),
    Instrument("fleet_steward_build", "info", "Version of the steward", ("version",)),
)

#: Everything that the steward exports.
INSTRUMENTS: tuple[Instrument, ...] = (
    *(one for one, _ in _PER_GROUP), _LEASES, _AS_OF, _SERVING, *_OWN,
)  # fmt: skip

#: Values of `what` for errors of the steward's work, and of writing and accepting.
_WORK: Final = ("survey", "hand-over", "quarantine", "promises", "policy", "state", "extra")
_WRITES: Final = ("accept", "log", "journal")
_KINDS: dict[str, Any] = {
    "counter": Counter, "gauge": Gauge, "histogram": Histogram, "info": Info,
}  # fmt: skip


def _made(registry: CollectorRegistry) -> dict[str, Any]:
    """Return the instruments of `_OWN` by their names without `fleet_steward_`."""
    found = {}
    for one in _OWN:
        labels = () if one.kind == "info" else one.labels
        more = {"buckets": one.buckets} if one.buckets else {}
        made = _KINDS[one.kind](one.name, one.help, labels, registry=registry, **more)
        found[one.name.removeprefix("fleet_steward_")] = made
    return found


class Meters:
    """The instruments of one steward. `groups` are shown even while empty."""

    def __init__(self, groups: tuple[str, ...] = ()) -> None:
        self.registry = CollectorRegistry()
        made = _made(self.registry)
        self.deaths: Counter = made["deaths"]
        self.handovers: Counter = made["handovers"]
        self.handover: Histogram = made["handover_duration_seconds"]
        self.false_alarms: Counter = made["false_alarms"]
        self.quarantined: Counter = made["quarantined"]
        self.hints: Counter = made["hints"]
        self.assigned: Counter = made["assigned"]
        self.refused: Counter = made["refused"]
        self.errors: Counter = made["errors"]
        self.survey: Gauge = made["survey_duration_seconds"]
        made["build"].info({"version": package_version()})
        for what in (*_WORK, *_WRITES):
            self.errors.labels(what)
        self.live = LiveCollector(groups)
        self.registry.register(self.live)

    def lost_line(self, what: str, *, over: bool) -> None:
        """Count a line of log or journal that could not be written."""
        if not over:
            self.errors.labels(what).inc()

    def page(self, accept: str) -> Page:
        encode, content_type = choose_encoder(accept)
        return Page(encode(self.registry), content_type=content_type)


class LiveCollector(Collector):
    """Makes series of the live state at each scrape.

    A group once seen keeps its series; groups beyond `MOST_GROUPS` are added up as `other`. A
    member's series ends with its presence. `state` is called from the scrape's thread.
    """

    def __init__(self, groups: tuple[str, ...]) -> None:
        self._groups = set(groups)
        self.state: Callable[[], LiveState] = lambda: LiveState(at=0.0, steward="", since=0.0)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        state = self.state()
        for one in state.groups:
            if len(self._groups) < MOST_GROUPS:
                self._groups.add(one.group)
        groups: dict[str, list[LiveGroup]] = {}
        for one in state.groups:
            groups.setdefault(self._shown(one.group), []).append(one)
        names = sorted(self._groups)
        for instrument, reader in _PER_GROUP:
            values = {name: reader(groups.get(name, []), state.at) for name in names}
            yield _family(instrument, values)
        yield _family(_LEASES, _leases(state))
        for instrument, value in ((_AS_OF, state.as_of), (_SERVING, float(state.serving))):
            family = GaugeMetricFamily(instrument.name, instrument.help)
            family.add_metric([], value)
            yield family

    def _shown(self, group: str) -> str:
        if group not in self._groups:
            self._groups.add(OTHER)
            return OTHER
        return group

    def describe(self) -> list[Any]:
        return []


def _leases(state: LiveState) -> dict[str, float]:
    held = {one.member: 0.0 for one in state.members if one.state == "present"}
    for one in state.running:
        held[one.member] = held.get(one.member, 0.0) + 1
    return held


def _family(instrument: Instrument, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    for label, value in values.items():
        family.add_metric([label], value)
    return family
