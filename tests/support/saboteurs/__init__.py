"""Modules for WORKER_FUNCTIONS that make real members misbehave.

Each registers the worker's own functions and cheats at the first claim of chosen jobs, which are
known by the number that their ids end in.
"""

from resonate_fleet.member.attempts import Attempt


def first_claim_of(attempt: Attempt, number: int) -> bool:
    """Say whether this is the first claim of the load's job `number`."""
    return attempt.version == 1 and attempt.task.endswith(f"-{number:05d}")
