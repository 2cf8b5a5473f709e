"""What large values leave behind is collected soon."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from resonate_fleet.member import memory
from tests.support.waiting import wait_until_async


class Node:
    """Holds itself, as an error and its frame do."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def no_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(memory, "LATER", 0.0)
    gc.disable()
    yield
    gc.enable()


async def test_a_large_request_has_cycles_collected_and_a_small_one_has_not() -> None:
    left, garbage = weakref.ref(Node()), memory.Garbage()
    garbage.left(memory.LARGE - 1)
    assert left() is not None
    garbage.left(memory.LARGE)
    await wait_until_async(lambda: left() is None, 5, "the cycle is collected")
