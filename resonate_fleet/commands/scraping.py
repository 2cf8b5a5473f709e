"""Prometheus beside a run on processes: found on the PATH, told where to scrape, asked."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final, Self

from resonate_fleet.chaos.processes import HOST, free_port
from resonate_fleet.chaos.targets import JOBS

PROGRAM: Final = "prometheus"
#: Longest wait for it to answer, and for one of its answers, in seconds.
PATIENCE: Final = 30.0
#: It hands what it has discovered to its scrapers only so often, in seconds, at its start too.
DISCOVERS_EVERY: Final = 5.0


class NoPrometheus(Exception):  # noqa: N818 - says what is missing
    """There is none on the PATH, or it does not answer."""


def program() -> str:
    """Return where it is.

    Raises:
        NoPrometheus: it is not on the PATH.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise NoPrometheus(f"no Prometheus; accepted: {PROGRAM} on the PATH")
    return found


def config(targets: Path, every: float, rules: Path | None = None) -> str:
    """Return what `prometheus --config.file` reads (JSON is YAML too).

    `targets` is the folder that a run keeps; `every` the seconds between two scrapes.
    """
    jobs = [
        {
            "job_name": job,
            # As in observability/prometheus/prometheus.yml: the steward speaks for groups.
            "honor_labels": job == "steward",
            "file_sd_configs": [
                {"files": [str(targets / f"{job}.json")], "refresh_interval": "1s"}
            ],
        }
        for job in JOBS
    ]
    pace = f"{every * 1000:.0f}ms"
    times = {
        "scrape_interval": pace,
        "scrape_timeout": f"{every * 800:.0f}ms",
        "evaluation_interval": pace,
    }
    files = [str(rules)] if rules else []
    return json.dumps({"global": times, "rule_files": files, "scrape_configs": jobs})


def command(found: str, file: Path, port: int) -> list[str]:
    """Return the command line; what it stores goes beside its configuration."""
    return [
        found,
        f"--config.file={file}",
        f"--storage.tsdb.path={file.parent / 'data'}",
        f"--web.listen-address={HOST}:{port}",
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
        url = f"http://{HOST}:{self.port}{path}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            body: bytes = answer.read()
            return body

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the vector that an instant query gives."""
        return self._result("/api/v1/query", query=expr)

    def query_range(self, expr: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series between two Unix times, a value each `step` seconds."""
        times = {"start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return self._result("/api/v1/query_range", query=expr, **times)

    def _result(self, path: str, **asked: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.get(path, **asked))["data"]["result"]
        return found


class Prometheus(Asked):
    """A Prometheus of one's own that scrapes a run; ends with the context."""

    def __init__(self, folder: Path, targets: Path, every: float, rules: Path | None) -> None:
        super().__init__(free_port())
        self._folder = folder
        self._text = config(targets, every, rules)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            NoPrometheus: it is not on the PATH, or does not answer.
        """
        found = program()
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "prometheus.yml"
        file.write_text(self._text, encoding="utf-8")
        with (self._folder / "log").open("wb") as log:
            line = command(found, file, self.port)
            self._process = subprocess.Popen(line, stdout=log, stderr=log)  # noqa: S603 - found by its name above
        end = time.monotonic() + PATIENCE
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__(None, None, None)
                raise NoPrometheus(f"Prometheus does not answer; its log: {self._folder / 'log'}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
