"""Options that several commands take."""

from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import filled, text


def add_ids(parser: Parser, name: str = "ids", *, many: str | None = "+") -> None:
    """Have `parser` take ids as `name`; `many` is argparse's `nargs`, None: one id."""
    parser.add_argument(name, nargs=many, type=typed(filled("an id")), metavar="ID")


def add_reason(parser: Parser, usual: str) -> None:
    kind = text("a reason that is not empty", r"(?s).*\S.*")
    says = f"the error that whoever awaits it gets; default: {usual}"
    parser.add_argument("--why", default=usual, type=typed(kind), metavar="TEXT", help=says)


def add_json(parser: Parser, *, lines: bool = False) -> None:
    """Have `parser` take --json; `lines`: there is one object a line."""
    says = "print one JSON object a line" if lines else "print JSON"
    parser.add_argument("--json", action="store_true", help=says)
