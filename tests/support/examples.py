"""How many examples a property tries: `EXAMPLES` of the environment, where a run asks for it.

Few are enough to kill a mutant quickly (CONTRIBUTING.md); many look further.
"""

import os


def examples(usual: int) -> int:
    return int(os.environ.get("EXAMPLES", usual))
