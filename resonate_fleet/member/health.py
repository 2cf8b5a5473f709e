"""Whether the server takes this member's requests; logged once, not for each request."""

import time
from collections.abc import Callable

import structlog

#: Seconds for which requests fail before this is logged and the member counts as not ready.
LASTING = 2.0
log = structlog.get_logger()


class Health:
    """Hears of each answer. Safe to use from any thread.

    `count` gets the status of each answer that refuses the sender or is not the protocol's, and
    "none" for each request without an answer. `connected` says whether the stream is open; if it is
    not, that has been logged.
    """

    def __init__(
        self,
        count: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
        connected: Callable[[], bool] = lambda: True,
    ) -> None:
        self._count = count
        self._now = now
        self._connected = connected
        self._since: float | None = None
        self._why = ""
        self._said = False
        #: When the server last took a request.
        self.answered_at: float | None = None

    def answered(self) -> None:
        """Note that the server took a request."""
        if self._said and self._since is not None:
            log.info("requests.accepted", seconds=round(self._now() - self._since, 3))
        self._since, self._said = None, False
        self.answered_at = self._now()

    def silent(self, why: str, after: float = 0.0) -> None:
        """Note that the server gave no answer, `after` so many seconds."""
        self._count("none")
        self._fails(why, after)
        if self._connected():
            self._say()

    def refused(self, status: int, why: str) -> None:
        """Note an answer that would refuse any request: to a wrong token, or by a proxy."""
        self._count(str(status))
        self._fails(why)
        self._say()

    def _fails(self, why: str, after: float = 0.0) -> None:
        self._since = self._now() - after if self._since is None else self._since
        self._why = why

    def _say(self) -> None:
        if self.failing and not self._said:
            self._said = True
            then = "asked again; this member is not ready"
            log.error("requests.refused", why=self._why, then=then)

    @property
    def failing(self) -> str:
        """Why requests have failed for a while, "" if they have not."""
        since = self._since
        lasting = since is not None and self._now() - since >= LASTING
        return self._why if lasting else ""

    def takes(self, within: float) -> bool:
        """Say whether the server took a request in the last `within` seconds."""
        return self.answered_at is not None and self._now() - self.answered_at < within
