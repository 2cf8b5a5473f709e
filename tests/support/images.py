"""The Compose files as data, and the images that they start where the shell names no others."""

import re
from pathlib import Path
from typing import Any

import yaml

#: What Compose and Kubernetes wait beyond the drain before they kill, in seconds.
GRACE_MARGIN_SECONDS = 10.0

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("compose*.yaml"))


class _Loader(yaml.SafeLoader):
    """Knows Compose's own tag: `!reset null` takes away what another file says."""


_Loader.add_constructor("!reset", lambda loader, node: None)  # noqa: ARG005 - the signature is YAML's


def compose(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    return loaded


def images() -> dict[str, str]:
    """Return the image of each service, by the service's name."""
    services = [one for path in FILES for one in compose(path)["services"].items()]
    named = {name: one["image"] for name, one in services if ":?" not in one.get("image", ":?")}
    return {name: re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", image) for name, image in named.items()}
