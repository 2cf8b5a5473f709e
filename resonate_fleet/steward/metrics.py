"""The steward's instruments, and what a scrape gets."""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.live import LiveGroup, LiveState
from resonate_fleet.contract.pages import Page
from resonate_fleet.steward.survey import OTHER

#: Groups that are told apart. A job names its group itself, so that anybody could make up more.
MOST_GROUPS: Final = 100

_PER_GROUP = (
    Instrument("fleet_jobs_waiting", "gauge", "Tasks that wait for a member", ("group",)),
    Instrument(
        "fleet_jobs_limited",
        "gauge",
        "Those of the waiting that wait for a limit of the policy, or for their time",
        ("group",),
    ),
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
_AS_OF = Instrument(
    "fleet_steward_state_timestamp_seconds",
    "gauge",
    "Unix time of which the figures are: now while it hears the server's hints, else that of its "
    "last survey; 0 before the first",
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
    Instrument("fleet_steward_hints", "counter", "Hints that the server has sent"),
    Instrument("fleet_steward_assigned", "counter", "Tasks given to a free slot"),
    Instrument("fleet_steward_refused", "counter", "Of those, claims that the server refused"),
    Instrument(
        "fleet_steward_errors",
        "counter",
        "What failed: a survey, a hand-over, parking, a peek at a child, the state file, an extra, "
        "accept, a line of log or journal",
        ("what",),
    ),
    Instrument("fleet_steward_survey_duration_seconds", "gauge", "How long the last survey took"),
    Instrument("fleet_steward_build", "info", "Version of the steward", ("version",)),
)

#: Everything that the steward exports.
INSTRUMENTS: tuple[Instrument, ...] = (*_PER_GROUP, _LEASES, _AS_OF, _SERVING, *_OWN)

#: Values of `what` in the errors that are none of the steward's work.
_WRITES: Final = ("accept", "log", "journal")
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
        self.hints = _counter("fleet_steward_hints", self.registry)
        self.assigned = _counter("fleet_steward_assigned", self.registry)
        self.refused = _counter("fleet_steward_refused", self.registry)
        self.errors = _counter("fleet_steward_errors", self.registry)
        for what in ("survey", "hand-over", "quarantine", "peek", "state", "extra", *_WRITES):
            self.errors.labels(what)
        spent = _BY_NAME["fleet_steward_handover_duration_seconds"]
        self.handover = Histogram(
            spent.name, spent.help, buckets=spent.buckets, registry=self.registry
        )
        survey = _BY_NAME["fleet_steward_survey_duration_seconds"]
        self.survey = Gauge(survey.name, survey.help, registry=self.registry)
        build = _BY_NAME["fleet_steward_build"]
        Info(build.name, build.help, registry=self.registry).info({"version": steward_version()})
        self.truth = Truth(groups)
        self.registry.register(self.truth)

    def lost_line(self, what: str, *, over: bool) -> None:
        """Count a line of log or journal that could not be written."""
        if not over:
            self.errors.labels(what).inc()

    def page(self, accept: str) -> Page:
        encode, content_type = choose_encoder(accept)
        return Page(encode(self.registry), content_type=content_type)


class Truth(Collector):
    """The live state, made into series at each scrape.

    A group once seen stays, at zero; those beyond `MOST_GROUPS` are added up as `other`. A
    member's series goes with it. `state` is called from the scrape's thread.
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
        for instrument, reader in zip(_PER_GROUP, _readers(state.at), strict=True):
            values = {name: reader(groups.get(name, [])) for name in names}
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


def _readers(now: float) -> list[Callable[[list[LiveGroup]], float]]:
    """Return what to make of the groups that share a label, an instrument each."""
    return [
        lambda groups: sum(one.waiting for one in groups),
        lambda groups: sum(one.limited for one in groups),
        lambda groups: sum(one.running for one in groups),
        lambda groups: sum(one.suspended for one in groups),
        lambda groups: sum(one.parked for one in groups),
        lambda groups: max((now - one.oldest for one in groups if one.oldest), default=0.0),
        lambda groups: sum(one.members for one in groups),
    ]


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


def steward_version() -> str:
    try:
        return version("resonate-fleet")
    except PackageNotFoundError:
        return "unknown"
