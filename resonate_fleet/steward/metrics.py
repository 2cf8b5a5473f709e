"""The steward's instruments, and what a scrape gets."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.live import LiveGroup, LiveState
from resonate_fleet.contract.metrics import Exporter
from resonate_fleet.contract.words import package_version
from resonate_fleet.steward.survey import OTHER

#: Groups with series of their own. A job names its group itself, so there may be any number.
MOST_GROUPS: Final = 100


def _gauge(name: str, help: str, *labels: str) -> Instrument:
    return Instrument(name, "gauge", help, labels)


#: By the field of `LiveGroup` that they show.
_PER_GROUP = {
    "waiting": _gauge("fleet_jobs_waiting", "Tasks that wait for a member", "group"),
    "limited": _gauge(
        "fleet_jobs_limited",
        "Waiting tasks that wait for a limit of the policy, or for their time",
        "group",
    ),
    "running": _gauge("fleet_jobs_running", "Tasks that a member holds", "group"),
    "suspended": _gauge("fleet_jobs_suspended", "Tasks that wait for a child or a timer", "group"),
    "parked": _gauge("fleet_jobs_parked", "Tasks in quarantine", "group"),
    "oldest": _gauge(
        "fleet_oldest_waiting_age_seconds",
        "How long the longest waiting task has waited; 0 when none waits",
        "group",
    ),
    "members": _gauge("fleet_members", "Members that are present", "group"),
}
_LEASES = _gauge("fleet_member_leases", "Leases of each member; its series ends with it", "member")
_AS_OF = _gauge(
    "fleet_steward_state_timestamp_seconds",
    "Unix time of the figures: now while it hears the server's hints, else that of the last "
    "search for waiting tasks; 0 before the first",
)
_SERVING = _gauge("fleet_steward_serving", "1 while members offer it their slots, else 0")
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
)
_BUILD = Instrument("fleet_steward_build", "info", "Version of the steward", ("version",))

#: Everything that the steward exports.
INSTRUMENTS: tuple[Instrument, ...] = (
    *_PER_GROUP.values(),
    _LEASES,
    _AS_OF,
    _SERVING,
    *_OWN,
    _BUILD,
)

#: Values of `what` for errors of the steward's work, and of writing and accepting.
_WORK: Final = ("survey", "hand-over", "quarantine", "promises", "policy", "state", "extra")
_WRITES: Final = ("accept", "log", "journal")


class Meters(Exporter):
    """The instruments of one steward, by their names without `fleet_steward_`.

    `groups` are shown even while empty.
    """

    deaths: Counter
    handovers: Counter
    handover_duration_seconds: Histogram
    false_alarms: Counter
    quarantined: Counter
    hints: Counter
    assigned: Counter
    refused: Counter
    errors: Counter
    survey_duration_seconds: Gauge

    def __init__(self, groups: tuple[str, ...] = ()) -> None:
        super().__init__("fleet_steward_", (*_OWN, _BUILD))
        for name, made in self.made.items():
            setattr(self, name, made)
        self.made["build"].info({"version": package_version()})
        for what in (*_WORK, *_WRITES):
            self.errors.labels(what)
        self.live = LiveCollector(groups)
        self.registry.register(self.live)

    def lost_line(self, what: str, *, over: bool) -> None:
        """Count a line of log or journal that could not be written."""
        if not over:
            self.errors.labels(what).inc()


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
        groups: dict[str, list[LiveGroup]] = {}
        for one in state.groups:
            shown = one.group
            if shown not in self._groups and len(self._groups) >= MOST_GROUPS:
                shown = OTHER
            self._groups.add(shown)
            groups.setdefault(shown, []).append(one)
        for field, instrument in _PER_GROUP.items():
            names = sorted(self._groups)
            values = {name: _value(field, groups.get(name, []), state.at) for name in names}
            yield _family(instrument, values)
        held = {one.member: 0.0 for one in state.members if one.state == "present"}
        for attempt in state.running:
            held[attempt.member] = held.get(attempt.member, 0.0) + 1
        yield _family(_LEASES, held)
        yield GaugeMetricFamily(_AS_OF.name, _AS_OF.help, value=state.as_of)
        yield GaugeMetricFamily(_SERVING.name, _SERVING.help, value=float(state.serving))


def _value(field: str, groups: list[LiveGroup], now: float) -> float:
    """Return a value for the groups that share a label."""
    if field == "oldest":
        return max((now - one.oldest for one in groups if one.oldest), default=0.0)
    return float(sum(getattr(one, field) for one in groups))


def _family(instrument: Instrument, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(instrument.name, instrument.help, labels=instrument.labels)
    for label, value in values.items():
        family.add_metric([label], value)
    return family
