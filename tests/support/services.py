"""Services that a test needs and a laptop may lack."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def need(available: bool, reason: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    """Skip the test with `reason` where something is missing; fail it where CI=true."""
    if available:
        return
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"missing in CI: {reason}")
    pytest.skip(reason)


def npm_package(folder: Path, package: str) -> Path:
    """Install a package of npm into `folder` and return where it lies."""
    need(bool(shutil.which("node") and shutil.which("npm")), "Node.js and npm are not installed")
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", package]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    need(done.returncode == 0, f"npm could not install {package}: {done.stderr.strip()[-300:]}")
    return folder / "node_modules" / package.rpartition("@")[0]
