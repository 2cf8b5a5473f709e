"""The reference worker fleet for Resonate.

What programs import stands here; all else may move. Nothing is imported before it is asked for:
every process of a fleet goes through this module when it starts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from resonate_fleet.contract.calls import Call, Result
    from resonate_fleet.member.registry import Registry

    __version__: str

__all__ = ["Call", "Registry", "Result", "__version__"]

_PLACES: Final = {
    "Call": "resonate_fleet.contract.calls",
    "Registry": "resonate_fleet.member.registry",
    "Result": "resonate_fleet.contract.calls",
}

if not TYPE_CHECKING:  # a type checker would take every name for one of ours

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return import_module("importlib.metadata").version("resonate-fleet")
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_PLACES[name]), name)
