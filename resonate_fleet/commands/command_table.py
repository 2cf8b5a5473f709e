"""All commands, by what one wants to do. A command is a line here and a module."""

from typing import Final, NamedTuple


class Command(NamedTuple):
    """`module` has `parser(prog)` and `run(namespace)`, which returns the exit code.

    It raises `Mistake` for the user's (told, exit code 2) and `CommandFailed` for a state of the
    world (4).
    """

    name: str
    about: str
    module: str


_SELF: Final = "resonate_fleet.commands.about"


def _own(name: str, about: str) -> Command:
    return Command(name, about, f"resonate_fleet.commands.{name}")


def _room(name: str, about: str, room: str) -> Command:
    return Command(name, about, f"resonate_fleet.{room}.__main__")


PURPOSES: Final = {
    "See": (
        _own("ps", "who holds what, which attempt, and what waits"),
        _own("top", "the same as a live view"),
        _own("jobs", "list jobs by state, function, group or member"),
        _own("job", "one job: arguments, attempts, children, result or error, why it waits"),
    ),
    "Submit": (
        _own("submit", "submit a call, or a file of calls, to a group"),
        _own("result", "print how jobs ended; creates none"),
    ),
    "Operate": (
        _own("up", "a server, a steward and workers on this machine, until Ctrl-C"),
        _own("cancel", "end jobs: one that waits never starts, one that runs is stopped"),
        _own("rerun", "run jobs again, each as a new job of the same call"),
        _own("kill", "kill a member of a fleet that `fleet up` keeps on this machine"),
        _own("schedule", "jobs that a cron expression creates: add, list, show, remove"),
        _own("store", "the server's store: show what it holds, prune old jobs"),
        _own("quarantine", "jobs that crashed their workers too often: list, redrive, reject"),
        _room("worker", "one member of a group: runs the functions of a module", "member"),
        _room("steward", "gives jobs to members and hands over what the dead held", "steward"),
        _room("server", "the embedded server, for laptops and tests", "server"),
    ),
    "Prove": (
        _own("demo", "the whole story in a minute: work spreads, a worker dies, nothing is lost"),
        _own("chaos", "strike the member that holds a job: list, plan, run, replay"),
        _room("report", "judge a run from its files", "report"),
        _room("bench", "measure against the bound and against the plain SDK worker", "bench"),
        Command("bench store", "prepare a store with a million jobs", "resonate_fleet.bench.store"),
    ),
    "More": (
        Command("completion", "print what makes a shell complete `fleet`", _SELF),
        Command("help", "this list; `fleet help COMMAND` for one of them", _SELF),
        Command("version", "print the version", _SELF),
    ),
}
COMMANDS: Final = {one.name: one for group in PURPOSES.values() for one in group}

_ABOUT: Final = """\
A fleet of workers for Resonate, on this machine or wherever it runs.

usage: fleet COMMAND [options]      `fleet COMMAND --help` says more
"""
_ENDING: Final = """\
The server's address is --server, else RESONATE_URL, else http://localhost:8001; its token
RESONATE_TOKEN, or what the file RESONATE_TOKEN_FILE holds.
Exit codes: 0 as promised; 1 a guarantee broken, a job failed; 2 wrong option or setting; 3 nothing
proved; 4 the command itself failed; 130 Ctrl-C; 141 nobody reads the output.
"""


def listing() -> str:
    parts = [_ABOUT]
    for title, group in PURPOSES.items():
        lines = [f"  fleet {one.name:<13}{one.about}" for one in group]
        parts.append("\n".join([f"{title}:", *lines, ""]))
    return "\n".join([*parts, _ENDING])
