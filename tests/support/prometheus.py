"""A real Prometheus that scrapes a fleet of processes, with the rules of the project."""

import json
import re
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from resonate_fleet.chaos.ports import SCRAPED, write_targets
from tests.support.fleet import Fleet
from tests.support.processes import Process, Processes, free_port
from tests.support.queries import RULES
from tests.support.services import need
from tests.support.waiting import wait_until

#: Seconds between two scrapes.
EVERY = 0.5
#: Longest wait for an answer, in seconds.
WAIT_SECONDS: Final = 30.0
#: Prometheus hands what it has discovered to its scrapers only so often, in seconds.
DISCOVERS_EVERY: Final = 5.0

Override = Sequence[tuple[str, str]]
#: A fault of seconds must show within seconds.
SHORT: Override = (
    (r"(attempts_ended_total)\[5m\]", r"\1[4s]"),
    (r"\[5m\]", "[15s]"),
    (r"\[1m\]", "[10s]"),
    (r"for: \w+", "for: 1s"),
    (r"(oldest_waiting_age_seconds\)) > 300", r"\1 > 3"),
)
#: A run of seconds must be long enough for every alert; what counts as too much stays as it is.
QUIET: Override = ((r"\[5m\]", "[15s]"), (r"\[1m\]", "[10s]"), (r"for: \w+", "for: 4s"))
AS_SHIPPED: Override = ()


def rules_with(override: Override) -> str:
    """Return the rules with `override` done to them; every substitution must find something."""
    text = RULES.read_text()
    for pattern, replacement in override:
        text, count = re.subn(pattern, replacement, text)
        assert count, pattern
    return text


def config(found: Path, rules: Path) -> str:
    """Return what `prometheus --config.file` reads (JSON is YAML too).

    `found` is the folder in which a run says where to scrape.
    """
    jobs = [
        {
            "job_name": job,
            # As in observability/prometheus/prometheus.yml: the steward speaks for groups.
            "honor_labels": job == "steward",
            "file_sd_configs": [{"files": [str(found / f"{job}.json")], "refresh_interval": "1s"}],
        }
        for job in SCRAPED
    ]
    pace = f"{EVERY * 1000:.0f}ms"
    times = {
        "scrape_interval": pace,
        "scrape_timeout": f"{EVERY * 800:.0f}ms",
        "evaluation_interval": pace,
    }
    return json.dumps({"global": times, "rule_files": [str(rules)], "scrape_configs": jobs})


def command(file: Path, port: int) -> list[str]:
    """Return the command line; what it stores goes beside its configuration."""
    return [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={file.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]


class Asked:
    """A Prometheus that listens on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ready(self) -> bool:
        try:
            self.get("/-/ready")
        except OSError:
            return False
        return True

    def get(self, path: str, **asked: str) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=WAIT_SECONDS) as answer:
            body: bytes = answer.read()
            return body

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the vector that an instant query gives."""
        return self._result("/api/v1/query", query=expr)

    def _result(self, path: str, **asked: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.get(path, **asked))["data"]["result"]
        return found


class Prometheus(Asked):
    """Scrapes twice a second what the files in `found` name, which may change meanwhile."""

    def __init__(
        self, processes: Processes, folder: Path, found: Path, override: Override = SHORT
    ) -> None:
        need(shutil.which("prometheus") is not None, "prometheus is not installed")
        super().__init__(free_port())
        folder.mkdir(parents=True)
        rules, file = folder / "rules.yaml", folder / "prometheus.yml"
        rules.write_text(rules_with(override))
        file.write_text(config(found, rules))
        self.process = processes.start("prometheus", command(file, self.port), {})
        wait_until(self.ready, 30, "Prometheus answers")

    def value(self, expr: str) -> float:
        """Return the one number that a query gives, 0 for none."""
        found = self.query(expr)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else 0.0

    def two_scrapes(self) -> None:
        """Wait until everything that happened before this is in two samples of each series."""
        first = time.time()
        seen = "min(timestamp(up))"
        wait_until(lambda: self.value(seen) > first + EVERY, 10, "two more scrapes")

    def families(self) -> set[str]:
        """Return the names of all families that the targets declare, be they empty."""
        found: dict[str, object] = json.loads(self.get("/api/v1/metadata"))["data"]
        return set(found)

    def alerts(self, state: str = "firing") -> set[str]:
        """Return the alerts in that state, none before everything found was scraped twice.

        A Prometheus that has just started knows of nobody, which some alerts are about.
        """
        scraped = f"on () count(up offset {4 * EVERY:g}s) > 0"
        found = self.query(f'ALERTS{{alertstate="{state}"}} and {scraped}')
        return {one["metric"]["alertname"] for one in found}


class WatchedFleet:
    """A fleet whose members Prometheus knows from their start."""

    def __init__(self, fleet: Fleet, folder: Path, override: Override = AS_SHIPPED) -> None:
        self.fleet = fleet
        self._found = folder / "targets"
        self._workers: dict[str, tuple[int, dict[str, str]]] = {}
        port = free_port()
        self.steward = fleet.steward(STEWARD_PORT=str(port), STEWARD_INTERVAL="0.3")
        self.presence = f"127.0.0.1:{self.steward.line('steward.started')['presence_port']}"
        metrics = urllib.parse.urlsplit(fleet.server.metrics_url).port or 0
        write_targets(self._found, "server", [(metrics, {})])
        write_targets(self._found, "steward", [(port, {})])
        write_targets(self._found, "worker", [])
        self.prometheus = Prometheus(fleet.processes, folder / "prometheus", self._found, override)

    def worker(self, name: str, **env: str) -> Process:
        port = free_port()
        settings = {"WORKER_PORT": str(port), "WORKER_STEWARD": self.presence} | env
        process = self.fleet.worker(name, ready=True, **settings)
        self._workers[name] = (port, {"pod": name, "group": "worker-group"})
        write_targets(self._found, "worker", self._workers.values())
        return process


def all_done(fleet: Fleet, jobs: list[str]) -> bool:
    """Tell whether none of these jobs is pending any more, by the server's promises."""
    promises = [fleet.server.promise(job) for job in jobs]
    return all(promise is not None and promise["state"] != "pending" for promise in promises)
