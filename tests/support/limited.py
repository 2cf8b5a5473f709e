"""A function of which one member runs two at a time, and one that it runs as it likes."""

import time

from resonate.context import Context

from resonate_fleet.member.registry import Registry


def scarce(_: Context, id: str, seconds: float) -> list[float]:
    return _work(seconds)


def plenty(_: Context, id: str, seconds: float) -> list[float]:
    return _work(seconds)


def _work(seconds: float) -> list[float]:
    began = time.time()
    time.sleep(seconds)
    return [began, time.time()]


def register(registry: Registry) -> None:
    registry.register(scarce, limit=2)
    registry.register(plenty)
