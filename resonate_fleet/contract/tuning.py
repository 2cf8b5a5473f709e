"""The fleet's settings of the server, shared by processes, Compose and Kubernetes.

Each value was chosen by a measurement, see docs/tuning.md.
"""

from typing import Final

SERVER_ENV: Final[dict[str, str]] = {
    # A hint waits half of this on average before it leaves: 50 ms at the default of 100.
    "RESONATE_MESSAGES__POLL_INTERVAL": "5",
    "RESONATE_MESSAGES__BATCH_SIZE": "100",
    # After this the hint of a waiting job is sent again. Each costs a write: dear with a backlog.
    "RESONATE_TASKS__RETRY_TIMEOUT": "60000",
    # Hints kept for a reader that is slower: the steward alone hears a group's hints.
    "RESONATE_TRANSPORTS__HTTP_POLL__BUFFER_SIZE": "10000",
    # Lapsed leases and due timers are searched for this often.
    "RESONATE_TIMEOUTS__POLL_INTERVAL": "200",
}

#: Lease that members ask for, in seconds: long, because the steward hands over leases of the dead.
LEASE_SECONDS: Final = 60.0
#: Time a member has to finish what it holds after SIGTERM, in seconds.
DRAIN_SECONDS: Final = 30.0
