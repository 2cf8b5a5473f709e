"""A Kubernetes API server as a run uses it: plain HTTP, a handful of requests, nothing hidden.

Inside a cluster the pod's own service account is used, elsewhere `kubectl proxy`, which knows every
way to log in that a kubeconfig may name. API facts: API conventions of Kubernetes (status objects,
`resourceVersion`, 409 for conflicts, 410 for watches that are too old, 429 for "not now").
"""

import asyncio
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import msgspec

from resonate_fleet.chaos.place import PlaceFailed

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: Longest wait for one answer, in seconds.
ANSWER_SECONDS: Final = 15.0
#: Tries of a request that may be repeated, and the pause between two, in seconds.
TRIES, PAUSE_SECONDS = 5, 0.3

Object = dict[str, Any]


class ClusterRefused(PlaceFailed):
    """The API server answered with a failure. `status` is the HTTP status."""

    def __init__(self, status: int, what: str, told: str) -> None:
        super().__init__(f"{what}: {status} {told}")
        self.status = status


class Gone(Exception):  # noqa: N818 - a state that callers mend by listing anew
    """A watch asked for a version that the API server no longer has (410)."""


class Cluster:
    """One API server and one namespace. Enter it to use it.

    `url` None means: the cluster that this process runs in, or the one that `kubectl` speaks to.
    """

    def __init__(self, namespace: str, url: str | None = None) -> None:
        self.namespace = namespace
        self.url = url or ""
        self._headers: dict[str, str] = {}
        self._ssl: ssl.SSLContext | None = None
        self._proxy: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        if not self.url and "KUBERNETES_SERVICE_HOST" in os.environ:
            self._be_inside()
        elif not self.url:
            await self._start_proxy()
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=5)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        if self._proxy is not None and self._proxy.returncode is None:
            self._proxy.terminate()
            await self._proxy.wait()

    def _be_inside(self) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        self.url = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}"}
        self._ssl = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))

    async def _start_proxy(self) -> None:
        if shutil.which("kubectl") is None:
            raise PlaceFailed("kubectl is not installed here")
        self._proxy = await asyncio.create_subprocess_exec(
            *("kubectl", "proxy", "--port=0"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        told = b""
        if self._proxy.stdout is not None:
            with suppress(TimeoutError):
                told = await asyncio.wait_for(self._proxy.stdout.readline(), ANSWER_SECONDS)
        found = re.search(r"127\.0\.0\.1:\d+", told.decode(errors="replace"))
        if found is None:
            raise PlaceFailed(f"kubectl proxy: {told.decode(errors='replace').strip()}")
        self.url = f"http://{found.group()}"

    # Paths.

    def pods(self, name: str = "", part: str = "") -> str:
        return _path(f"/api/v1/namespaces/{self.namespace}/pods", name, part)

    def deployments(self, name: str, part: str = "") -> str:
        return _path(f"/apis/apps/v1/namespaces/{self.namespace}/deployments", name, part)

    def service_url(self, name: str, port: str) -> str:
        """Return the address of a service as seen from where this process runs."""
        if self._headers:
            return f"http://{name}.{self.namespace}:{port}"
        path = f"/api/v1/namespaces/{self.namespace}/services/{name}:{port}/proxy"
        return f"{self.url}{path}"

    # Requests.

    async def get(self, path: str, **query: str) -> Object:
        """Read an object. Repeated where the API server does not answer or is too busy."""
        return await self._repeat("GET", path, query=query)

    async def delete(self, path: str, options: Mapping[str, Any]) -> Object:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        return await self._ask("DELETE", path, body=body)

    async def create(self, path: str, body: Mapping[str, Any]) -> Object:
        return await self._ask("POST", path, body=body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Object:
        """Merge `body` into an object; a conflict (409) is tried again: merges commute here."""
        return await self._repeat("PATCH", path, body=body)

    async def _repeat(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Object:
        for left in reversed(range(TRIES)):
            try:
                return await self._ask(method, path, body=body, query=query)
            except ClusterRefused as refused:
                busy = refused.status in (409, 429) or refused.status >= 500
                if not busy or not left:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError("the last try returns or raises")

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Object:
        what = f"{method} {path}"
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            async with self._client.request(
                method,
                self.url + path,
                params=query,
                data=None if body is None else msgspec.json.encode(body),
                headers={**self._headers, "Content-Type": kind, "Accept": "application/json"},
                ssl=self._ssl or True,
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            raise ClusterRefused(503, what, told) from None
        answer = _object(raw)
        if response.status >= 400:
            raise ClusterRefused(response.status, what, str(answer.get("message", response.reason)))
        return answer

    async def watch(self, path: str, version: str, **query: str) -> AsyncIterator[Object]:
        """Yield the events after `version` until the API server or the network ends the stream.

        Raises:
            Gone: list anew, `version` is too old.
        """
        asked = {**query, "watch": "1", "resourceVersion": version}
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async for line in self._stream(path, asked):
                event = _object(line)
                if event.get("type") == "ERROR":
                    if event["object"].get("code") == 410:
                        raise Gone
                    return
                if event:
                    yield event

    async def log(self, pod: str, **query: str) -> AsyncIterator[bytes]:
        """Yield the lines of a pod's log; none where it has none yet, or has gone."""
        with suppress(aiohttp.ClientError, TimeoutError, OSError, Gone):
            async for line in self._stream(self.pods(pod, "log"), query):
                yield line

    async def _stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        unlimited = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with self._client.get(
            self.url + path,
            params=query,
            headers=self._headers,
            ssl=self._ssl or True,
            timeout=unlimited,
        ) as response:
            if response.status == 410:
                raise Gone
            if response.status >= 400:
                return
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line

    @property
    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise PlaceFailed("the cluster is not connected")
        return self._session


def _path(base: str, name: str, part: str) -> str:
    return "/".join(word for word in (base, name, part) if word)


def _object(raw: bytes) -> Object:
    try:
        read = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}
    return read if isinstance(read, dict) else {}
