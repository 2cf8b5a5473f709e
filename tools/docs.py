"""The tables in the documentation, made from the declarations in the code."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec

from resonate_fleet.chaos.faults import ALL as DEEDS
from resonate_fleet.chaos.faults import can, can_last
from resonate_fleet.chaos.place import Ability, abilities, adapter_of
from resonate_fleet.commands.addresses import Addresses
from resonate_fleet.contract import exits, journal
from resonate_fleet.contract.faults import AT_A_MEMBER, FAULTS, Fault
from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.options import Parser, guarded
from resonate_fleet.contract.run import Place
from resonate_fleet.contract.settings import Mistake, declared, sentence
from resonate_fleet.member.metrics import INSTRUMENTS as WORKER_METRICS
from resonate_fleet.member.settings import Settings as WorkerSettings
from resonate_fleet.report.findings import CATALOGUE
from resonate_fleet.server.metrics import INSTRUMENTS as SERVER_METRICS
from resonate_fleet.server.settings import DevServerSettings
from resonate_fleet.steward.metrics import INSTRUMENTS as STEWARD_METRICS
from resonate_fleet.steward.settings import StewardSettings
from resonate_fleet.submit.metrics import INSTRUMENTS as CLIENT_METRICS
from resonate_fleet.submit.settings import ClientSettings

SETTINGS: tuple[tuple[str, type[Any]], ...] = (
    ("Worker", WorkerSettings),
    ("Client", ClientSettings),
    ("Steward", StewardSettings),
    ("Embedded server", DevServerSettings),
    ("Commands", Addresses),
)
METRICS = (
    ("Worker", WORKER_METRICS),
    ("Client", CLIENT_METRICS),
    ("Steward", STEWARD_METRICS),
    ("Server", SERVER_METRICS),
)

_BEGIN, _END = "<!-- begin {}: written by `python -m tools.docs --write` -->", "<!-- end {} -->"
#: Words for what a fault is done to.
TARGETS = {
    "member": "a member",
    "members": "all members",
    "steward": "the serving steward",
    "server": "the server",
}


def _sections(parts: Iterator[tuple[str, str]], level: str) -> str:
    return "\n\n".join(f"{level} {title}\n\n{body}" for title, body in parts)


def settings_text(level: str = "##") -> str:
    return _sections(((title, settings_table(cls)) for title, cls in SETTINGS), level)


def settings_table(cls: type[Any]) -> str:
    """Return the settings of `cls` as a Markdown table."""
    rows = ["| setting | option | default | accepted | what it does |", "|---|---|---|---|---|"]
    for _, one in declared(cls):
        option = f"`{one.option}`" if one.option else ""
        default = (
            "(must be given)" if one.default is None else f"`{one.default}`" if one.default else ""
        )
        cells = (f"`{one.env}`", option, default, one.kind.accepts, sentence(one.help))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def metrics_text(level: str = "##") -> str:
    return _sections(((title, metrics_table(tuple(one))) for title, one in METRICS), level)


def metrics_table(instruments: tuple[Instrument, ...]) -> str:
    """Return the instruments as a Markdown table."""
    rows = ["| metric | kind | labels | what it says |", "|---|---|---|---|"]
    for one in instruments:
        shown = one.exported[0] if one.kind != "histogram" else one.name
        labels = ", ".join(f"`{label}`" for label in one.labels)
        rows.append(f"| `{shown}` | {one.kind} | {labels} | {one.help} |")
    return "\n".join(rows)


def findings_text() -> str:
    """Return the findings of a report as a Markdown table."""
    rows = ["| finding | verdict | what it means |", "|---|---|---|"]
    words = {"broken": "FAIL", "unproved": "INCONCLUSIVE"}
    rows += [f"| `{name}` | {words[level]} | {text} |" for name, (level, text) in CATALOGUE.items()]
    return "\n".join(rows)


def lines_text() -> str:
    """Return the journal's lines as a Markdown table: action, fields, what it says."""
    rows = ["| action | fields | what it says |", "|---|---|---|"]
    for kind in journal.KINDS:
        own = [f for f in msgspec.structs.fields(kind) if f.name not in ("at", "who")]
        fields = ", ".join(f"`{f.name}`" for f in own)
        says = " ".join((kind.__dict__.get("__doc__") or "").split())
        rows.append(f"| `{kind.__struct_config__.tag}` | {fields} | {says} |")
    return "\n".join(rows)


