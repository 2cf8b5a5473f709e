"""`python -m client`: fire and forget, but not before the server has confirmed."""

import sys

from resonate_fleet.submit.__main__ import main

if __name__ == "__main__":
    sys.exit(main("python -m client"))
