"""Runs a fleet with everything wrong at once, and says whether each job ended as it should.

    uv run python tools/soak.py [--minutes 30] [--load 0.8] [--out FILE]

Three members of four slots, a steward, and a proxy before the server. Most jobs are good; one in
ten fails, in one of the ways of `tests/support/failing.py`. Meanwhile, in turn: the reader of a
member's log goes away; a member's files may not grow for a minute, as on a full disk; the token is
rotated; the proxy answers 403 for some seconds. The server is the embedded one, or
RESONATE_SERVER_BIN.

Exit code 0: every job ended as it should, memory and descriptors stayed flat, none was stuck.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.failing import FAILURES
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.jobs import post_job
from tests.support.processes import ROOT, Processes, clean_env, free_port, room_command
from tests.support.servers import Server, decoded, kinds

MEMBERS, SLOTS = 3, 4
#: Mean seconds of a good job. Bodies sleep: the load of a run is that of slots, not of processors.
COST = 4.0
#: Samples of memory and descriptors in a run.
SAMPLES = 240
#: One job in so many fails.
FAIL_EVERY = 10
#: Growth of the most memory, in parts, and of descriptors, from the run's middle to its end.
MOST_GROWTH, MOST_DESCRIPTORS = 0.15, 8


class Guard:
    """The proxy's manners: a token of the moment, and a time in which it refuses everything."""

    def __init__(self) -> None:
        self.token = "first"
        self.closed_until = 0.0

    def __call__(self, kind: str, request: dict[str, Any]) -> tuple[int, bytes] | None:
        if time.monotonic() < self.closed_until:
            return 403, b"<html>closed</html>"
        if kind == "poll":
            fits = request["headers"].get("Authorization") == f"Bearer {self.token}"
            return None if fits else (401, b"Unauthorized")
        return None if request["head"].get("auth") == self.token else (401, b"<html>401</html>")


