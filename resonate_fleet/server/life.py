"""The embedded server from its settings to an exit code."""

import asyncio
import os
import signal
import sqlite3
import sys

import structlog

from resonate_fleet.contract import exits, logs
from resonate_fleet.contract.settings import taken_port, unknown
from resonate_fleet.server.server import Server
from resonate_fleet.server.settings import DevServerSettings, foreign


def live(settings: DevServerSettings) -> int:
    logs.configure(settings.log_format, settings.log_level, "devserver")
    return asyncio.run(_serve(settings))


async def _serve(settings: DevServerSettings) -> int:
    log = structlog.get_logger()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    unused = foreign(os.environ) + unknown(DevServerSettings, os.environ)
    if unused:
        log.warning("settings.unused", names=unused)
    try:
        async with Server(settings):
            await stop.wait()
    except OSError as error:
        sys.stderr.write(f"server: {taken_port(settings, error)}\n")
        return exits.FAILED
    except sqlite3.Error as error:
        # One line for the user, who wants no traceback.
        log.error("server.failed", why=str(error), store=settings.store)  # noqa: TRY400 - one line, no traceback
        return exits.FAILED
    return exits.OK
