"""The pages of a process that was started on a port of the system's choice."""

import re
from http.client import HTTPConnection

from tests.support.processes import Process


def page(process: Process, path: str, accept: str = "") -> tuple[int, str]:
    """Return status and body of a page; its port is the one of the log line `pages`."""
    connection = HTTPConnection("127.0.0.1", process.line("pages")["port"], timeout=5)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def metrics(process: Process) -> str:
    """Return a scrape in the OpenMetrics format."""
    return page(process, "/metrics", "application/openmetrics-text; version=1.0.0")[1]


def value(text: str, series: str) -> float:
    """Return the value of a series in a scrape; it must be there."""
    found = re.search(rf"^{re.escape(series)} (\S+)", text, re.MULTILINE)
    assert found, f"no {series} in\n{text}"
    return float(found.group(1))
