"""`relay.py HOST:PORT` passes connections at the same port on to an address of HOST that answers.

One address of this machine for a service of several replicas, none of which could have its port.
"""  # noqa: INP001 - one file copied into images, no package

import asyncio
import sys
from contextlib import suppress


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
    with suppress(OSError):
        sink.close()


async def serve(host: str, port: int) -> None:
    async def passed_on(asking: asyncio.StreamReader, told: asyncio.StreamWriter) -> None:
        try:
            answering, asked = await asyncio.open_connection(host, port)
        except OSError:  # no replica answers: neither does this
            told.close()
            return
        await asyncio.gather(pump(asking, asked), pump(answering, told))

    server = await asyncio.start_server(passed_on, port=port)
    await server.serve_forever()


if __name__ == "__main__":
    target, _, number = sys.argv[1].rpartition(":")
    asyncio.run(serve(target, int(number)))
