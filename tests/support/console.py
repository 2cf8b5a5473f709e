"""The console's page as a test watches it."""

import asyncio
from typing import Any

from tests.support.browser import Page

#: Seconds between two looks, and how many there are.
LOOK_EVERY = 0.05
LOOKS = 1200


class Watched:
    def __init__(self, page: Page) -> None:
        self.page = page

    async def asks(self, expression: str) -> Any:
        """Return what an expression over `app` gives, which is what the module `app.js` exports."""
        # The page's own copy: the module is loaded once, also while the steward is away.
        script = f"import('/app.js').then((app) => {expression})"
        answer = await self.page.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, what: str) -> None:
        for _ in range(LOOKS):
            if await self.asks(expression):
                return
            await asyncio.sleep(LOOK_EVERY)
        raise AssertionError(f"not within {LOOKS * LOOK_EVERY:g} s: {what}")

    async def arrives(self, url: str) -> None:
        """Wait until the page has gone to `url` by itself."""
        for _ in range(LOOKS):
            at = await self.page.value("location.href")
            if at == url:
                return
            await asyncio.sleep(LOOK_EVERY)
        raise AssertionError(f"the page is at {at}, not at {url}")
