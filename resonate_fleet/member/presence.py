"""Presence: connections to the stewards, which the kernel closes when this process dies."""

import asyncio
import os
import random
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog

from resonate_fleet.contract import presence as wire
from resonate_fleet.contract.presence import FromSteward, Hello, Report
from resonate_fleet.member.link import Link
from resonate_fleet.member.news import Listener, News

#: Seconds before a lost connection is made again (the steward's grace is not much longer), and
#: between two tries to connect: first and longest.
AT_ONCE, FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.1, 1.0
#: Longest wait for a connection, and pause between two looks at what names stand for, in seconds:
#: with a steward, and without any.
CONNECT_SECONDS, RESOLVE_SECONDS, RESOLVE_AGAIN_SECONDS = 5.0, 5.0, 1.0
#: Longest wait for the loop to say goodbye, in seconds.
BYE_SECONDS = 0.5
#: Seconds without any steward after which the member looks for work by itself.
FALL_BACK_SECONDS = 0.5
#: Pause between two looks whether the steward that is served still speaks, in seconds.
CHECK_SECONDS = 0.25
#: Seconds without any steward after which this is said.
SAY_SECONDS = 3.0
#: What has no haste waits so long for company, in seconds.
LAZY_SECONDS = 0.01
log = structlog.get_logger()

type Address = tuple[str, int]


