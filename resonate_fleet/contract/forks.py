"""Closes this process's sockets in children that a job forks.

A child by `subprocess` inherits none: Python's sockets close on exec. A child by `os.fork`, or by
`multiprocessing` with that method, has copies of all. After this process's end they would keep its
port taken and its connections open.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

#: Returns the descriptors of one owner.
Descriptors = Callable[[], Iterable[int]]
_owners: list[Descriptors] = []


def keep_from_children(owner: Descriptors) -> None:
    """Close in each forked child what `owner` returns there."""
    if not _owners:
        os.register_at_fork(after_in_child=_close)
    _owners.append(owner)


def forget(owner: Descriptors) -> None:
    """Note that the owner has closed everything."""
    with suppress(ValueError):
        _owners.remove(owner)


def _close() -> None:
    """Replace each by /dev/null: an object that has its number may still close it."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for owner in _owners:
        with suppress(OSError, RuntimeError):
            for fd in list(owner()):
                if fd >= 0:  # else it is closed already
                    os.dup2(nothing, fd, inheritable=False)
    os.close(nothing)
