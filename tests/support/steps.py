"""Random sequences of requests over a few ids, so that they meet in every way."""

import random
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from resonate_fleet.server.state import State

#: Virtual time of a sequence's first step, in Unix milliseconds.
START = 1_000_000_000_000
#: Passing more virtual time than this between two steps lets everything lapse at once.
_PAUSES = [0, 0, 1, 10, 1_000, 3_000, 31_000]

_IDS = ["a", "a.1", "a.2", "b", "b.1"]
KINDS = [
    *["promise.create"] * 5,
    *["task.acquire"] * 6,
    *["task.suspend"] * 4,
    *["task.fulfill", "task.create", "task.release", "tick"] * 2,
    *["promise.get", "promise.settle", "promise.register_callback", "promise.register_listener"],
    *["promise.search", "task.get", "task.search", "task.heartbeat", "task.halt", "task.continue"],
    *["fence.create", "fence.settle", "task.nonsense"],
    *["schedule.create", "schedule.search"] * 2,
    *["schedule.get", "schedule.delete"],
]
#: Templates and expressions of schedules, by the length of the lease in the same step.
_TEMPLATES = {1: "a", 5_000: "{{.id}}.{{.timestamp}}", 60_000: "run-{{.timestamp}}"}
_CRONS = {1: "*/5 * * * * *", 5_000: "* * * * *", 60_000: "0 25 1 * * 2"}
_TAGS: list[dict[str, str]] = [
    {"resonate:target": "poll://any@workers"},
    {"resonate:target": "poll://any@workers", "resonate:branch": "a"},
    {"resonate:target": "poll://uni@workers/w1", "resonate:timer": "true"},
    {"resonate:timer": "true", "resonate:branch": "a"},
    {},
]


@dataclass(frozen=True)
class Step:
    """One step: a pause in milliseconds, then a request or a tick.

    `off` is added to the version that the task really has, `after` to the time for a timeout.
    """

    pause: int
    what: str
    id: str
    other: str
    pid: str
    ttl: int
    after: int
    off: int
    tags: dict[str, str]
    verdict: str
    limit: int

    def request(self, state: State, now: int) -> tuple[str, dict[str, Any]]:
        """Return kind and data; the version is the task's of the moment, plus `off`."""
        # A search, for it changes nothing; a get would let the promise run out.
        tasks = state.apply(now, "task.search", {"limit": 1000}).data["tasks"]
        version = next((task["version"] for task in tasks if task["id"] == self.id), 0)
        held = {"id": self.id, "version": max(0, version + self.off)}
        if self.what.startswith("fence."):
            kind = self.what.replace("fence", "promise")
            action = {"kind": kind, "head": {}, "data": self._data(kind, self.other, now)}
            return "task.fence", held | {"action": action}
        if self.what == "schedule.create":
            return self.what, self._schedule(self.id)
        if self.what.startswith("task."):
            return self.what, self._task_data(held, now)
        return self.what, self._data(self.what, self.id, now)

    def _data(self, kind: str, id: str, now: int) -> dict[str, Any]:
        match kind:
            case "promise.create":
                param = {"headers": {}, "data": str(self.ttl)}
                timeout = max(0, now + self.after)
                return {"id": id, "timeoutAt": timeout, "param": param, "tags": self.tags}
            case "promise.settle":
                return {"id": id, "state": self.verdict, "value": {"data": self.pid}}
            case "promise.register_callback":
                return {"awaited": self.other, "awaiter": id}
            case "promise.register_listener":
                return {"awaited": id, "address": f"poll://uni@clients/{self.pid}"}
            case "promise.search" | "schedule.search":
                tags = {"tags": self.tags} if self.off == 0 else {}
                after = {"cursor": self.other} if kind == "promise.search" else {}
                return {"limit": self.limit} | after | tags
        return {"id": id}

    def _schedule(self, id: str) -> dict[str, Any]:
        return {
            "id": id,
            "cron": _CRONS[self.ttl] if self.off == 0 else "* * * *",
            "promiseId": _TEMPLATES[self.ttl],
            "promiseTimeout": self.after,
            "promiseParam": {"data": self.pid},
            "promiseTags": self.tags,
        }

    def _task_data(self, held: dict[str, Any], now: int) -> dict[str, Any]:
        lease = {"pid": self.pid, "ttl": self.ttl}
        match self.what:
            case "task.create":
                return lease | {"action": self._action("promise.create", now)}
            case "task.acquire":
                return held | lease
            case "task.fulfill":
                return held | {"action": self._action("promise.settle", now)}
            case "task.suspend":
                return held | {"actions": [self._action("promise.register_callback", now)]}
            case "task.search":
                return {"limit": self.limit, "state": "pending" if self.off else None}
        return held | {"pid": self.pid, "tasks": [held]}

    def _action(self, kind: str, now: int) -> dict[str, Any]:
        return {"kind": kind, "head": {}, "data": self._data(kind, self.id, now)}


