"""Keeps a connection to each steward."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import structlog

from resonate_fleet.contract.backoff import Backoff
from resonate_fleet.contract.presence import Hello
from resonate_fleet.member.link import Link
from resonate_fleet.member.presence import Presence

#: Seconds until a lost connection is made again (the steward's grace is not much longer), and
#: between two tries to connect: first and longest.
AT_ONCE, FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.1, 1.0
#: Longest wait for a connection; pause between two look-ups of names with a steward, and without.
CONNECT_SECONDS, RESOLVE_SECONDS, RESOLVE_AGAIN_SECONDS = 5.0, 5.0, 1.0
#: Seconds between two checks whether the steward that has the slots still speaks.
CHECK_SECONDS = 0.25
#: Seconds without any steward after which this is logged.
SAY_SECONDS = 3.0
log = structlog.get_logger()

type Address = tuple[str, int]


class Connector:
    """Keeps a connection to each steward while `run` runs, on the event loop.

    `addresses` are hosts or names with a port; a name may stand for several stewards. `failed` is
    called for each try that ends without a welcome.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        hello: Hello,
        secret: str | None,
        presence: Presence,
        failed: Callable[[], None],
    ) -> None:
        self._addresses = addresses
        self._hello = hello
        self._secret = secret
        self._presence = presence
        self._failed = failed
        #: Why there is no connection, and since when there has been none.
        self._why: dict[str, str] = {}
        self._since: float | None = None
        self._said = False

    async def run(self) -> None:
        """Connect, and connect again, until cancelled or the member has left."""
        if not self._addresses:
            self._presence.fall_back()
            return
        self._presence.choose()
        kept: dict[Address, asyncio.Task[None]] = {}
        try:
            while True:
                found, links = await self._resolve(), self._presence.links
                for address in found - kept.keys():
                    kept[address] = asyncio.create_task(self._keep(address))
                await self._check_silence(RESOLVE_SECONDS if links else RESOLVE_AGAIN_SECONDS)
                for address in (
                    kept.keys() - found - {one.address for one in links} if found else ()
                ):
                    kept.pop(address).cancel()
        finally:
            for task in kept.values():
                task.cancel()

    async def _resolve(self) -> set[Address]:
        """Return the IP addresses behind `addresses` now; none if the look-up fails."""
        loop, found = asyncio.get_running_loop(), set[Address]()
        for host, port in self._addresses:
            try:
                infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                found |= {(str(info[4][0]), int(info[4][1])) for info in infos}
            except (OSError, UnicodeError) as error:  # UnicodeError: no possible name
                self._note(host, getattr(error, "strerror", None) or str(error))
        return found

    async def _check_silence(self, seconds: float) -> None:
        """Choose again and again for `seconds`: a silent steward may be stopped or stuck."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(min(CHECK_SECONDS, seconds))
            self._presence.choose()

    async def _keep(self, address: Address) -> None:
        pauses, link = Backoff(FIRST_PAUSE, LONGEST_PAUSE), None
        while not self._presence.said_bye:
            # Connect unless another address has led to the same steward.
            if link is None or all(one.rank != link.rank for one in self._presence.links):
                link = await self._connect(address)
                if link.welcome is not None:
                    self._since = None
                    pauses.reset()
                    await asyncio.sleep(AT_ONCE)
                    continue
            await asyncio.sleep(pauses.next())

    async def _connect(self, address: Address) -> Link:
        """Connect, and wait for the end of that connection."""
        link = Link(self._presence, address, self._hello, self._secret)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(lambda: link, *address)
            await link.ended.wait()
            if link.welcome is None:
                self._note(address, link.why_not)
        except OSError as error:  # TimeoutError is one
            self._note(address, str(error) or repr(error))
        finally:
            link.close()
        return link

    def _note(self, address: object, why: str) -> None:
        """Note why a steward cannot be reached; log it once if there is no other for a while."""
        self._failed()
        now, links = asyncio.get_running_loop().time(), self._presence.links
        if self._since is None:
            self._why.clear()
            self._since, self._said = now, False
        self._why[str(address)] = why
        if not links and not self._said and now - self._since >= SAY_SECONDS:
            self._said = True
            then = "it works by itself, unless its group's policy says to wait"
            log.warning("steward.unreachable", why=self._why, then=then)
