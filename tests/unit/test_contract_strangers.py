"""Variables that look like settings: misspelt, of Kubernetes, of somebody else."""

import pytest

from resonate_fleet.contract.settings import Mistake, load, unknown
from resonate_fleet.member.settings import Settings
from resonate_fleet.steward.settings import StewardSettings
from resonate_fleet.submit.settings import ClientSettings


@pytest.mark.parametrize(
    ("cls", "name", "nearest"),
    [
        (Settings, "WORKER_SLOT", "WORKER_SLOTS"),
        (Settings, "WORKER_LOGLEVEL", "WORKER_LOG_LEVEL"),
        (Settings, "WORKER_FUNCTION", "WORKER_FUNCTIONS"),
        (Settings, "RESONATE_URLS", "RESONATE_URL"),
        (StewardSettings, "STEWARD_PRESENCEPORT", "STEWARD_PRESENCE_PORT"),
        (ClientSettings, "CLIENT_FUNCTIONS", "CLIENT_FUNCTION"),
        (Settings, "WORKER_STEWRAD_FILE", "WORKER_STEWARD"),
        (Settings, "RESONATE_TOKENFILE", "RESONATE_TOKEN_FILE"),
    ],
)
def test_a_misspelt_name_is_refused(cls: type, name: str, nearest: str) -> None:
    with pytest.raises(Mistake) as caught:
        load(cls, {name: "1"})
    says = f"{name} is set, and there is no such setting; accepted: {nearest}"
    assert caught.value.lines == [says]


@pytest.mark.parametrize(
    ("cls", "env"),
    [
        # Other people's: no setting of ours is near.
        (ClientSettings, dict.fromkeys(("CLIENT_SECRET", "CLIENT_ID", "CLIENT_RETRIES"), "x")),
        (Settings, dict.fromkeys(("WORKER_DATABASE_URL", "WORKER_REDIS", "WORKER_PROFILE"), "x")),
        (Settings, dict.fromkeys(("WORKER_DOMAIN", "WORKER_USERNAME", "RESONATE_PROFILE"), "x")),
        (Settings, {"RESONATE_TASKS__RETRY_TIMEOUTS": "1", "RESONATE_SERVER_BIN": "/x"}),
        (Settings, {"WORKER_TOKEN_FILE": ""}),
        # Kubernetes' own, for Services `steward` and `worker-api`.
        (
            StewardSettings,
            {
                "STEWARD_SERVICE_HOST": "10.0.0.1",
                "STEWARD_SERVICE_PORT": "9465",
                "STEWARD_SERVICE_PORT_METRICS": "9465",
                "STEWARD_PORT_9465_TCP": "tcp://10.0.0.1:9465",
                "STEWARD_PORT_9465_TCP_PROTO": "tcp",
                "STEWARD_API_PORT": "tcp://10.0.0.1:80",
            },
        ),
    ],
)
def test_what_only_begins_alike_is_let_be(cls: type, env: dict[str, str]) -> None:
    load(cls, env)


def test_a_service_link_in_a_settings_place_is_said_to_be_one() -> None:
    with pytest.raises(Mistake) as caught:
        load(StewardSettings, {"STEWARD_PORT": "tcp://10.96.0.7:9465"})
    (line,) = caught.value.lines
    assert "address of a Service" in line
    assert "enableServiceLinks: false" in line


def test_unknown_names_of_ones_own_prefix_are_listed() -> None:
    env = {"WORKER_DATABASE_URL": "x", "WORKER_SERVICE_HOST": "y", "STEWARD_X": "z", "WORKER": "1"}
    assert unknown(Settings, env) == ["WORKER_DATABASE_URL"]
