"""Settings of the server that the fleet runs with, in one place for processes, Compose, k8s.

Each value was chosen by a measurement that docs/tuning.md keeps.
"""

from typing import Final

SERVER_ENV: Final[dict[str, str]] = {
    # A hint waits half of this on average before it leaves: 50 ms at the default of 100.
    "RESONATE_MESSAGES__POLL_INTERVAL": "5",
    "RESONATE_MESSAGES__BATCH_SIZE": "100",
    # The hint of a job that waits is sent again after this, a write for each: dear with a backlog.
    "RESONATE_TASKS__RETRY_TIMEOUT": "60000",
    # The steward alone hears a group's hints: all that leave before it has read are kept for it.
    "RESONATE_TRANSPORTS__HTTP_POLL__BUFFER_SIZE": "10000",
    # Lapsed leases and due timers are looked for this often.
    "RESONATE_TIMEOUTS__POLL_INTERVAL": "200",
}

#: Lease that members ask for, in seconds: long, because the steward hands over what the dead held.
LEASE_SECONDS: Final = 60.0
#: Time a member has to finish what it holds after SIGTERM, in seconds.
DRAIN_SECONDS: Final = 30.0
#: What Compose and Kubernetes wait beyond the drain before they kill, in seconds.
GRACE_MARGIN_SECONDS: Final = 10.0
