"""Tells Prometheus where the replicas are and what they are called (`http_sd_configs`).

`discovery.py GROUP SERVICE:PORT...` answers GET /SERVICE. DNS alone would give addresses, which
change hands when replicas start again; the names are those of the logs and of `fleet ps`.
"""  # noqa: INP001 - one file copied into images, no package

import json
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from resonate_fleet.contract.replica import replica_of

PORT = 9467


def addresses(service: str) -> list[str]:
    try:
        return sorted(socket.gethostbyname_ex(service)[2])
    except OSError:  # no replica is up
        return []


def replica_at(address: str) -> str:
    """Return the name of the replica there, its address if it has gone just now."""
    try:
        return replica_of(socket.gethostbyaddr(address)[0]) or address
    except OSError:
        return address


def targets(service: str, port: str, group: str) -> list[dict[str, Any]]:
    return [
        {
            "targets": [f"{address}:{port}"],
            "labels": {"pod": replica_at(address), "group": group},
        }
        for address in addresses(service)
    ]


def serve(group: str, ports: dict[str, str]) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service = self.path.lstrip("/")
            known = service in ports
            found = targets(service, ports[service], group) if known else sorted(ports)
            body = json.dumps(found).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: Prometheus asks every few seconds."""

    ThreadingHTTPServer(("", PORT), Page).serve_forever()  # a container's own interface


if __name__ == "__main__":
    serve(sys.argv[1], dict(one.split(":") for one in sys.argv[2:]))
