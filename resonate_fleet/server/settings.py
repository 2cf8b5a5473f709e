"""Settings of the embedded server: the real server's names and defaults where it has them."""

from collections.abc import Mapping

from resonate_fleet.contract import shared_settings
from resonate_fleet.contract.settings import (
    Kind,
    choice,
    declared,
    flag,
    integer,
    listening_host,
    setting,
    settings,
    text,
)
from resonate_fleet.contract.settings import port as tcp_port

#: A day: nothing here sensibly waits longer.
_LONGEST = 86_400_000


_EVERYWHERE = "0.0.0.0"  # noqa: S104 - as the real one
_WHOLE = integer(1, _LONGEST)
_TIME = Kind(_WHOLE.read, f"milliseconds, {_WHOLE.accepts}")
_COUNT = integer(1, 1_000_000)


@settings
class DevServerSettings:
    """Times are in milliseconds."""

    host: str = setting(
        "RESONATE_SERVER__HOST", "localhost", text("a host name"), "name in the announced address"
    )
    port: int = setting("RESONATE_SERVER__PORT", "8001", tcp_port(), "API port; 0: any free one")
    bind: str = setting(
        "RESONATE_SERVER__BIND", _EVERYWHERE, listening_host(), "interface to listen on"
    )
    url: str = setting(
        "RESONATE_SERVER__URL", "", text("an address"), "announced address instead of host and port"
    )
    shutdown_timeout: int = setting(
        "RESONATE_SERVER__SHUTDOWN_TIMEOUT", "10000", _TIME, "time that open requests have to end"
    )
    storage: str = setting(
        "RESONATE_STORAGE__TYPE",
        "sqlite",
        choice("sqlite"),
        "the only kind there is here",
        option="--storage",
    )
    store: str = setting(
        "RESONATE_STORAGE__SQLITE__PATH",
        ":memory:",
        text("a file, or `:memory:`"),
        "where everything is kept (the real server's default is `resonate.db`)",
        option="--store",
    )
    retry_timeout: int = setting(
        "RESONATE_TASKS__RETRY_TIMEOUT",
        "30000",
        _TIME,
        "after this an unclaimed task is hinted at again",
    )
    scan_interval: int = setting(
        "RESONATE_TIMEOUTS__POLL_INTERVAL",
        "1000",
        _TIME,
        "pause between searches for lapsed leases and promises that ran out",
        option="--timeouts-interval",
    )
    message_interval: int = setting(
        "RESONATE_MESSAGES__POLL_INTERVAL",
        "100",
        _TIME,
        "pause between deliveries of hints",
        option="--messages-interval",
    )
    message_batch: int = setting(
        "RESONATE_MESSAGES__BATCH_SIZE",
        "100",
        _COUNT,
        "hints a delivery, at most",
        option="--messages-batch",
    )
    max_connections: int = setting(
        "RESONATE_TRANSPORTS__HTTP_POLL__MAX_CONNECTIONS",
        "1000",
        _COUNT,
        "streams open at once, at most",
    )
    buffer_size: int = setting(
        "RESONATE_TRANSPORTS__HTTP_POLL__BUFFER_SIZE",
        "100",
        _COUNT,
        "messages that wait for one stream; more are dropped",
    )
    metrics_port: int = setting(
        "RESONATE_OBSERVABILITY__METRICS_PORT",
        "9090",
        tcp_port(),
        "port of `/metrics`; 0: any free one (the real server has none then)",
    )
    log_level: str = setting(
        "RESONATE_LEVEL", "info", choice(*shared_settings.LOG_LEVELS), "what is logged"
    )
    log_format: str = setting(*shared_settings.log_format("DEVSERVER"))
    strict_origin: bool = setting(
        "DEVSERVER_STRICT_ORIGIN",
        "false",
        flag(),
        "heartbeats over several origins get 400, as on the server's main branch",
    )
    forbid_search: bool = setting(
        "DEVSERVER_FORBID_SEARCH",
        "false",
        flag(),
        "searches get 403, as with a token limited to a prefix",
    )


def foreign(env: Mapping[str, str]) -> list[str]:
    """Return the real server's settings in `env` that mean nothing here."""
    known = {one.env for _, one in declared(DevServerSettings)}
    return sorted(
        name
        for name, value in env.items()
        if name.startswith("RESONATE_")
        and "__" in name
        and value
        and name.removesuffix("_FILE") not in known
    )
