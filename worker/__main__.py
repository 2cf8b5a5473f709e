"""`python -m worker`: a member that runs the functions of this folder."""

import os
import sys

from resonate_fleet.member.__main__ import main

if __name__ == "__main__":
    os.environ.setdefault("WORKER_FUNCTIONS", "worker.functions")
    sys.exit(main("python -m worker"))
