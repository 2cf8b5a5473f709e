"""How many examples a property tries: `EXAMPLES` of the environment, where a run asks for it.

Few are enough to kill a mutant quickly (CONTRIBUTING.md); many look further.
"""

import os


def examples(usual: int, in_ci: int | None = None) -> int:
    if in_ci is not None and "CI" in os.environ:
        usual = in_ci
    return int(os.environ.get("EXAMPLES", usual))
