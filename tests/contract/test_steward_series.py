"""A member's series come with its presence and go with it, be it by a goodbye or by its death."""

import asyncio
import urllib.request

from resonate_fleet.contract.journal import Died, Left
from tests.support.fleet import Fleet
from tests.support.members import HandMember
from tests.support.waiting import wait_until_async

MEMBERS = 100


class Exporter:
    """The steward's page of metrics, over its port."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"

    def _scrape(self) -> dict[str, float]:
        with urllib.request.urlopen(self._url, timeout=5) as answer:  # noqa: S310 - http, see above
            lines = answer.read().decode().splitlines()
        return {k: float(v) for k, _, v in (one.rpartition(" ") for one in lines if one[0] != "#")}

    async def scrape(self) -> dict[str, float]:
        return await asyncio.to_thread(self._scrape)


async def present(exporter: Exporter, count: int) -> None:
    """Wait until so many members have a series."""

    async def look() -> bool:
        return len(named(await exporter.scrape())) == count

    end = asyncio.get_running_loop().time() + 20
    while not await look():
        assert asyncio.get_running_loop().time() < end, f"{count} members are not to be seen"
        await asyncio.sleep(0.05)


def named(page: dict[str, float]) -> set[str]:
    return {name for name in page if name.startswith("fleet_member_leases{")}


async def test_a_hundred_members_come_and_go_and_their_series_with_them(fleet: Fleet) -> None:
    steward = fleet.steward(STEWARD_INTERVAL="0.1", STEWARD_GROUPS="worker-group")
    started = steward.line("steward.started")
    exporter, presence = Exporter(started["port"]), started["presence_port"]
    before = set(await exporter.scrape())
    assert not named(dict.fromkeys(before, 0.0))

    for turn in range(2):  # other names the second time: what is gone is not kept for later
        members = [HandMember(presence, f"m-{turn}-{n}") for n in range(MEMBERS)]
        await asyncio.gather(*(one.connect() for one in members))
        await present(exporter, MEMBERS)
        page = await exporter.scrape()
        assert set(page) - before == {
            f'fleet_member_leases{{member="{one.name}"}}' for one in members
        }
        assert page['fleet_members{group="worker-group"}'] == MEMBERS
        await asyncio.gather(*(one.leave() for one in members[::2]))
        await asyncio.gather(*(one.vanish() for one in members[1::2]))
        await present(exporter, 0)
        page = await exporter.scrape()
        assert set(page) == before
        assert page['fleet_members{group="worker-group"}'] == 0

    def told() -> bool:
        return len(fleet.journal_of(Died)) == len(fleet.journal_of(Left)) == MEMBERS

    await wait_until_async(told, 20, "half have died and half have left")
