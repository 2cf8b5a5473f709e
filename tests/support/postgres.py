"""A PostgreSQL server for tests, from the packages of this machine."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import free_port

#: PostgreSQL refuses to run as root; its packages bring this user.
USER = "postgres" if os.getuid() == 0 else None


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server for a while; yield the URL of an empty database."""
    if shutil.which("initdb") is None:
        if os.environ.get("CI"):
            pytest.fail("there is no PostgreSQL here")
        pytest.skip("there is no PostgreSQL here")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        folder = Path(name)
        if USER:
            shutil.chown(folder, USER)
        data = str(folder / "data")
        _run("initdb", "-D", data, "-U", "fleet", "--auth=trust", "--no-sync")
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
        _run("pg_ctl", "-D", data, "-l", str(folder / "log"), "-w", "-o", options, "start")
        try:
            yield f"postgres://fleet@127.0.0.1:{port}/postgres"
        finally:
            _run("pg_ctl", "-D", data, "-m", "immediate", "stop")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, user=USER, stdout=subprocess.DEVNULL, cwd="/")
