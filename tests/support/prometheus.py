"""A real Prometheus that scrapes a fleet of processes, with the rules of the project."""

import json
import re
import shutil
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.fleet import Fleet
from tests.support.manifests import ROOT
from tests.support.processes import Process, free_port
from tests.support.services import need
from tests.support.waiting import wait_until

RULES = ROOT / "observability/prometheus/rules/fleet.yaml"
#: The override for short windows: a fault of seconds must show within seconds.
SHORTER = [
    (r"\[5m\]", "[15s]"),
    (r"\[1m\]", "[10s]"),
    (r"for: \w+", "for: 1s"),
    (r"(oldest_waiting_age_seconds\)) > 300", r"\1 > 3"),
    (r"(loop_lag_seconds\)) > 5", r"\1 > 1.5"),
]


def short_rules() -> str:
    """Return the rules with their windows shortened; every substitution must find something."""
    text = RULES.read_text()
    for pattern, replacement in SHORTER:
        text, count = re.subn(pattern, replacement, text)
        assert count, pattern
    return text


@dataclass(frozen=True)
class Target:
    job: str
    address: str
    labels: dict[str, str]


class Prometheus:
    """Scrapes every half second. `add` may be called while it runs: targets come from a file."""

    def __init__(self, fleet: Fleet, folder: Path, *, short: bool) -> None:
        need(shutil.which("prometheus") is not None, "prometheus is not installed")
        self._fleet = fleet
        self._folder = folder
        self._targets: list[Target] = []
        folder.mkdir(parents=True)
        (folder / "rules.yaml").write_text(short_rules() if short else RULES.read_text())
        (folder / "prometheus.yml").write_text(yaml.safe_dump(self._config()))
        self.add("server", int(fleet.server.metrics_url.split(":")[2].split("/")[0]))
        self._port = free_port()
        self.process: Process | None = None

    def _config(self) -> dict[str, Any]:
        jobs = [
            {
                "job_name": job,
                "honor_labels": job == "steward",
                "file_sd_configs": [
                    {"files": [str(self._folder / f"{job}.json")], "refresh_interval": "1s"}
                ],
            }
            for job in ("worker", "steward", "server")
        ]
        every = {
            "scrape_interval": "500ms",
            "scrape_timeout": "400ms",
            "evaluation_interval": "500ms",
        }
        return {
            "global": every,
            "rule_files": [str(self._folder / "rules.yaml")],
            "scrape_configs": jobs,
        }

    def add(self, job: str, port: int, **labels: str) -> None:
        self._targets.append(Target(job, f"127.0.0.1:{port}", labels))
        self._write()

    def remove(self, pod: str) -> None:
        self._targets = [one for one in self._targets if one.labels.get("pod") != pod]
        self._write()

    def _write(self) -> None:
        for job in ("worker", "steward", "server"):
            own = [t for t in self._targets if t.job == job]
            lines = [{"targets": [t.address], "labels": t.labels} for t in own]
            (self._folder / f"{job}.json.new").write_text(json.dumps(lines))
            (self._folder / f"{job}.json.new").rename(self._folder / f"{job}.json")

    def start(self) -> None:
        self.process = self._fleet.processes.start(
            "prometheus",
            [
                "prometheus",
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            ],
            {},
        )
        wait_until(self._ready, 30, "Prometheus answers")

    def _ready(self) -> bool:
        try:
            self._get("/-/ready")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the vector that an instant query gives."""
        asked = urllib.parse.urlencode({"query": expr})
        found: list[dict[str, Any]] = json.loads(self._get(f"/api/v1/query?{asked}"))["data"][
            "result"
        ]
        return found

    def value(self, expr: str) -> float:
        """Return the one number that a query gives, 0 for none."""
        found = self.query(expr)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else 0.0

    def firing(self) -> set[str]:
        alerts = json.loads(self._get("/api/v1/alerts"))["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def fires(self, name: str, timeout: float = 40) -> None:
        wait_until(lambda: name in self.firing(), timeout, f"{name} fires")


class WatchedFleet:
    """A fleet whose members Prometheus knows from their start."""

    def __init__(self, fleet: Fleet, folder: Path, *, short: bool = True, crashes: int = 3) -> None:
        self.fleet = fleet
        self.prometheus = Prometheus(fleet, folder / "prometheus", short=short)
        port = free_port()
        self.steward = fleet.steward(
            STEWARD_PORT=str(port), STEWARD_INTERVAL="0.3", STEWARD_MAX_CRASHES=str(crashes)
        )
        self.prometheus.add("steward", port)
        self.presence = f"127.0.0.1:{self.steward.line('steward.started')['presence_port']}"

    def worker(self, name: str, **env: str) -> Process:
        port = free_port()
        settings = {"WORKER_PORT": str(port), "WORKER_STEWARD": self.presence} | env
        process = self.fleet.worker(name, ready=True, **settings)
        self.prometheus.add("worker", port, pod=name, group="worker-group")
        return process


def all_done(fleet: Fleet, jobs: list[str]) -> bool:
    """Tell whether none of these jobs is pending any more, by the server's promises."""
    promises = [fleet.server.promise(job) for job in jobs]
    return all(promise is not None and promise["state"] != "pending" for promise in promises)
