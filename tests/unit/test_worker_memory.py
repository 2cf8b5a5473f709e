"""What large values leave behind is collected soon."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from resonate_fleet.member import upstream
from resonate_fleet.member.requests import made
from tests.support.model import Model, ModelWire
from tests.support.waiting import wait_until_async


class Node:
    """Holds itself, as an error and its frame do."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def no_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(upstream, "LATER", 0.0)
    gc.disable()
    yield
    gc.enable()


async def test_a_large_request_has_cycles_collected_and_a_small_one_has_not() -> None:
    model = Model()
    channel, request = upstream.Channel(ModelWire(model)), made("promise.get", {"id": "a"})[0]
    left = weakref.ref(Node())
    for size, collected in ((upstream.LARGE - 1, False), (upstream.LARGE, True)):
        body = made("promise.get", {"id": "a"})[1].ljust(size)
        assert (await channel.exchange(request, body)).reply.status == 404
        if collected:
            await wait_until_async(lambda: left() is None, 5, "the cycle is collected")
        else:
            assert channel._collecting is None  # noqa: SLF001 - nothing is planned
            assert left() is not None
    model.close()
