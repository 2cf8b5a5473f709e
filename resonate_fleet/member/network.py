"""The SDK's network: each kind of request goes through the door that watches it."""

from resonate_fleet.member import requests
from resonate_fleet.member.channel import Channel
from resonate_fleet.member.claims import Claims
from resonate_fleet.member.requests import FENCED
from resonate_fleet.member.writes import Writes


class Network:
    """`resonate_base.connections.Network` on the fleet's own wire."""

    def __init__(self, channel: Channel, claims: Claims, writes: Writes) -> None:
        self._channel = channel
        self._claims = claims
        self._writes = writes

    async def start(self) -> None:
        """Nothing to open: the wire connects with its first request."""

    async def stop(self) -> None:
        self._channel.close()

    async def send(self, req: str, headers: dict[str, str] | None = None) -> str:  # noqa: ARG002 - for networks that shard
        """Send one request of the SDK and return the reply, whatever its status.

        Raises:
            ConnectorError: the lease went, or the member ended, before there was an answer.
        """
        request = requests.read(req)
        if request.kind == "task.acquire":
            return await self._claims.send(request, req)
        if request.kind in FENCED:
            return await self._writes.send(request, req)
        return (await self._channel.exchange(request, req)).body
