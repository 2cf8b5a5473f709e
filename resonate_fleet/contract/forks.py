"""Sockets of this process that a child which a job forks must not keep.

A child by `subprocess` inherits none: Python's sockets close on exec. One by `os.fork`, or by
`multiprocessing` with that method, has copies of all. It would keep this process's port taken, and
its connections alive, beyond this process's own end.
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
    """The owner has closed everything."""
    with suppress(ValueError):
        _owners.remove(owner)


def _close() -> None:
    """Put nothing in the place of each: an object that knows its number may close it later."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for owner in _owners:
        with suppress(OSError, RuntimeError):
            for fd in list(owner()):
                if fd >= 0:  # else it is closed already
                    os.dup2(nothing, fd, inheritable=False)
    os.close(nothing)
