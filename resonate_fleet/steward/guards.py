"""Who may ask the console. It answers no page of another site, and acts only with its token.

The Host must be a name that no stranger's DNS can point here (against DNS rebinding): an address, a
name without a dot, one of the cluster's, or one that a setting allows. A request that another site
caused is refused. Each answer carries a strict Content-Security-Policy.
"""

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

_INSIDE: Final = (".localhost", ".svc", ".cluster.local", ".internal")

#: Answers a request.
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refused(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)


def guard(hosts: Sequence[str], peers: Sequence[str]) -> Middleware:
    """Return the middleware that refuses strangers and adds the headers to each answer."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handle) -> web.StreamResponse:
        why = _stranger(request, hosts)
        if why:
            return refused(403, why)
        response = await _answer(request, handler)
        if not response.prepared:
            response.headers.update(headers(peers))
            if request.path == "/livez":  # another steward's page checks whether this one answers
                response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    return guarded


async def _answer(request: web.Request, handler: Handle) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as answer:
        return refused(answer.status, answer.reason)
    except ConnectionError:
        raise
    except Exception:
        structlog.get_logger().exception("console.failed", path=request.path)
        raise


class ConnectionLimit:
    """Ends the oldest connections that ask nothing, as soon as there are more than `most` of them.

    Others need descriptors too.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._asking: list[web.Request] = []

    @web.middleware
    async def asked(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        """Keep the request's connection while it is answered."""
        self._asking.append(request)
        try:
            return await handler(request)
        finally:
            self._asking.remove(request)

    def watch(self, server: web.Server | None) -> None:
        """Look at the connections of `server` whenever one is made."""
        if server is None:
            return
        made = server.connection_made

        def make(handler: web.RequestHandler, transport: asyncio.Transport) -> None:
            made(handler, transport)
            kept = {one.transport for one in self._asking if one.content.is_eof()}
            others = [one for one in server.connections if one.transport not in kept]
            for one in others[: -self.most]:
                one.force_close()

        server.connection_made = make  # type: ignore[method-assign] # aiohttp has no hook for it


def headers(peers: Sequence[str]) -> dict[str, str]:
    """Return the headers of each answer; the page may ask `peers` besides its own steward."""
    connect = " ".join(["'self'", *peers])
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def has_token(request: web.Request, token: str) -> bool:
    """Say whether the request carries the token. Takes the same time for every wrong one."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    # A header's stray bytes come as surrogates.
    return hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())


def _stranger(request: web.Request, hosts: Sequence[str]) -> str | None:
    """Return why a request is refused before all else, or None."""
    origin = request.headers.get("Origin")
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
        came_from = None if origin is None else urlsplit(origin).netloc
    except ValueError:
        return "the host or the origin is no address"
    if not _is_ours(host) and host not in hosts:
        return f"the host {host[:100]!r} is not one of this steward's (STEWARD_CONSOLE_HOSTS)"
    if came_from not in (None, request.host):
        return "the request comes from another site's page"
    return None


def _is_ours(host: str) -> bool:
    """Say whether `host` is a name that no stranger can point to this machine."""
    if not host:  # no browser sends it so, and an `Origin: null` would be equal to it
        return False
    if "." not in host or host.endswith(_INSIDE):
        return True
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False
