"""The steward's instruments, and what a scrape gets."""

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.pages import Page
from resonate_fleet.steward.tally import OTHER, Counts, View

#: Groups that are told apart. A job names its group itself, so that anybody could make up more.
MOST_GROUPS: Final = 100

_PER_GROUP = (
    Instrument("fleet_jobs_waiting", "gauge", "Tasks that wait for a member", ("group",)),
    Instrument("fleet_jobs_running", "gauge", "Tasks that a member holds a lease of", ("group",)),
    Instrument(
        "fleet_jobs_suspended", "gauge", "Tasks that wait for a child or a timer", ("group",)
    ),
    Instrument("fleet_jobs_parked", "gauge", "Tasks in quarantine", ("group",)),
    Instrument(
        "fleet_oldest_waiting_age_seconds",
        "gauge",
        "How long the longest waiting task has waited; 0 when none waits",
        ("group",),
    ),
    Instrument("fleet_members", "gauge", "Members whose presence stands", ("group",)),
)
_LEASES = Instrument(
    "fleet_member_leases", "gauge", "Leases of each member, gone with the member", ("member",)
)
_LAST_LOOK = Instrument(
    "fleet_steward_last_look_timestamp_seconds",
    "gauge",
    "Unix time of the last look at the server that succeeded; 0 before the first",
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
    Instrument(
        "fleet_steward_hints_passed", "counter", "Hints of busy members handed to idle ones"
    ),
    Instrument(
        "fleet_steward_errors",
        "counter",
        "What failed: a look, a hand-over, parking, writing the state, an extra",
        ("what",),
    ),
    Instrument("fleet_steward_look_duration_seconds", "gauge", "How long the last look took"),
    Instrument("fleet_steward_build", "info", "Version of the steward", ("version",)),
)

#: Everything that the steward exports.
INSTRUMENTS: tuple[Instrument, ...] = (*_PER_GROUP, _LEASES, _LAST_LOOK, *_OWN)

_BY_NAME = {one.name: one for one in INSTRUMENTS}


def _counter(name: str, registry: CollectorRegistry) -> Counter:
    one = _BY_NAME[name]
    return Counter(one.name, one.help, one.labels, registry=registry)


class Meters:
    """The instruments of one steward. `groups` are shown even while empty."""

    def __init__(self, groups: tuple[str, ...] = ()) -> None:
        self.registry = CollectorRegistry()
        self.deaths = _counter("fleet_steward_deaths", self.registry)
        self.handovers = _counter("fleet_steward_handovers", self.registry)
        self.false_alarms = _counter("fleet_steward_false_alarms", self.registry)
        self.quarantined = _counter("fleet_steward_quarantined", self.registry)
        self.hints_passed = _counter("fleet_steward_hints_passed", self.registry)
        self.errors = _counter("fleet_steward_errors", self.registry)
        for what in ("look", "hand-over", "quarantine", "state", "extra"):
            self.errors.labels(what)
        spent = _BY_NAME["fleet_steward_handover_duration_seconds"]
        self.handover = Histogram(
            spent.name, spent.help, buckets=spent.buckets, registry=self.registry
        )
        look = _BY_NAME["fleet_steward_look_duration_seconds"]
        self.look = Gauge(look.name, look.help, registry=self.registry)
        build = _BY_NAME["fleet_steward_build"]
        Info(build.name, build.help, registry=self.registry).info({"version": steward_version()})
        self.truth = Truth(groups)
        self.registry.register(self.truth)

    def page(self, accept: str) -> Page:
        encode, content_type = choose_encoder(accept)
        return Page(encode(self.registry), content_type=content_type)


class Truth(Collector):
    """What the server says, made into series at each scrape.

    A group once seen stays, at zero; those beyond `MOST_GROUPS` are added up as `other`. A
    member's series goes with it. `present` returns group by member of those whose presence
    stands; it is called from the scrape's thread.
    """

    def __init__(self, groups: tuple[str, ...]) -> None:
        self._groups = set(groups)
        self.present: Callable[[], dict[str, str]] = dict
        self.view = View()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        view, present = self.view, self.present()
        for group in sorted({*view.groups, *present.values()}):
            if len(self._groups) < MOST_GROUPS:
                self._groups.add(group)
        members = Tally(self._shown(group) for group in present.values())
        groups: dict[str, Counts] = {}
        for group, counts in view.groups.items():
            groups[self._shown(group)] = groups.get(self._shown(group), Counts()) + counts
        readers: list[Callable[[str], float]] = [
            lambda group: groups[group].waiting,
            lambda group: groups[group].running,
            lambda group: groups[group].suspended,
            lambda group: groups[group].parked,
            lambda group: groups[group].oldest_age(view.at),
            lambda group: members[group],
        ]
        for group in self._groups:
            groups.setdefault(group, Counts())
        for instrument, reader in zip(_PER_GROUP, readers, strict=True):
            yield _family(instrument, {group: reader(group) for group in sorted(self._groups)})
        yield _family(_LEASES, _leases(view, present))
        last = GaugeMetricFamily(_LAST_LOOK.name, _LAST_LOOK.help)
        last.add_metric([], view.at)
        yield last

    def _shown(self, group: str) -> str:
        if group not in self._groups:
            self._groups.add(OTHER)
            return OTHER
        return group

    def describe(self) -> list[Any]:
        return []


def _leases(view: View, present: dict[str, str]) -> dict[str, float]:
    held = {member: float(len(leases)) for member, leases in view.leases.items()}
    return dict.fromkeys(present, 0.0) | held


def _family(instrument: Instrument, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    for label, value in values.items():
        family.add_metric([label], value)
    return family


def steward_version() -> str:
    try:
        return version("resonate-fleet")
    except PackageNotFoundError:
        return "unknown"
