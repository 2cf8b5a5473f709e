"""The pods of a fleet, kept up to date by a watch, and their logs, which are the journals."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from resonate_fleet.chaos.place import OPT_IN, PlaceFailed
from resonate_fleet.contract.kubernetes import Cluster, Object, WatchExpired
from resonate_fleet.contract.loops import cancel

LABEL: Final = "app.kubernetes.io/part-of=resonate-fleet"
NAME_LABEL: Final = "app.kubernetes.io/name"
#: Seconds before a watch or a log that ended is opened again.
AGAIN_SECONDS: Final = 0.2


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as a run needs it. `app` is its part in the fleet; `leaving`: it is being deleted.

    `restarts`: of its containers, since it was made.
    """

    name: str
    uid: str
    app: str
    allowed: bool
    ready: bool
    leaving: bool
    restarts: int


def read_pod(raw: Object) -> Pod:
    meta = raw["metadata"]
    labels: dict[str, str] = meta.get("labels") or {}
    status: Object = raw.get("status", {})
    conditions = status.get("conditions") or []
    return Pod(
        name=meta["name"],
        uid=meta["uid"],
        app=labels.get(NAME_LABEL, ""),
        allowed=labels.get(OPT_IN[0]) == OPT_IN[1],
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
        leaving="deletionTimestamp" in meta,
        restarts=sum(one["restartCount"] for one in status.get("containerStatuses") or []),
    )


class Pods:
    """Follows pods and the logs of those in `journal_apps` until closed.

    Each log goes line by line into a file of `folder`, so that what a pod has said outlives it.
    """

    def __init__(self, cluster: Cluster, folder: Path, journal_apps: tuple[str, ...]) -> None:
        self._cluster = cluster
        self._folder = folder
        self._apps = journal_apps
        self._pods: dict[str, Pod] = {}
        #: Name of the member that runs in a pod now, by pod.
        self.members: dict[str, str] = {}
        #: When the steward in a pod started, in Unix seconds, by pod.
        self.stewards: dict[str, float] = {}
        #: What a pod said it runs with, by pod.
        self.settings: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """List the pods once, then keep following them."""
        self._folder.mkdir(parents=True, exist_ok=True)
        version = await self._list()
        self._tasks[""] = asyncio.create_task(self._follow(version))

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        await cancel(tasks)

    def of(self, app: str) -> list[Pod]:
        """Return the pods of a part of the fleet that are not being deleted."""
        return [pod for pod in self._pods.values() if pod.app == app and not pod.leaving]

    def ready(self, app: str) -> list[Pod]:
        return [pod for pod in self.of(app) if pod.ready]

    def at_rest(self) -> bool:
        """Say whether no pod is being deleted, so that none logs its end."""
        return not any(pod.leaving for pod in self._pods.values())

    def get(self, name: str) -> Pod | None:
        return self._pods.get(name)

    def silent(self, name: str) -> bool:
        """Say whether a pod is deleted and its log has been read to the end."""
        task = self._tasks.get(name)
        return name not in self._pods and (task is None or task.done())

    # The watch.

    async def _list(self) -> str:
        listed = await self._cluster.get(self._cluster.pods(), labelSelector=LABEL)
        found = {pod.name: pod for pod in map(read_pod, listed.get("items", []))}
        for name in self._pods.keys() - found.keys():
            del self._pods[name]
        for pod in found.values():
            self._take(pod)
        return str(listed["metadata"]["resourceVersion"])

    async def _follow(self, version: str) -> None:
        path = self._cluster.pods()
        while True:
            try:
                async for event in self._cluster.watch(path, version, labelSelector=LABEL):
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] == "DELETED":
                        self._pods.pop(event["object"]["metadata"]["name"], None)
                    elif event["type"] != "BOOKMARK":
                        self._take(read_pod(event["object"]))
            except WatchExpired:
                version = ""
            await asyncio.sleep(AGAIN_SECONDS)
            with suppress(PlaceFailed):
                version = await self._list()

    def _take(self, pod: Pod) -> None:
        """Note the pod. Its log is read to the end, also when the pod is gone."""
        self._pods[pod.name] = pod
        if pod.app in self._apps and pod.name not in self._tasks:
            self._tasks[pod.name] = asyncio.create_task(self._keep_log(pod.name))

    # Logs.

    async def _keep_log(self, pod: str) -> None:
        """Write the log of one pod; a container that starts again continues in the same file."""
        last = 0.0
        with (self._folder / f"{pod}.jsonl").open("ab", buffering=0) as file:
            while True:
                known = last  # a log opened anew begins from its start
                async for line in self._cluster.log(pod, follow="true"):
                    at = self._line(pod, line)
                    if at is not None and at > known:
                        last = max(last, at)
                        file.write(line + b"\n")
                if pod not in self._pods:
                    return
                await asyncio.sleep(AGAIN_SECONDS)

    def _line(self, pod: str, line: bytes) -> float | None:
        """Return the time of a log line of ours, None for anything else; note who speaks."""
        try:
            fields = msgspec.json.decode(line)
        except msgspec.DecodeError:
            return None
        if not isinstance(fields, dict) or not isinstance(fields.get("at"), int | float):
            return None
        if fields.get("action") == "settings":
            self.settings[pod] = fields
        if fields.get("action") == "member.started":
            self.members[pod] = str(fields.get("who"))
        if fields.get("action") == "steward.started":
            self.stewards[pod] = float(fields["at"])
        return float(fields["at"])
