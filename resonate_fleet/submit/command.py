"""`python -m client`: the load that its options describe, submitted."""

import math
import os
import signal
from argparse import Namespace

from resonate_fleet.contract.ids import new_id
from resonate_fleet.submit import load, options
from resonate_fleet.submit.session import Order, submit


def run(asked: Namespace) -> int:
    """Run the client; return its exit code.

    Raises:
        Mistake: what was asked for cannot be.
    """
    for number in (signal.SIGTERM, signal.SIGINT):  # both end it like Ctrl-C
        signal.signal(number, signal.default_int_handler)
    given = options.parse(asked, os.environ)
    jobs = load.make(given.settings, given.ids, given.args, new_id)
    order = Order(
        settings=given.settings,
        jobs=jobs,
        count=len(jobs),
        seed=given.settings.seed,
        wait=math.inf if given.wait else None,
        json=given.json,
    )
    return submit(order, "client")
