"""A Kubernetes API server in small: real HTTP, real watches, the faults that real ones have.

It keeps pods, Deployments and the deletion costs on pods; a Deployment's pods follow its replicas
at once. Faults are asked for by its fields.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Object = dict[str, Any]
NAMESPACE = "resonate-fleet"


class ApiServer:
    def __init__(self) -> None:
        self.version = 100
        self.pods: dict[str, Object] = {}
        self.deployments: dict[str, Object] = {}
        self.secrets: dict[str, Object] = {}
        self.logs: dict[str, list[bytes]] = {}
        self.events: list[Object] = []
        self.requests: list[tuple[str, str]] = []
        self.logins: list[str] = []
        self._moved = asyncio.Event()
        self._number = 0
        #: Faults: answers to give before the true one, by verb ("DELETE", "evict", "PATCH", "GET").
        self.answers: dict[str, list[int]] = {}
        self.forbidden: set[str] = set()
        self.break_watch_after = 10**9
        self.too_old_below = 0
        self.silent = False
        #: Pods that a Deployment no longer wants go on leaving until the test removes them.
        self.linger = False

    # What the cluster holds.

    def deploy(self, app: str, replicas: int) -> None:
        self.deployments[app] = {
            "metadata": {"name": app, "generation": 1},
            "spec": {
                "replicas": replicas,
                "template": {"metadata": {}, "spec": {"containers": [{"name": app, "env": []}]}},
            },
            "status": {},
        }
        self._reconcile(app)

    def add_pod(self, app: str, name: str = "", *, allowed: bool = True) -> str:
        self._number += 1
        name = name or f"{app}-{self._number:04x}"
        labels = {"app.kubernetes.io/name": app, "app.kubernetes.io/part-of": NAMESPACE}
        if allowed:
            labels["fleet.chaos"] = "allowed"
        pod = {
            "metadata": {"name": name, "uid": f"uid-{self._number}", "labels": labels},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        self.pods[name] = pod
        self.logs[name] = []
        if app == "worker":
            self.say(name, action="settings", WORKER_SLOTS=4, WORKER_LEASE=60.0)
            self.say(name, action="member.started", who=f"{name}-abcdef")
        self.happen("ADDED", pod)
        return name

    def say(self, pod: str, **fields: Any) -> None:
        """Let a pod log a line."""
        line = {"at": float(len(self.logs[pod]) + 1), "who": pod, **fields}
        self.logs[pod].append(json.dumps(line).encode())
        self._moved.set()

    def remove_pod(self, name: str) -> None:
        pod = self.pods.pop(name)
        self.happen("DELETED", pod)
        app = pod["metadata"]["labels"]["app.kubernetes.io/name"]
        if app in self.deployments:
            self._reconcile(app)

    def of(self, app: str) -> list[str]:
        key = "app.kubernetes.io/name"
        staying = self.pods.keys() - self.leaving()
        return [n for n in self.pods if n in staying and self._label(n, key) == app]

    def leaving(self) -> list[str]:
        return [n for n, pod in self.pods.items() if "deletionTimestamp" in pod["metadata"]]

    def _label(self, name: str, key: str) -> str:
        return str(self.pods[name]["metadata"]["labels"][key])

    def happen(self, kind: str, pod: Object) -> None:
        self.version += 1
        pod["metadata"]["resourceVersion"] = str(self.version)
        self.events.append({"type": kind, "object": copy.deepcopy(pod), "version": self.version})
        self._moved.set()

    def _reconcile(self, app: str) -> None:
        one = self.deployments[app]
        wanted = one["spec"]["replicas"]
        while len(self.of(app)) < wanted:
            self.add_pod(app)
        surplus = sorted(self.of(app), key=self.cost)[: max(0, len(self.of(app)) - wanted)]
        for name in surplus:
            self._retire(name)
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), wanted)
        one["status"] = {"observedGeneration": one["metadata"]["generation"], **counts}

    def _retire(self, name: str) -> None:
        if self.linger:
            self.pods[name]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            self.happen("MODIFIED", self.pods[name])
        else:
            self.happen("DELETED", self.pods.pop(name))

    def cost(self, name: str) -> int:
        notes = self.pods[name]["metadata"].get("annotations") or {}
        return int(notes.get("controller.kubernetes.io/pod-deletion-cost", "0"))

    # HTTP.

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._faults])
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        deployments = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
        app.router.add_post(f"/api/v1/namespaces/{NAMESPACE}/secrets", self._create_secret)
        app.router.add_get(pods, self._list)
        app.router.add_get(pods + "/{name}", self._get)
        app.router.add_delete(pods + "/{name}", self._delete)
        app.router.add_patch(pods + "/{name}", self._patch_pod)
        app.router.add_get(pods + "/{name}/log", self._log)
        app.router.add_post(pods + "/{name}/eviction", self._evict)
        app.router.add_get(deployments + "/{name}", self._get_deployment)
        app.router.add_patch(deployments + "/{name}", self._patch_deployment)
        app.router.add_patch(deployments + "/{name}/scale", self._patch_deployment)
        return app

    @web.middleware
    async def _faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        verb = "evict" if request.path.endswith("/eviction") else request.method
        self.requests.append((verb, request.path))
        self.logins.append(request.headers.get("Authorization", ""))
        if self.silent:
            await asyncio.sleep(3600)
        if verb in self.forbidden or f"{verb} {request.path.split('/')[5]}" in self.forbidden:
            return _status(403, "this account may not do that")
        if self.answers.get(verb):
            return _status(self.answers[verb].pop(0), "asked for by the test")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            return await self._watch(request)
        items = list(self.pods.values())
        return web.json_response(
            {"items": items, "metadata": {"resourceVersion": str(self.version)}}
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.too_old_below:
            return _status(410, "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        sent = 0
        while sent < self.break_watch_after:
            fresh = [event for event in self.events if event["version"] > since]
            for event in fresh[: self.break_watch_after - sent]:
                since, sent = event["version"], sent + 1
                line = json.dumps({"type": event["type"], "object": event["object"]}) + "\n"
                await response.write(line.encode())
            self._moved.clear()
            if not any(event["version"] > since for event in self.events):
                await self._moved.wait()
        return response

    async def _create_secret(self, request: web.Request) -> web.Response:
        secret = await request.json()
        if secret["metadata"]["name"] in self.secrets:
            return _status(409, "it exists")
        self.secrets[secret["metadata"]["name"]] = secret
        return web.json_response(secret, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        pod = self.pods.get(request.match_info["name"])
        return web.json_response(pod) if pod else _status(404, "no such pod")

    async def _delete(self, request: web.Request) -> web.Response:
        pod = self.pods.get(request.match_info["name"])
        if pod is None:
            return _status(404, "no such pod")
        options = await request.json()
        uid = options.get("preconditions", {}).get("uid", pod["metadata"]["uid"])
        if uid != pod["metadata"]["uid"]:
            return _status(409, "the UID in the precondition does not match")
        if options.get("gracePeriodSeconds") != 0:
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            self.happen("MODIFIED", pod)
        self.remove_pod(pod["metadata"]["name"])
        return web.json_response(pod)

    async def _evict(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["kind"] == "Eviction"
        assert body["apiVersion"] == "policy/v1"
        self.remove_pod(request.match_info["name"])
        return _status(201, "evicted")

    async def _patch_pod(self, request: web.Request) -> web.Response:
        pod = self.pods.get(request.match_info["name"])
        if pod is None:
            return _status(404, "no such pod")
        _merge(pod, await request.json())
        self.happen("MODIFIED", pod)
        return web.json_response(pod)

    async def _get_deployment(self, request: web.Request) -> web.Response:
        one = self.deployments.get(request.match_info["name"])
        return web.json_response(one) if one else _status(404, "no such deployment")

    async def _patch_deployment(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        one, patch = self.deployments[name], await request.json()
        template = copy.deepcopy(one["spec"]["template"])
        _merge(one, patch)
        one["metadata"]["generation"] += 1
        if one["spec"]["template"] != template:  # a new template replaces every pod
            for pod in self.of(name):
                self._retire(pod)
        self._reconcile(name)
        return web.json_response(one)

    async def _log(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in self.logs:
            return _status(404, "no such pod")
        response = web.StreamResponse()
        await response.prepare(request)
        sent = 0
        while True:
            lines = self.logs[name][sent:]
            for line in lines:
                await response.write(line + b"\n")
            sent += len(lines)
            if name not in self.pods:
                return response
            self._moved.clear()
            if sent == len(self.logs[name]):
                await self._moved.wait()


def _status(code: int, message: str) -> web.Response:
    body = {"kind": "Status", "code": code, "message": message}
    return web.json_response(body, status=code)


def _merge(into: Object, patch: Object) -> None:
    """A JSON merge patch (RFC 7396)."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


@asynccontextmanager
async def serving(server: ApiServer) -> AsyncIterator[str]:
    """Serve on a free port; yields the address."""
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
