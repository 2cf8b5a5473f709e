"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Return it, `0` where the package runs from a folder and is not installed."""
    try:
        return version("resonate-fleet")
    except PackageNotFoundError:
        return "0"