def faults_text() -> str:
    """Return the faults of chaos as a Markdown table."""
    places: tuple[Place, ...] = get_args(Place)
    rows = [
        "| fault | on | what is done | takes | needs | refused by |",
        "|---|---|---|---|---|---|",
    ]
    for fault, one in FAULTS.items():
        cells = (
            f"`{fault}`",
            " and ".join(TARGETS[target] for target in one.on),
            DEEDS[fault].says,
            ", ".join(f"`{key}`" for key in one.takes),
            ", ".join(f"`{ability}`" for ability in DEEDS[fault].needs),
            ", ".join(x for x in (_refusal(fault, place) for place in places) if x),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _refusal(fault: Fault, place: Place) -> str:
    lasts = fault in AT_A_MEMBER or fault in can_last(place)
    return place if fault not in can(place) else "" if lasts else f"{place} with `seconds`"


def abilities_text() -> str:
    """Return what the places are able to do as a Markdown table, by the docstrings there."""
    places: tuple[Place, ...] = get_args(Place)
    rows = [f"| ability | {' | '.join(places)} |", "|---" * (len(places) + 1) + "|"]
    for ability in get_args(Ability):
        how = (
            (getattr(adapter_of(place), ability).__doc__ or "").strip().rstrip(".")
            if ability in abilities(place)
            else "-"
            for place in places
        )
        rows.append(f"| `{ability}` | {' | '.join(how)} |")
    return "\n".join(rows)


def signs_text() -> str:
    """Return how the faults are drawn as JavaScript."""
    names = {fault: f'"{fault}"' if "-" in fault else fault for fault in FAULTS}
    lines = (f'  {names[fault]}: "{one.sign}",' for fault, one in FAULTS.items())
    return "\n".join(("export const FAULTS = {", *lines, "};"))


#: Marker, file, text: every generated part of the documentation.
PARTS = (
    ("settings", "docs/settings.md", settings_text),
    ("metrics", "docs/metrics.md", metrics_text),
    ("lines", "docs/logs.md", lines_text),
    ("findings", "docs/report.md", findings_text),
    ("faults", "docs/chaos.md", faults_text),
    ("abilities", "docs/chaos.md", abilities_text),
    ("signs", "resonate_fleet/web/outcomes.js", signs_text),
)


def replaced(old: str, marker: str, text: str) -> str:
    """Return `old` with what stands between the markers replaced by `text`.

    Raises:
        ValueError: the markers are not there, once each and in order.
    """
    begin, end = _BEGIN.format(marker), _END.format(marker)
    if begin not in old:  # JavaScript
        begin, end = (f"//{one[4:-4]}" for one in (begin, end))
    before, found_begin, rest = old.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"no place for the table: {begin} ... {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def stale(root: Path) -> list[tuple[Path, str]]:
    """Return path and wanted text of each file whose generated part differs from the code."""
    wanted: dict[Path, str] = {}
    for marker, name, text in PARTS:
        path = root / name
        old = wanted.get(path, path.read_text(encoding="utf-8"))
        wanted[path] = replaced(old, marker, text())
    return [(p, text) for p, text in wanted.items() if p.read_text(encoding="utf-8") != text]


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description=__doc__)
    made.add_argument("--write", action="store_true", help="write what is stale")
    made.add_argument("--root", type=Path, default=Path(), metavar="FOLDER", help="the checkout")
    return made


def run(given: Namespace) -> int:
    if not (given.root / "docs").is_dir():
        raise Mistake(f"--root is {str(given.root)!r}; accepted: the folder of the checkout")
    differing = stale(given.root)
    for path, text in differing:
        if given.write:
            path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{'written' if given.write else 'stale'}: {path}\n")
    return exits.OK if given.write or not differing else exits.BROKEN


if __name__ == "__main__":
    prog = "python -m tools.docs"
    sys.exit(guarded(prog, lambda: run(parser(prog).parse_args())))
