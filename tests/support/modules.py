"""Functions modules with manners of their own, written into a folder for one test."""

from pathlib import Path

#: What each module does before it registers the example's functions.
BEFORE = {
    "takes_signals": """
import signal
signal.signal(signal.SIGTERM, lambda *_: print("mine", flush=True))
signal.signal(signal.SIGINT, signal.SIG_IGN)
""",
    "configures_structlog": """
import structlog
structlog.configure(processors=[structlog.dev.ConsoleRenderer()],
                    logger_factory=structlog.ReturnLoggerFactory())
""",
    "replaces_handlers": """
import logging, logging.config
logging.config.dictConfig({"version": 1, "disable_existing_loggers": True,
    "handlers": {"none": {"class": "logging.NullHandler"}}, "root": {"handlers": ["none"]}})
""",
    "uses_uvloop": """
import asyncio, uvloop
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
""",
    "closes_streams": """
import sys
sys.stdout.close()
sys.stdin.close()
""",
    "replaces_streams": """
import sys
class Bad:
    def __getattr__(self, name):
        raise SystemExit(3)
sys.stdout, sys.stderr = None, Bad()
""",
    "breaks_a_loop": """
from resonate_fleet.member.upstream import Upstream
async def fail(_):
    raise ZeroDivisionError
Upstream.run = fail
""",
    "exits": """
import sys
sys.exit(0)
""",
    "interrupts": """
raise KeyboardInterrupt
""",
    "is_broken": """
raise ValueError("two\\nlines")
""",
    "has_a_typo": """
def greet(:
""",
    "registers_text": """
from resonate_fleet import example
example.register = lambda registry: registry.register("text", name="greet")
""",
}


def write(folder: Path, name: str) -> str:
    """Write the module `name` into `folder`; return its name."""
    text = BEFORE[name] + "\nfrom resonate_fleet.example import register\n__all__ = ['register']\n"
    (folder / f"{name}.py").write_text(text)
    return name
