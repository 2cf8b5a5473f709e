"""Services that a test needs and a laptop may lack."""

import os

import pytest


def need(available: bool, reason: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    """Skip the test with `reason` where something is missing; fail it where CI=true."""
    if available:
        return
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"missing in CI: {reason}")
    pytest.skip(reason)
