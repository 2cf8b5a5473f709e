"""Finds variables of the environment that look like settings and are none."""

import re
from collections.abc import Collection, Mapping

#: Variables that Kubernetes makes of each Service of the namespace, unless a pod refuses them.
_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")
#: Names that tests and chaos read; settings of the embedded server begin the same.
_OTHERS = frozenset({"RESONATE_SERVER_BIN"})
#: How alike two names must be, from 0 to 1, for one to be taken for the other.
_ALIKE = 0.75


def misspelt(known: Collection[str], env: Mapping[str, str]) -> list[str]:
    """Return a line for each variable that is close to one of `known`, and none of them.

    Only variables with the prefixes of `known` count (`WORKER_` and the like).
    """
    return [
        f"{name} is set, and there is no such setting; accepted: {nearest}"
        for name in _unknown(known, env)
        if (nearest := _nearest(name, known))
    ]


def unknown(known: Collection[str], env: Mapping[str, str]) -> list[str]:
    """Return the variables with the prefixes of `known` that are not close to any of them.

    Names that begin with `RESONATE_` or `FLEET_` are left out: other programs use them too.
    """
    return sorted(
        name
        for name in _unknown(known, env)
        if not name.startswith(("RESONATE_", "FLEET_")) and not _nearest(name, known)
    )


def _unknown(known: Collection[str], env: Mapping[str, str]) -> list[str]:
    prefixes = tuple({f"{name.partition('_')[0]}_" for name in known})
    return [
        name
        for name, value in env.items()
        if name.startswith(prefixes)
        and value
        and name not in known
        and name.removesuffix("_FILE") not in known
        and name not in _OTHERS
        and not _is_link(name, value)
    ]


def _is_link(name: str, value: str) -> bool:
    link = name.endswith("_PORT") and _LINK_VALUE.match(value)
    return bool(link or _LINK.search(name))


def _nearest(name: str, known: Collection[str]) -> str:
    """Return the setting of the same process that is closest to `name`, "" if none is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    prefix, _, word = name.removesuffix("_FILE").partition("_")
    if "__" in name:  # the real server has many more of these than the embedded one
        return ""
    words = {
        rest: one for one in known for first, _, rest in [one.partition("_")] if first == prefix
    }
    found = get_close_matches(word, words, 1, _ALIKE)
    return words[found[0]] if found else ""
