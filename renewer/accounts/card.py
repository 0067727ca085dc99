"""What `account.json` says of an account: read without a key, and without anything heavy."""

import re
from typing import Any
from urllib.parse import urlsplit

from renewer import statedir, words
from renewer.decoding import UndecodableError, decode
from renewer.model.desired import Authority

KEY = "key.pem"
ACCOUNT = "account.json"


def place(authority: Authority) -> tuple[str, ...]:
    """The account's directory below the state directory, component by component."""
    host = re.sub(r"[^a-z0-9.-]", "_", urlsplit(authority.directory).netloc.lower())
    name = re.sub(r"[^A-Za-z0-9._-]", "_", authority.name).lstrip(".") or "_"
    return ("authorities", host, name)


def about(state: str, authority: Authority) -> dict[str, Any]:
    """What lies on disk: `files`, and what `account.json` says; makes nothing, asks nobody."""
    folder = statedir.look(state, *place(authority))
    if folder is None:
        return {"files": []}
    with folder:
        files = [name for name in folder.names() if not name.startswith(".")]
        return {"files": files, **document(folder.peek(ACCOUNT))}


def ended(known: dict[str, Any]) -> str | None:
    """That the account was ended, and when, to stand behind "the account at X"; None if it was not."""
    when = known.get("deactivated_at")
    return f"was deactivated at {_said(when, 40)}" if when else None


def contact_to_tell(known: dict[str, Any], authority: Authority) -> bool:
    """Whether the authority was told another contact than the config has now, and did not refuse this one."""
    if known.get("directory") != authority.directory or not known.get("url") or ended(known):
        return False
    return list(authority.contact) not in (known.get("contact"), known.get("contact_refused"))


def contact_refused(known: dict[str, Any], authority: Authority) -> str | None:
    """Why the authority does not take the contact of the config; None if it did not say so."""
    if not authority.contact or known.get("contact_refused") != list(authority.contact):
        return None
    return _said(known.get("refusal"), 500)


def document(data: bytes | None) -> dict[str, Any]:
    """The object in account.json; empty if there is none."""
    try:
        known = decode(data or b"")
    except UndecodableError:
        return {}
    return known if isinstance(known, dict) else {}


def _said(text: object, limit: int) -> str:
    """A text out of the file, fit for a terminal; "?" if there is none."""
    return words.text_of(text, limit) or "?"
