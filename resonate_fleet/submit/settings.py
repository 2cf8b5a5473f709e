"""Settings of the client."""

from pathlib import Path

from resonate_fleet.contract import shared_settings, words
from resonate_fleet.contract.settings import (
    Kind,
    choice,
    integer,
    name,
    number,
    optional,
    seconds,
    setting,
    settings,
    text,
)

#: Bounds of the nominal costs, in seconds; costs are drawn evenly between them.
Costs = tuple[float, float]

MAX_COST = 86_400.0
#: Longest time that a job may be given, in seconds.
LONGEST = 10 * 365 * 86_400

FUNCTION: Kind[str] = text("a function's name: no spaces", r"\S{1,200}")


def _costs() -> Kind[Costs]:
    one = number(0, MAX_COST)

    def read(raw: str) -> Costs:
        low, dots, high = raw.partition("..")
        first, last = one.read(low), one.read(high if dots else low)
        if first > last:
            raise ValueError
        return first, last

    return Kind(read, f"seconds from 0 to {MAX_COST:g}: one number, or a range such as `1..10`")


def _keys(raw: str) -> dict[str, int]:
    pairs = [one.partition("=") for one in raw.split(",") if raw]
    if not all(key for key, _, _ in pairs):
        raise ValueError
    count = integer(0, 1_000_000_000)
    return {key: count.read(number) for key, _, number in pairs}


@settings
class SubmitSettings:
    """Settings of every submission."""

    url: str = setting(*shared_settings.SERVER_URL)
    token: str | None = setting(*shared_settings.SERVER_TOKEN, secret=True)
    client: str = setting(
        "CLIENT_NAME", "client", name(), "Its name in the journal and in the jobs' tags."
    )
    group: str = setting(
        "CLIENT_GROUP", words.DEFAULT_GROUP, name("group"), "The group whose members do the jobs."
    )
    id_prefix: str = setting(
        "CLIENT_ID_PREFIX",
        "",
        text("up to 100 characters but `:` and spaces, or nothing", r"[^:\s\0]{0,100}"),
        "What ids begin with. A single job gets a new id. A load's jobs are `<prefix>-00001` and "
        "so on, the same each time; new ones without a prefix, or where it ends in `-`. A batch "
        "has the same ids each time.",
    )
    rate: float = setting(
        "CLIENT_RATE",
        "0",
        number(0, 100_000, "jobs a second"),
        "Jobs to send a second; 0: as many as possible.",
    )
    timeout: float = setting(
        "CLIENT_TIMEOUT",
        "86400",
        seconds(0.001, LONGEST),
        "Time limit of a job: it fails if it is not done by then.",
    )
    deadline: float = setting(
        "CLIENT_DEADLINE",
        "30",
        seconds(0.1, 86_400),
        "Longest time without an answer; then the client ends with exit code 4.",
    )
    connections: int = setting(
        "CLIENT_CONNECTIONS", "8", integer(1, 256), "Most requests under way at once."
    )
    journal: Path | None = setting(*shared_settings.journal("CLIENT"))
    log_format: str = setting(
        "CLIENT_LOG_FORMAT",
        "auto",
        choice("auto", "json", "text", "off"),
        "`auto` is `off` on a terminal and `json` elsewhere.",
    )
    traces: str = setting(
        "CLIENT_TRACES",
        "off",
        choice("off", "otlp"),
        "A span a submission by OpenTelemetry (the extra `otel`), which attempts link to; its own "
        "variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`, say where to.",
    )
    port: int | None = setting(
        "CLIENT_PORT",
        "",
        optional(integer(0, 65_535)),
        "Port of `/metrics`, for clients that run long; 0 lets the system choose.",
    )


@settings
class ClientSettings(SubmitSettings):
    """Settings of `python -m client`: the load that it makes."""

    count: int = setting("CLIENT_COUNT", "1", integer(1, 1_000_000), "Jobs to create.")
    function: str = setting(
        "CLIENT_FUNCTION",
        words.COMPUTE_SOMETHING,
        FUNCTION,
        "The function that the jobs call.",
    )
    cost: Costs = setting("CLIENT_COST", "1..10", _costs(), "Nominal cost of a job.")
    steps: int = setting(
        "CLIENT_STEPS", "3", integer(1, 1000), f"Steps of a `{words.COMPUTE_IN_STEPS}` job."
    )
    keys: dict[str, int] = setting(
        "CLIENT_KEYS",
        "",
        Kind(_keys, "such as `acme=90,other=10`, or nothing"),
        "Numbers of jobs by key: the first 90 have `acme`, the next 10 `other` (docs/policy.md).",
    )
    seed: int | None = setting(
        "CLIENT_SEED", "", optional(integer(0, 2**63 - 1)), "Makes the costs the same each time."
    )
