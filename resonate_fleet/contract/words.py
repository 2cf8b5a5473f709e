"""Names and addresses that all rooms share."""

from typing import Final

#: Version string of the wire protocol, sent in every request head (server v0.9.8).
PROTOCOL: Final = "2026-04-01"

#: The group that workers join and clients address by default.
DEFAULT_GROUP: Final = "worker-group"

#: Durable functions that the worker image brings along.
COMPUTE_SOMETHING: Final = "compute_something"
COMPUTE_DURABLY: Final = "compute_durably"
COMPUTE_IN_STEPS: Final = "compute_in_steps"
#: It blocks its member's event loop, as no function should, so that the alert for it can be seen.
COMPUTE_ON_LOOP: Final = "compute_on_loop"

#: Tags of a durable promise that the server or the SDK act on.
TAG_TARGET: Final = "resonate:target"
TAG_TIMER: Final = "resonate:timer"
TAG_BRANCH: Final = "resonate:branch"
#: Those that hold the id of a job that is called from outside (SDK 0.8.1).
OWN_TAGS: Final[tuple[str, ...]] = ("resonate:origin", TAG_BRANCH, "resonate:parent")

#: A job's attributes for a group with a policy (steward/policy.py).
TAG_PRIORITY: Final = "fleet:priority"
TAG_KEY: Final = "fleet:key"
TAG_NOT_BEFORE: Final = "fleet:not-before"
#: The job that this one runs again.
TAG_REPEATS: Final = "fleet:repeats"

#: Tags by the client: its name and the trace of the submission.
TAG_CLIENT: Final = "fleet:client"
TAG_TRACE: Final = "fleet:traceparent"

#: Bytes of the largest request (v0.9.8: the limit of the server's HTTP library). The server closes
#: the connection while a larger one is being sent, so that its answer may be lost.
REQUEST_BYTES: Final = 2 * 1024 * 1024

#: Default ports. The server's is the real server's own.
SERVER_PORT: Final = 8001
WORKER_PORT: Final = 9464
STEWARD_PORT: Final = 9465
PRESENCE_PORT: Final = 9466


def anycast(group: str) -> str:
    """Return the address that reaches any one member of `group`."""
    return f"poll://any@{group}"


def group_of(target: str) -> str | None:
    """Return the group that a `poll://` target names, or None for any other address.

    >>> group_of("poll://any@worker-group")
    'worker-group'
    """
    scheme, _, rest = target.partition("://")
    _, at, host = rest.partition("@")
    return host.partition("/")[0] if scheme == "poll" and at else None


def package_version() -> str:
    """Return the version, `0` where the package runs from a folder and is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import

    try:
        return version("resonate-fleet")
    except PackageNotFoundError:
        return "0"
