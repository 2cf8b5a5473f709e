"""`python -m resonate_fleet` is the `fleet` command."""

import sys

from resonate_fleet.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
