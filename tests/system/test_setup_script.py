"""`docker/setup`: the secrets that it makes, once, the choice that it writes, what it refuses."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.services import need

SCRIPT = Path(__file__).parents[2] / "docker" / "setup"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    need(shutil.which("openssl") is not None, "no openssl")
    (tmp_path / "docker").mkdir()
    (tmp_path / "observability").mkdir()
    shutil.copy(SCRIPT, tmp_path / "docker")
    return tmp_path


def run(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [str(project / "docker" / "setup"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def chosen(project: Path) -> dict[str, str]:
    """Return what `.env` says, but for the tokens' digest."""
    lines = (project / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith(("#", "FLEET_TOKENS=")))


def digest(project: Path) -> str:
    lines = (project / ".env").read_text().splitlines()
    (found,) = [line for line in lines if line.startswith("FLEET_TOKENS=")]
    return found


def part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_tokens_are_signed_and_say_what_they_are_good_for(project: Path, tmp_path: Path) -> None:
    assert run(project, "secrets", "auth=team-").returncode == 0
    folder = project / "secrets"
    for role, claims in {"worker": {"prefix": "team-"}, "steward": {"role": "admin"}}.items():
        head, body, signature = (folder / f"{role}-token").read_text().strip().split(".")
        assert json.loads(part(head))["alg"] == "RS256"
        assert claims.items() <= json.loads(part(body)).items()
        assert json.loads(part(body))["exp"] > json.loads(part(body))["iat"]
        (tmp_path / "signature").write_bytes(part(signature))
        verify = ["openssl", "dgst", "-sha256", "-verify", str(folder / "public-key.pem")]
        subprocess.run(
            [*verify, "-signature", str(tmp_path / "signature")],
            input=f"{head}.{body}".encode(),
            check=True,
            stdout=subprocess.DEVNULL,
        )
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "signing-key.pem").stat().st_mode & 0o777 == 0o600


def test_what_is_there_stays(project: Path) -> None:
    made = ["secrets/grafana-admin", "secrets/postgres.env"]
    assert run(project, "secrets").stdout.split() == made
    before = (project / "secrets" / "postgres.env").read_text()
    assert run(project, "secrets").stdout == ""
    assert (project / "secrets" / "postgres.env").read_text() == before
    assert not (project / ".env").exists()


def test_tokens_are_for_the_prefix_that_was_chosen_last(project: Path) -> None:
    def worker_token() -> str:
        return (project / "secrets" / "worker-token").read_text()

    assert run(project, "auth=team-").returncode == 0
    first = worker_token()
    assert run(project, "auth=team-").stdout == ".env: auth=team-\n"
    assert worker_token() == first
    assert run(project, "auth=other-").returncode == 0
    assert json.loads(part(worker_token().split(".")[1]))["prefix"] == "other-"
    assert chosen(project)["CLIENT_ID_PREFIX"] == "other-"


def test_new_tokens_show_in_what_compose_reads(project: Path) -> None:
    """So that `up` makes anew whatever reads them."""
    run(project, "auth")
    first = digest(project)
    run(project, "auth")
    assert digest(project) == first
    (project / "secrets" / "worker-token").write_text("another")
    run(project, "auth")
    assert digest(project) != first
    run(project)
    assert "FLEET_TOKENS" not in (project / ".env").read_text()


def test_a_prefix_ends_in_a_dash(project: Path) -> None:
    """Without one the ids of a load are numbered, and a second load would create nothing."""
    assert run(project, "auth=acme").returncode == 0
    assert chosen(project)["CLIENT_ID_PREFIX"] == "acme-"
    token = (project / "secrets" / "worker-token").read_text()
    assert json.loads(part(token.split(".")[1]))["prefix"] == "acme-"


@pytest.mark.parametrize("before", ["", "export ", " "])
def test_no_line_of_an_earlier_choice_wins(project: Path, before: str) -> None:
    (project / ".env").write_text(f"{before}COMPOSE_FILE=compose.yaml\nWORKER_SLOTS=8\r\n")
    assert run(project, "postgres").returncode == 0
    lines = [line for line in (project / ".env").read_text().splitlines() if "COMPOSE_FILE" in line]
    assert lines == ["COMPOSE_FILE=compose.yaml:compose.postgres.yaml"]
    assert chosen(project)["WORKER_SLOTS"] == "8"


def test_a_choice_stands_in_the_file_that_compose_reads(project: Path) -> None:
    assert run(project, "postgres", "auth=team-", "observability").returncode == 0
    assert chosen(project) == {
        "COMPOSE_FILE": "compose.yaml:compose.postgres.yaml:compose.auth.yaml",
        "COMPOSE_PROFILES": "observability",
        "CLIENT_ID_PREFIX": "team-",
    }


def test_another_choice_replaces_the_first_and_keeps_what_others_wrote(project: Path) -> None:
    run(project, "auth")
    with (project / ".env").open("a") as env:
        env.write("WORKER_SLOTS=8\n")
    (project / "compose.override.yaml").touch()
    assert run(project, "functions=mine/worker:1").returncode == 0
    assert chosen(project) == {
        "COMPOSE_FILE": "compose.yaml:compose.functions.yaml:compose.override.yaml",
        "COMPOSE_PROFILES": "",
        "WORKER_IMAGE": "mine/worker:1",
        "WORKER_SLOTS": "8",
    }


def test_containers_may_read_what_a_narrow_umask_closed(project: Path) -> None:
    rules = project / "observability" / "rules.yaml"
    rules.touch(mode=0o600)
    rules.parent.chmod(0o700)
    before = os.umask(0o077)
    try:
        run(project, "observability")
    finally:
        os.umask(before)
    assert rules.stat().st_mode & 0o777 == 0o644
    assert rules.parent.stat().st_mode & 0o777 == 0o755
    assert (project / "secrets" / "grafana-admin").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("args", [("auth=two words",), ("everything",), ("functions=",)])
def test_what_it_does_not_know_is_refused(project: Path, args: tuple[str, ...]) -> None:
    refused = run(project, *args)
    assert refused.returncode == 2
    assert "accepted:" in refused.stderr
    assert not (project / "secrets").exists()
