"""`docker/secrets`: what it makes, once, and what it refuses."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.services import need

SCRIPT = Path(__file__).parents[2] / "docker" / "secrets"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    need(shutil.which("openssl") is not None, "no openssl")
    (tmp_path / "docker").mkdir()
    shutil.copy(SCRIPT, tmp_path / "docker")
    return tmp_path


def run(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [str(project / "docker" / "secrets"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_tokens_are_signed_and_say_what_they_are_good_for(project: Path, tmp_path: Path) -> None:
    assert run(project, "auth", "team-").returncode == 0
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
    assert run(project).stdout.split() == ["secrets/grafana-admin", "secrets/postgres.env"]
    before = (project / "secrets" / "postgres.env").read_text()
    assert run(project).stdout == ""
    assert (project / "secrets" / "postgres.env").read_text() == before


@pytest.mark.parametrize("args", [("auth", "two words"), ("everything",)])
def test_what_it_does_not_know_is_refused(project: Path, args: tuple[str, ...]) -> None:
    assert run(project, *args).returncode == 2
