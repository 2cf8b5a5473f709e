"""Where a local fleet can be scraped just now, as files for Prometheus's `file_sd_configs`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from resonate_fleet.chaos.ports import HOST

#: A file for each, as scrape jobs differ: `observability/prometheus/prometheus.yml`.
JOBS: Final = ("worker", "steward", "server")


def write(folder: Path, job: str, targets: Iterable[tuple[int, dict[str, str]]]) -> None:
    """Replace the file of `job`, whole: it is read while it is written.

    `targets`: ports, and the labels that are their identity: members export none of their own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = [{"targets": [f"{HOST}:{port}"], "labels": labels} for port, labels in targets]
    new = folder / f"{job}.json.new"
    new.write_bytes(msgspec.json.encode(groups) + b"\n")
    new.rename(folder / f"{job}.json")
