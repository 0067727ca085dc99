"""What `account.json` says of an account: read without a key, and without anything heavy."""

import re
from typing import Any
from urllib.parse import urlsplit

from renewer.acme.folder import ACCOUNT, peek
from renewer.decoding import UndecodableError, decode
from renewer.model.desired import Authority


def place(authority: Authority) -> tuple[str, ...]:
    """The account's directory below the state directory, component by component."""
    host = re.sub(r"[^a-z0-9.-]", "_", urlsplit(authority.directory).netloc.lower())
    name = re.sub(r"[^A-Za-z0-9._-]", "_", authority.name).lstrip(".") or "_"
    return ("authorities", host, name)


def about(state: str, authority: Authority) -> dict[str, Any]:
    """What lies on disk: `files`, and what `account.json` says; makes nothing, asks nobody."""
    folder = peek(state, place(authority))
    if folder is None:
        return {"files": []}
    with folder:
        return {"files": folder.names(), **document(folder.read(ACCOUNT))}


def document(data: bytes | None) -> dict[str, Any]:
    """The object in account.json; empty if there is none."""
    try:
        known = decode(data or b"")
    except UndecodableError:
        return {}
    return known if isinstance(known, dict) else {}
