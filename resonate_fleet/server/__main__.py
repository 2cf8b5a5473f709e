"""`fleet server`: the embedded server."""

import os
import sys
from argparse import Namespace

from resonate_fleet.contract.options import Parser, add_settings, guarded, read_settings
from resonate_fleet.contract.paths import OutputFile
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.start import import_structlog, leave_when_told
from resonate_fleet.server.settings import DevServerSettings, foreign

_ABOUT = """\
Serve the protocol of Resonate Server v0.9.8, for laptops and tests, until SIGTERM or SIGINT.
Settings have the real server's names and defaults where it has them.
"""


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, usage=f"{prog} [options]", description=_ABOUT)
    add_settings(made, DevServerSettings)
    return made


def run(asked: Namespace) -> int:
    leave_when_told()
    settings = _settings(asked)
    import_structlog()
    import asyncio  # noqa: PLC0415 - takes time, see contract/start.py

    from resonate_fleet.server.server import live  # noqa: PLC0415 - the same

    return asyncio.run(live(settings))


def _settings(asked: Namespace) -> DevServerSettings:
    lines = [
        f"{name} is set; the embedded server has no authentication"
        for name in foreign(os.environ)
        if name.startswith("RESONATE_AUTH__")
    ]
    try:
        settings = read_settings(DevServerSettings, asked, os.environ)
    except Mistake as bad:
        raise Mistake(*lines, *bad.lines) from None
    if lines:
        raise Mistake(*lines)
    if settings.store != ":memory:":
        OutputFile(settings.store).check("RESONATE_STORAGE__SQLITE__PATH")
    return settings


def main() -> int:
    prog = "python -m resonate_fleet.server"
    return guarded("server", lambda: run(parser(prog).parse_args()))


if __name__ == "__main__":
    sys.exit(main())
