"""`docs/your-own-functions.md`: a function's own test, as it stands there."""

from typing import Any

from tests.support.docs_blocks import ROOT, blocks
from tests.support.thumbnails import thumbnails


async def test_a_functions_own_test_needs_no_server() -> None:
    (block,) = [
        one
        for one in blocks(ROOT / "docs" / "your-own-functions.md")
        if one.test == "test_docs_functions"
    ]
    names: dict[str, Any] = {"thumbnails": thumbnails}
    exec(block.text, names)  # noqa: S102 - it is the document's own
    await names["test_thumbnails"]()
