"""Hand one call to any member of the group and walk away: the plain SDK, nothing else.

python -m client.dispatch invoice-17 2.5
"""

import asyncio
import sys

from resonate.resonate import Resonate


async def dispatch(id: str, cost: float) -> None:
    """Create the job `id` and return when the server has it."""
    resonate = Resonate(url="http://localhost:8001", group="client")
    group = resonate.options(target="poll://any@worker-group")
    handle = group.rpc(id, "compute_something", id, cost)
    print(await handle.id())  # without this, `stop` may end before the job is sent
    await resonate.stop()


if __name__ == "__main__":
    asyncio.run(dispatch(sys.argv[1], float(sys.argv[2])))
