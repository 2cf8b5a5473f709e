"""Requests and answers as they go over the wire, and the payloads in them."""

import base64
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from resonate_fleet.contract.settings import fresh_token
from resonate_fleet.contract.words import PROTOCOL, REQUEST_BYTES

#: Status for a request that is too large for the server or a proxy.
TOO_LARGE = 413


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A payload in its wire form: `data` is base64 of JSON."""

    headers: dict[str, str] | None = None
    data: str | None = None

    def decoded(self) -> Any:
        """Return the JSON value inside, or None where there is none.

        Raises:
            ValueError: the payload is not base64 of JSON, or nests too deep to be read.
        """
        return read_json(base64.b64decode(self.data, validate=True)) if self.data else None


def read_json(raw: bytes, form: Any = Any) -> Any:
    """Return the JSON value in `raw`, which may be anybody's.

    Raises:
        ValueError: it is of another form, or nests too deep.
    """
    try:
        return msgspec.json.decode(raw, type=form)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def encode_value(value: Any) -> dict[str, str]:
    """Return `value` as the wire form of a payload."""
    return {"data": base64.b64encode(msgspec.json.encode(value)).decode("ascii")}


def envelope(kind: str, data: Mapping[str, Any], token: str | None = None) -> dict[str, Any]:
    """Return a request as it goes over the wire.

    The server reads a token in this head; a header of the HTTP request counts for streams only
    (v0.9.8, `src/auth.rs`).
    """
    head = {"corrId": uuid.uuid4().hex, "version": PROTOCOL}
    if sent := fresh_token(token):
        head["auth"] = sent
    return {"kind": kind, "head": head, "data": dict(data)}


class Raw(NamedTuple):
    """An HTTP answer. `date` is the header of that name, "" without it."""

    status: int
    body: bytes
    date: str = ""


def too_large(body: bytes | str) -> Raw | None:
    """Return the server's answer to a request that is too large, None for any other."""
    if len(body) <= REQUEST_BYTES:
        return None
    return Raw(TOO_LARGE, f"more than {REQUEST_BYTES // 1024**2} MiB".encode())
