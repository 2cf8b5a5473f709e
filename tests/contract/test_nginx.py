"""A member behind nginx: as it comes, and with the two lines that docs/containers.md names."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.pages import metrics, page, value
from tests.support.place import Place
from tests.support.processes import ROOT, free_port
from tests.support.services import need
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

CONFIG = """
daemon off; master_process off; error_log stderr; pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{target}; {lines} }} }}
}}
"""


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def documented() -> str:
    """Return the lines for nginx that the document names."""
    text = (ROOT / "docs/containers.md").read_text()
    block = text.partition("```nginx\n")[2].partition("```")[0]
    assert block, "docs/containers.md has no block of nginx's"
    return block


@contextmanager
def nginx(folder: Path, target: str, lines: str) -> Iterator[str]:
    """Run nginx before `target`; yield its address."""
    program = shutil.which("nginx")
    need(program is not None, "nginx")
    port = free_port()
    config = folder / "nginx.conf"
    netloc = urlsplit(target).netloc
    config.write_text(CONFIG.format(folder=folder, port=port, target=netloc, lines=lines))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), "-c", config, "-p", folder], stderr=log)
    try:
        wait_until(lambda: listens(port), 10, "nginx listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_behind_nginx_as_it_comes_a_member_is_ready_and_works(place: Place, tmp_path: Path) -> None:
    with nginx(tmp_path, place.server.url, "") as url:
        worker = place.worker(RESONATE_URL=url)
        assert page(worker, "/readyz")[0] == 200
        job = place.job("compute_something", 0.05)
        place.server.wait_results([job], 30)


def test_with_the_two_lines_hints_come_at_once(place: Place, tmp_path: Path) -> None:
    with nginx(tmp_path, place.server.url, documented()) as url:
        worker = place.worker(RESONATE_URL=url)
        series = "fleet_worker_stream_connected 1.0"
        wait_until(lambda: series in metrics(worker), 20, "the stream is open while idle")
        job = place.job("compute_something", 0.05)
        place.server.wait_results([job], 30)
        heard = "fleet_worker_hints_received_total"
        wait_until(lambda: value(metrics(worker), heard), 5, "its hint has come")