class Presence:
    """Holds a connection to each steward there is while `run` runs.

    `addresses` are hosts or names with a port; a name may stand for several stewards. All methods
    but `leave` are to be called on the event loop.
    """

    def __init__(
        self, addresses: Sequence[Address], hello: Hello, secret: str | None, listener: Listener
    ) -> None:
        self._addresses = addresses
        self._hello = msgspec.structs.replace(hello, key=secrets.token_hex(16))
        self._secret = secret
        self._listener = listener
        self._links: set[Link] = set()
        self._served: Link | None = None
        self._news = News()
        self._full: list[str] = []
        self._flush: asyncio.Handle | None = None
        self._flush_now = False
        self._alone: asyncio.TimerHandle | None = None
        #: The last steward said that this group waits where there is none.
        self._waits = False
        self._left = False
        self._said_bye = threading.Event()
        #: Why there is no connection, and since when there has been none.
        self._why: dict[str, str] = {}
        self._none_since: float | None = None
        self._said = False
        #: Told of each try that led to no welcome.
        self.failed: Callable[[], None] = lambda: None

    # What the member tells.

    def claimed(self, task: str, attempt: int, function: str) -> None:
        self._news.claimed.append((task, attempt, function))
        self._tell(at_once=False)

    def ended(self, task: str, attempt: int, outcome: str) -> None:
        self._news.ended.append((task, attempt, outcome))
        self._tell(at_once=False)

    def refused(self, task: str, version: int) -> None:
        self._news.refused.append((task, version))
        self._tell()

    def returned(self, task: str) -> None:
        self._news.returned.append(task)
        self._tell()

    def declined(self, task: str, lacks: str) -> None:
        self._news.declined.append((task, lacks))
        self._tell()

    def filled(self, full: list[str]) -> None:
        """No more of these functions may begin here now, whichever others may."""
        if full != self._full:
            self._full = self._news.full = full
            self._tell()

    def freed(self) -> None:
        """A slot may have become free."""
        self._tell()

    def drain(self) -> None:
        """Offer nothing any more."""
        for link in self._links:
            link.say(wire.Withdraw(draining=True))

    def _tell(self, *, at_once: bool = True) -> None:
        """Send one report for all that happens in this turn of the loop, or in the next few."""
        if self._flush is not None and (self._flush_now or not at_once):
            return
        if self._flush is not None:
            self._flush.cancel()
        loop = asyncio.get_running_loop()
        self._flush_now = at_once
        self._flush = (
            loop.call_soon(self._report) if at_once else loop.call_later(LAZY_SECONDS, self._report)
        )

    def _report(self) -> None:
        self._flush = None
        news, self._news = self._news, News()
        free = self._listener.offer() if self._served is not None else 0
        for link in self._links:
            report = news.report(free if link is self._served else 0)
            if report != Report():
                link.say(report)

    # Connections.

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        self._choose()
        os.register_at_fork(after_in_child=self._drop)
        kept: dict[Address, asyncio.Task[None]] = {}
        try:
            while self._addresses:
                found = await self._resolve()
                for address in found - kept.keys():
                    kept[address] = asyncio.create_task(self._keep(address))
                await self._watch(RESOLVE_SECONDS if self._links else RESOLVE_AGAIN_SECONDS)
                held = {link.address for link in self._links}
                for address in kept.keys() - found - held if found else ():
                    kept.pop(address).cancel()
        finally:
            for task in kept.values():
                task.cancel()

    async def _resolve(self) -> set[Address]:
        """Return what the addresses stand for just now; nothing where nobody can say."""
        loop, found = asyncio.get_running_loop(), set[Address]()
        for host, port in self._addresses:
            try:
                infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                found |= {(str(info[4][0]), int(info[4][1])) for info in infos}
            except (OSError, UnicodeError) as error:  # no such name, or none that could be
                self._note(host, getattr(error, "strerror", None) or str(error))
        return found

    def _note(self, address: object, why: str) -> None:
        """Note why a steward cannot be had; say it once where that goes on without any other."""
        self.failed()
        self._why[str(address)] = why
        now = asyncio.get_running_loop().time()
        self._none_since = now if self._none_since is None else self._none_since
        if not (self._links or self._said or self._left) and now - self._none_since >= SAY_SECONDS:
            self._said = True
            log.warning("steward.unreachable", why=self._why, then="it looks for work by itself")

    async def _watch(self, seconds: float) -> None:
        """Turn away from a steward that says nothing any more: it may be stopped, or stuck."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(min(CHECK_SECONDS, seconds))
            self._choose()

    async def _keep(self, address: Address) -> None:
        loop, pause, link = asyncio.get_running_loop(), 0.0, Link(self, address)
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            if any(one.rank == link.rank for one in self._links):
                continue  # another address leads to the same steward
            link = Link(self, address)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await loop.create_connection(lambda: link, *address)  # noqa: B023 - called at once
                await link.ended.wait()
                if link.welcome is None:
                    self._note(address, link.why_not)
            except OSError as error:  # TimeoutError is one
                self._note(address, str(error) or repr(error))
            finally:
                link.close()
            if link.welcome is not None:
                pause = AT_ONCE

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say goodbye and close: this member holds nothing any more. From a thread of its own."""
        if self._left:
            return
        self._left = True
        with suppress(RuntimeError):  # the loop has closed, and the connections with it
            loop.call_soon_threadsafe(self._bye)
            if not self._said_bye.wait(BYE_SECONDS):
                self._bye_beside_the_loop()

    def _bye(self) -> None:
        for link in list(self._links):
            link.say(wire.Bye())
            link.close()
        self._said_bye.set()

    def _bye_beside_the_loop(self) -> None:
        """User code blocks the loop: without a goodbye the end would look like a death."""
        for link in list(self._links):
            descriptor = link.descriptor()
            if descriptor is not None:
                with suppress(OSError):
                    os.write(descriptor, wire.line(wire.Bye()))

    def _drop(self) -> None:
        """Close a forked child's copies: they would keep the connections open beyond our death."""
        for link in self._links:
            descriptor = link.descriptor()
            if descriptor is not None:
                with suppress(OSError):
                    os.close(descriptor)

    # What links tell.

    def hello(self, nonce: str) -> Hello:
        fresh = msgspec.structs.replace(self._hello, nonce=secrets.token_hex(16))
        proof = wire.prove(self._secret, "member", nonce, fresh)
        return msgspec.structs.replace(fresh, proof=proof)

    def trusts(self, nonce: str, hello: Hello, proof: str) -> bool:
        return wire.proven(self._secret, "steward", nonce, hello, proof)

    def welcomed(self, link: Link) -> None:
        if self._left:
            link.say(wire.Bye())
            link.close()
            return
        self._links.add(link)
        self._why.clear()
        self._none_since, self._said = None, False
        log.info("presence.held", steward=link.rank[1])
        link.say(wire.Held(self._listener.held(), self._full))
        self._choose()

    def lost(self, link: Link) -> None:
        if link in self._links:
            self._links.discard(link)
            log.info("presence.lost", steward=link.rank[1])
            self._choose()

    def heard(self, link: Link, message: FromSteward) -> None:
        match message:
            case wire.Assign(tasks=tasks):
                self._listener.assigned(tasks, offered=link is self._served)
            case wire.Released(tasks=tasks):
                self._listener.released(tasks)
            case wire.Cancel(tasks=jobs):
                self._listener.cancelled(jobs)

    # Whom the slots are offered to.

    def _choose(self) -> None:
        now = asyncio.get_running_loop().time()
        there = [one for one in self._links if now - one.heard_at < wire.SILENT_SECONDS]
        chosen = min(there, key=lambda one: one.rank, default=None)
        if chosen is not None and chosen is not self._served:
            self._serve(chosen)
        elif chosen is None and self._served is not None:
            self._served = None
            self._listener.withdrawn()
        if chosen is None and self._alone is None:
            wait = FALL_BACK_SECONDS if self._addresses else 0.0
            self._alone = asyncio.get_running_loop().call_later(wait, self._fall_back)

    def _serve(self, chosen: Link) -> None:
        if self._alone is not None:
            self._alone.cancel()
            self._alone = None
        if self._served in self._links and self._served is not None:
            self._served.say(wire.Withdraw())
        self._served = chosen
        self._waits = chosen.welcome is not None and chosen.welcome.waits
        self._listener.withdrawn()
        self._listener.alone(on=False)
        self._tell()

    def _fall_back(self) -> None:
        if not self._waits:
            self._listener.alone(on=True)
