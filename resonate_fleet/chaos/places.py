"""Which adapter serves which place."""

from importlib import import_module

from resonate_fleet.chaos.local import LocalPlace
from resonate_fleet.chaos.options import ChaosOptions
from resonate_fleet.chaos.place import Adapter, PlaceFailed


def adapter_for(options: ChaosOptions) -> Adapter:
    """Return the adapter of the place that the options name.

    Raises:
        PlaceFailed: it cannot be had here.
    """
    if options.place == "processes":
        return LocalPlace(options.server_bin)
    try:
        module = import_module(f"resonate_fleet.chaos.{options.place}")
    except ModuleNotFoundError as missing:
        raise PlaceFailed(f"{options.place} is not available here: {missing}") from None
    adapter: Adapter = module.open_place(options)
    return adapter