#: What happens to two promises in a row, where chance alone would seldom bring it about. Each
#: step takes ids, member and times from the same draw, but for what stands beside its name.
_STORIES: list[list[tuple[str, dict[str, Any]]]] = [
    [  # a lease that is extended in time, and looked at when the first one would be over
        ("promise.create", {"after": 3_600_000, "tags": _TAGS[0]}),
        ("task.acquire", {"ttl": 5_000}),
        ("task.heartbeat", {"pause": 3_000}),
        ("tick", {"pause": 3_000}),
        ("tick", {"pause": 2_000}),
    ],
    [  # a heartbeat of somebody else
        ("promise.create", {"after": 3_600_000, "tags": _TAGS[0]}),
        ("task.acquire", {"ttl": 5_000, "pid": "w1"}),
        ("task.heartbeat", {"pause": 3_000, "pid": "w2"}),
        ("tick", {"pause": 3_000}),
    ],
    [  # a task that sleeps until the other promise settles
        ("promise.create", {"after": 3_600_000, "tags": _TAGS[0]}),
        ("task.acquire", {"ttl": 60_000}),
        ("create other", {}),
        ("task.suspend", {}),
        ("settle other", {}),
        ("tick", {}),
        ("task.acquire", {}),
    ],
    [  # a task that is told while it runs, and then goes to sleep on something else
        ("promise.create", {"after": 3_600_000, "tags": _TAGS[0]}),
        ("task.acquire", {"ttl": 60_000}),
        ("create other", {}),
        ("promise.register_callback", {}),
        ("settle other", {}),
        ("task.get", {}),
        ("task.suspend", {}),
        ("task.get", {}),
    ],
    [  # the same for a task that nobody holds
        ("promise.create", {"after": 3_600_000, "tags": _TAGS[0]}),
        ("create other", {}),
        ("settle other", {}),
        ("promise.register_callback", {}),
        ("tick", {}),
        ("task.acquire", {}),
    ],
    [  # a listener is told once
        ("promise.create", {"after": 3_000}),
        ("promise.register_listener", {}),
        ("promise.get", {"pause": 3_000}),
        ("promise.settle", {}),
        ("tick", {}),
    ],
    [  # a schedule that runs late, twice, and whose job is claimed
        ("schedule.create", {"ttl": 5_000, "after": 3_600_000, "tags": _TAGS[0]}),
        ("tick", {"pause": 31_000}),
        ("tick", {"pause": 31_000}),
        ("tick", {"pause": 31_000}),
        ("promise.search", {"other": "", "off": 1, "limit": 50}),
        ("schedule.get", {}),
    ],
    [  # a lease that ends in the same look as the promise awaited
        ("promise.create", {"after": 3_600_000, "tags": _TAGS[0]}),
        ("create other", {"after": 3_000, "tags": _TAGS[0]}),
        ("task.acquire", {"ttl": 3_000}),
        ("promise.register_callback", {}),
        ("task.suspend", {"pause": 3_000}),
        ("tick", {}),
    ],
]


def _choices(kinds: list[str]) -> dict[str, list[Any]]:
    """What each part of a step is chosen from."""
    return {
        "pause": _PAUSES,
        "what": kinds,
        "id": _IDS,
        "other": _IDS,
        "pid": ["w1", "w2"],
        "ttl": [1, 5_000, 60_000],
        "after": [-1, 0, 3_000, 60_000, 3_600_000],
        "off": [0, 0, 0, 0, 0, -1, 1],
        "tags": _TAGS,
        "verdict": ["resolved", "rejected", "rejected_canceled"],
        "limit": [1, 2, 50],
    }


def random_step(chance: random.Random, kinds: list[str]) -> Step:
    """Return a step for a recording: one of `kinds`."""
    return Step(**{name: chance.choice(values) for name, values in _choices(kinds).items()})


def sequences(longest: int = 60) -> st.SearchStrategy[list[Step]]:
    """Some `longest` steps at most: single ones and stories, in any order."""
    draws = {name: st.sampled_from(values) for name, values in _choices(KINDS).items()}
    step = st.builds(Step, **draws)
    stories = st.builds(_told, step, st.sampled_from(_STORIES))
    parts = st.lists(
        st.one_of(step.map(lambda one: [one]), stories),
        min_size=longest // 8,
        max_size=longest // 4,
    )
    return parts.map(lambda found: [one for part in found for one in part][:longest])


def _told(drawn: Step, story: list[tuple[str, dict[str, Any]]]) -> list[Step]:
    """Return the steps of a story about the ids of `drawn`, with nothing unexpected between."""
    plain = replace(drawn, pause=0, off=0)
    return [_about(plain, what, change) for what, change in story]


def _about(plain: Step, what: str, change: dict[str, Any]) -> Step:
    kind, _, other = what.partition(" ")
    if other:
        return replace(plain, what=f"promise.{kind}", id=plain.other, other=plain.id, **change)
    return replace(plain, what=what, **change)


def queue_and_tasks(state: State) -> dict[str, Any]:
    """Everything that is queued for delivery, and every task: what a tick can change."""
    messages = [
        {"address": address, "message": {"kind": kind, "head": {}, "data": data}}
        for address, kind, data in state.outgoing(1_000_000)
    ]
    tasks: list[Any] = []
    cursor: str | None = None
    while True:
        page = state.apply(0, "task.search", {"limit": 1000, "cursor": cursor}).data
        tasks += page["tasks"]
        cursor = page.get("cursor")
        if cursor is None:
            return {"messages": messages, "tasks": tasks}


def comparable(data: Any) -> Any:
    """Leave out of a reply what may differ: the words of errors and correlation ids."""
    if isinstance(data, str):
        return "(an error)"
    if isinstance(data, dict) and "action" in data:
        inner = data["action"]
        head = {name: value for name, value in inner["head"].items() if name != "corrId"}
        return data | {"action": inner | {"head": head, "data": comparable(inner["data"])}}
    return data
