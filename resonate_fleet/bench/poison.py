"""Functions of the worker image and one that ends its process, for measuring quarantine."""

import os
import time

from resonate.context import Context
from resonate.types import DurableRegistry

from resonate_fleet import example


def end_process(_: Context, _id: str, seconds: float) -> None:
    """End the process as the kernel's killer does when memory runs out: no goodbye, code 137."""
    time.sleep(seconds)
    os._exit(137)


def register(registry: DurableRegistry) -> None:
    example.register(registry)
    registry.register(end_process)
