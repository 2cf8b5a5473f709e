"""Settings of a member."""

from pathlib import Path

from resonate_fleet.contract import shared_settings
from resonate_fleet.contract.settings import (
    Kind,
    addresses,
    choice,
    integer,
    name,
    port,
    seconds,
    setting,
    settings,
    text,
)
from resonate_fleet.contract.tuning import DRAIN_SECONDS, LEASE_SECONDS
from resonate_fleet.contract.words import DEFAULT_GROUP, WORKER_PORT

MODULE: Kind[str] = text(
    "a module's dotted name such as `my_functions`", r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
)


@settings
class Settings:
    """What a member reads from its environment when it starts."""

    url: str = setting(*shared_settings.SERVER_URL)
    token: str | None = setting(*shared_settings.SERVER_TOKEN, secret=True)
    group: str = setting("WORKER_GROUP", DEFAULT_GROUP, name("group"), "The group to join.")
    slots: int = setting(
        "WORKER_SLOTS", "4", integer(1, 1000), "Jobs that run at the same time in this member."
    )
    member: str = setting(*shared_settings.replica_name("WORKER"))
    lease: float = setting(
        "WORKER_LEASE",
        f"{LEASE_SECONDS:g}",
        seconds(0.3, 86_400),
        "Lease that the member asks for with each claim; a heartbeat goes out every third of it.",
    )
    drain: float = setting(
        "WORKER_DRAIN",
        f"{DRAIN_SECONDS:g}",
        seconds(0, 86_400),
        "Time to finish running jobs after SIGTERM or SIGINT; the rest is handed back.",
    )
    host: str = setting(*shared_settings.host("WORKER"))
    port: int = setting(
        "WORKER_PORT", str(WORKER_PORT), port(), "Port of `/metrics`, `/livez`, `/readyz`."
    )
    functions: str = setting(
        "WORKER_FUNCTIONS",
        "resonate_fleet.example",
        MODULE,
        "Module whose `register(registry)` registers the functions.",
    )
    stewards: tuple[tuple[str, int], ...] = setting(
        "WORKER_STEWARD",
        "",
        addresses(),
        "Presence ports of the stewards; a name may stand for several. Without any the member "
        "finds work itself.",
    )
    secret: str | None = setting(*shared_settings.PRESENCE_SECRET, secret=True)
    journal: Path | None = setting(*shared_settings.journal("WORKER"))
    log_format: str = setting(*shared_settings.log_format("WORKER"))
    log_level: str = setting(*shared_settings.log_level("WORKER"))
    traces: str = setting(
        "WORKER_TRACES",
        "off",
        choice("off", "otlp"),
        "One trace an attempt by OpenTelemetry (the extra `otel`); its own variables, such as "
        "`OTEL_EXPORTER_OTLP_ENDPOINT`, say where to.",
    )
    retries: int = setting(
        "WORKER_RETRIES",
        "3",
        integer(0, 1000),
        "Times that a function which raised is run again before its job is rejected.",
    )
    retry_delay: float = setting(
        "WORKER_RETRY_DELAY",
        "1",
        seconds(0, 3600),
        "Wait before the first retry. It doubles each time, up to a minute or, if longer, this.",
    )
    liveness: float = setting(
        "WORKER_LIVENESS",
        "30",
        seconds(0.1, 86_400),
        "`/livez` turns red when the event loop has been blocked for longer.",
    )
