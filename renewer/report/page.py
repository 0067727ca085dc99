"""The page: one HTML file that needs nothing from anywhere, and lets nothing in.

Its policy (CSP) allows the two inline texts named by their hashes, and no request at all. Heavy to import:
only who writes a page imports this.
"""

import base64
import hashlib
import os.path
from functools import cache

import msgspec
from markupsafe import Markup

from renewer import __version__
from renewer.notify import html
from renewer.report.view import View

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")


def render(view: View, *, stamp: str) -> str:
    """The page as HTML; `stamp` says which facts it was made from (see `tell.freshness`)."""
    style, script = _own("page.css"), _own("page.js")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    return html.render(
        TEMPLATES,
        "page.html.j2",
        **msgspec.structs.asdict(view),
        style=Markup(style),  # noqa: S704  our own files, as they are hashed
        script=Markup(script),  # noqa: S704
        policy=policy,
        stamp=stamp,
        version=__version__,
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _own(name: str) -> str:
    """One of our own files; it goes into the page as it is, so that its hash is right."""
    with open(os.path.join(TEMPLATES, name), encoding="utf-8") as file:
        return file.read()
