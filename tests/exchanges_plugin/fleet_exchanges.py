"""A pytest plugin: `pytest --exchanges DIR` replays the recordings in another folder.

It is an installed plugin, not part of a conftest: pytest takes DIR for a test path until it knows
the option, and looks for its settings and conftests there. It is a package of its own, so that the
wheel of the kit registers no plugin.
"""

from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_TEST = _ROOT / "tests" / "contract" / "test_devserver_exchanges.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exchanges", metavar="DIR", help="replay the *.jsonl recordings in DIR")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | pytest.ExitCode | None:
    """Without a path of its own, such a run is of that one test, under the project's settings."""
    if not config.getoption("exchanges") or config.args_source is pytest.Config.ArgsSource.ARGS:
        return None
    given = config.invocation_params.args
    return pytest.main(["-c", str(_ROOT / "pyproject.toml"), *map(str, given), str(_TEST)])