class Soak:
    """The fleet, what it is asked to do, and what is measured of it."""

    def __init__(self, folder: Path, processes: Processes, load: float) -> None:
        self.folder = folder
        self.processes = processes
        self.server = Server(kinds()[-1], processes, store=folder / "store.db")
        self.guard = Guard()
        self.gate = Gate(self.server.url)
        self.gate.answer = self.guard
        self.token = folder / "token"
        self.token.write_text(self.guard.token)
        self.rate = load * MEMBERS * SLOTS / (COST * (1 - 1 / FAIL_EVERY))
        self.members: list[subprocess.Popen[bytes]] = []
        self.expected: dict[str, str] = {}
        self.samples: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.chance = random.Random(7)

    def start(self) -> None:
        port = free_port()
        env = {
            "RESONATE_URL": self.gate.url,
            "RESONATE_TOKEN_FILE": str(self.token),
            "WORKER_STEWARD": f"127.0.0.1:{port}",
            "WORKER_FUNCTIONS": "tests.support.failing",
            "WORKER_SLOTS": str(SLOTS),
            "WORKER_RETRIES": "1",
            "WORKER_RETRY_DELAY": "0.1",
            "WORKER_HOST": "127.0.0.1",
            "WORKER_PORT": "0",
            "WORKER_LOG_FORMAT": "json",
            "WORKER_JOURNAL": str(self.folder / "journal"),
            "PYTHONDONTWRITEBYTECODE": "1",  # Python leaves half a file on a full disk
        }
        Fleet(self.server, self.processes, self.folder).steward(
            RESONATE_URL=self.gate.url,
            RESONATE_TOKEN_FILE=str(self.token),
            STEWARD_PRESENCE_PORT=str(port),
        )
        for number in range(MEMBERS):
            log = subprocess.PIPE if number == 0 else (self.folder / f"w{number}.log").open("wb")
            self.members.append(
                subprocess.Popen(
                    room_command("worker"),
                    env=clean_env(env | {"WORKER_NAME": f"w{number}"}),
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )

    def submit(self) -> None:
        """Create one job."""
        if self.chance.randrange(FAIL_EVERY):
            job = post_job(self.server, "compute_something", self.chance.uniform(0, 2 * COST))
            self.expected[job] = ""
        else:
            function = self.chance.choice(list(FAILURES))
            self.expected[post_job(self.server, function.__name__)] = FAILURES[function]

    def strike(self, part: float, seconds: float) -> None:
        """Do what is due at this part of the run, which lasts so many seconds."""
        due = [
            (0.15, "the reader of a log goes away", self._close_log),
            (0.30, "no file of a member may grow", lambda: self._files(4096)),
            (0.30 + 60 / seconds, "files may grow again", lambda: self._files(-1)),
            (0.50, "the token is rotated", self._rotate),
            (0.65, "the proxy refuses for 8 s", self._refuse),
        ]
        for at, what, act in due:
            if part >= at and what not in self.events:
                self.events.append(what)
                print(f"{part:.0%} {what}", flush=True)
                act()

    def _close_log(self) -> None:
        out = self.members[0].stdout
        if out is not None:
            out.close()

    def _files(self, size: int) -> None:
        _, hard = resource.prlimit(self.members[1].pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.members[1].pid, resource.RLIMIT_FSIZE, (size, hard))

    def _rotate(self) -> None:
        self.guard.token = "second"
        time.sleep(2)
        self.token.write_text(self.guard.token)

    def _refuse(self) -> None:
        self.guard.closed_until = time.monotonic() + 8

    def sample(self, part: float) -> None:
        for number, member in enumerate(self.members):
            status = Path(f"/proc/{member.pid}/status").read_text()
            rss = int(status.partition("VmRSS:")[2].split()[0]) / 1024
            count = len(list(Path(f"/proc/{member.pid}/fd").iterdir()))
            self.samples.append({"part": part, "member": number, "mb": rss, "descriptors": count})

    def run(self, seconds: float) -> None:
        began = time.monotonic()
        sampled, sent = 0.0, 0
        while (now := time.monotonic() - began) < seconds:
            self.strike(now / seconds, seconds)
            if now - sampled >= seconds / SAMPLES:
                sampled = now
                self.sample(now / seconds)
            while sent < now * self.rate:
                self.submit()
                sent += 1
            out = self.members[0].stdout
            if out is not None and not out.closed:
                os.set_blocking(out.fileno(), False)  # a member that says nothing holds nobody up
                out.read(1 << 20)
            time.sleep(0.01)

    def series(self, what: str) -> dict[str, list[float]]:
        """Return the least and the most of each tenth of the run, member by member."""
        found: dict[str, list[float]] = {}
        for member in range(MEMBERS):
            for tenth in range(10):
                own = [
                    one[what]
                    for one in self.samples
                    if one["member"] == member and int(one["part"] * 10) == tenth
                ]
                if own:
                    found.setdefault(f"w{member} least", []).append(round(min(own), 1))
                    found.setdefault(f"w{member} most", []).append(round(max(own), 1))
        return found

    def wrong(self) -> list[str]:
        """Wait for the rest; return what did not end as it should."""
        found, end = [], time.monotonic() + 120
        for job, expected in self.expected.items():
            error = expected.replace("job:1", f"{job}:1")
            while (promise := self.server.promise(job) or {})["state"] == "pending":
                if time.monotonic() > end:
                    break
                time.sleep(0.1)
            state = promise["state"]
            message = str((decoded(promise["value"]) or {}).get("message", "")) if error else ""
            if state != ("rejected" if error else "resolved") or error not in message:
                found.append(f"{job}: {state}, {message[:100]!r} where {error!r} was due")
        return found

    def stuck(self) -> list[str]:
        """Return the members that do not end in order, or grew."""
        found = []
        for number, member in enumerate(self.members):
            own = [one for one in self.samples if one["member"] == number]
            first = [one for one in own if 0.2 < one["part"] <= 0.6]
            last = [one for one in own if one["part"] > 0.6]
            # The most of both: a large result takes memory for a while, a leak takes it for good.
            for what, room in (("mb", 1 + MOST_GROWTH), ("descriptors", 1.0)):
                before, after = (max(one[what] for one in part) for part in (first, last))
                if after > before * room + (MOST_DESCRIPTORS if what == "descriptors" else 0):
                    found.append(f"member {number}: {what} from {before:.0f} to {after:.0f}")
            member.terminate()
        for number, member in enumerate(self.members):
            try:
                if member.wait(40) != 0:
                    found.append(f"member {number} ended with {member.returncode}")
            except subprocess.TimeoutExpired:
                found.append(f"member {number} did not end")
                member.kill()
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--load", type=float, default=0.8)
    parser.add_argument("--out", type=Path, help="a file for the figures")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, Processes(Path(root) / "logs") as processes:
        soak = Soak(Path(root), processes, asked.load)
        with soak.gate:
            soak.start()
            soak.run(asked.minutes * 60)
            found = soak.wrong() + soak.stuck()
    shares = Counter("good" if not error else "failing" for error in soak.expected.values())
    figures = {
        "minutes": asked.minutes, "load": asked.load, "server": kinds()[-1], "jobs": dict(shares),
        "events": soak.events, "wrong": found,
        "memory": soak.series("mb"), "descriptors": soak.series("descriptors"),
    }  # fmt: skip
    print(json.dumps(figures, indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
