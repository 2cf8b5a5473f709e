"""A thin Kubernetes API client: a handful of requests over HTTP (docs/decisions/0006).

API facts: API conventions of Kubernetes (status objects, `resourceVersion`, 409 for conflicts, 410
for watches that are too old, 429 for "not now").
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import msgspec

#: A pod's service account: token, certificate authority, namespace.
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: Longest wait for one answer, in seconds.
ANSWER_SECONDS: Final = 15.0
#: Tries of a request that may be repeated, and the pause between two, in seconds.
TRIES, PAUSE_SECONDS = 5, 0.3
#: Most that is repeated of an answer that is no object of Kubernetes.
LINE_BYTES: Final = 200

type Object = dict[str, Any]


class ClusterRefused(Exception):  # noqa: N818 - the API server's answer
    """The API server answered with a failure. `status` is the HTTP status."""

    def __init__(self, status: int, what: str, reason: str) -> None:
        super().__init__(f"{what}: {status} {reason}")
        self.status = status


class WatchExpired(Exception):  # noqa: N818 - a state that callers mend by listing anew
    """A watch asked for a version that the API server no longer has (410)."""


@dataclass(frozen=True)
class Access:
    """How an API server is reached: without `token` and `trust` it asks for no login."""

    url: str
    token: Path | None = None
    trust: ssl.SSLContext | None = None

    def headers(self) -> dict[str, str]:
        """Return the login. The token is read each time: the kubelet renews it."""
        return {} if self.token is None else {"Authorization": f"Bearer {_word(self.token)}"}


def own_access(env: Mapping[str, str], account: Path = ACCOUNT) -> Access | None:
    """Return the access of the pod that this process runs in, None outside a cluster.

    Raises:
        OSError: the pod has no service account.
    """
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return None
    url = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    return Access(url, account / "token", trusting(account / "ca.crt"))


def own_namespace(account: Path = ACCOUNT) -> str | None:
    """Return the namespace of the pod that this process runs in, None outside a cluster."""
    file = account / "namespace"
    return _word(file) if file.exists() else None


def trusting(authority: Path) -> ssl.SSLContext:
    """Return a TLS context that trusts `authority` alone.

    Python 3.13 demands key usage and key identifiers, which the authorities of EKS and MicroK8s
    lack. Only that demand is dropped: chain, dates and host names are checked.
    """
    context = ssl.create_default_context(cafile=str(authority))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class Cluster:
    """One API server and one namespace. Enter it to use it.

    `refused` is what a failure raises: ClusterRefused or a class of it.
    """

    def __init__(
        self,
        namespace: str,
        access: Access,
        *,
        tries: int = TRIES,
        refused: type[ClusterRefused] = ClusterRefused,
    ) -> None:
        self.namespace = namespace
        self.access = access
        self._tries = tries
        self._refused = refused
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=5)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # Paths.

    def pods(self, name: str = "", part: str = "") -> str:
        return _path(f"/api/v1/namespaces/{self.namespace}/pods", name, part)

    def deployments(self, name: str, part: str = "") -> str:
        return _path(f"/apis/apps/v1/namespaces/{self.namespace}/deployments", name, part)

    def secrets(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets"

    # Requests.

    async def get(self, path: str, **query: str) -> Object:
        """Read an object. Repeated while the API server does not answer or is too busy."""
        return await self._ask("GET", path, query=query, tries=self._tries)

    async def delete(self, path: str, options: Mapping[str, Any]) -> Object:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        return await self._ask("DELETE", path, body)

    async def create(self, path: str, body: Mapping[str, Any]) -> Object:
        return await self._ask("POST", path, body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Object:
        """Merge `body` into an object; a conflict (409) is tried again: merges commute here."""
        return await self._ask("PATCH", path, body, tries=self._tries)

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        tries: int = 1,
    ) -> Object:
        what = f"{method} {path}"
        data = None if body is None else msgspec.json.encode(body)
        while True:
            tries -= 1
            try:
                async with self._open(method, path, params=query, data=data) as answer:
                    raw, status = await answer.read(), answer.status
                    read = _object(raw)
                    # What does not reach the API server, such as `kubectl proxy`, says so in text.
                    text = raw[:LINE_BYTES].decode(errors="replace").strip().partition("\n")[0]
                    reason = str(read.get("message") or text or answer.reason)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                status, read = 503, {}
                reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            if status < 400:
                return read
            if tries <= 0 or not (status in (409, 429) or status >= 500):
                raise self._refused(status, what, reason)
            await asyncio.sleep(PAUSE_SECONDS)

    def _open(self, method: str, path: str, **options: Any) -> Any:
        if self._session is None:
            raise self._refused(503, path, "the cluster is not connected")
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": kind, "Accept": "application/json, */*", **self.access.headers()}
        trust = self.access.trust or True
        url = self.access.url + path
        return self._session.request(method, url, headers=headers, ssl=trust, **options)

    async def watch(self, path: str, version: str, **query: str) -> AsyncIterator[Object]:
        """Yield the events after `version` until the API server or the network ends the stream.

        Raises:
            WatchExpired: list anew, `version` is too old.
        """
        asked = {**query, "watch": "1", "resourceVersion": version}
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async for line in self._stream(path, asked):
                event = _object(line)
                if event.get("type") == "ERROR":
                    if event["object"].get("code") == 410:
                        raise WatchExpired
                    return
                if event:
                    yield event

    async def log(self, pod: str, **query: str) -> AsyncIterator[bytes]:
        """Yield the lines of a pod's log; none where it has none yet, or has gone."""
        with suppress(aiohttp.ClientError, TimeoutError, OSError, WatchExpired):
            async for line in self._stream(self.pods(pod, "log"), query):
                yield line

    async def _stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        unlimited = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with self._open("GET", path, params=query, timeout=unlimited) as answer:
            if answer.status == 410:
                raise WatchExpired
            if answer.status >= 400:
                return
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line


def _path(base: str, name: str, part: str) -> str:
    return "/".join(word for word in (base, name, part) if word)


def _object(raw: bytes) -> Object:
    try:
        read = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}
    return read if isinstance(read, dict) else {}


def _word(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()
