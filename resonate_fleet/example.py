"""The functions of the published examples, as this project's own `worker/functions.py` has them.

There is one copy of them. A checkout has it in `worker/`; the wheel carries that file along under
another name, so that `fleet demo` runs anywhere.
"""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_PLACES: Final = (
    Path(__file__).with_name("_example_functions.py"),
    Path(__file__).parents[1] / "worker" / "functions.py",
)


def _functions() -> ModuleType:
    file = next(place for place in _PLACES if place.is_file())
    spec = spec_from_file_location("resonate_fleet._example_functions", file)
    assert spec is not None  # noqa: S101 - the name ends in .py
    assert spec.loader is not None  # noqa: S101 - the same
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def register(registry: Any) -> None:
    """Register the examples' functions; `registry` is the SDK's or the member's."""
    _functions().register(registry)
