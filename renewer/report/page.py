"""The page: one HTML file that needs nothing from anywhere, and lets nothing in.

All that it shows passes jinja2's autoescape; its policy (CSP) allows the two inline texts named by their
hashes, and no request at all. Heavy to import: only who writes a page imports this.
"""

import base64
import hashlib
import os.path
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from renewer import __version__
from renewer.notify import words

_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")


def render(view: Mapping[str, Any], *, stamp: str) -> str:
    """The page as HTML; `stamp` says which facts it was made from (see `tell.freshness`)."""
    style, script = _text("page.css"), _text("page.js")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704  our own files, as they are hashed
    template = environment().get_template("page.html.j2")
    return template.render(view, **own, policy=policy, stamp=stamp, version=__version__)


@cache
def environment() -> Environment:
    """Where templates come from; everything that they show is cleaned and escaped."""
    made = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters |= {"moment": words.moment, "iso": _iso, "epoch": _epoch, "span": words.span}
    made.globals |= {"relative": words.relative}
    return made


def _shown(value: object) -> object:
    return words.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _text(name: str) -> str:
    """One of our own files; it goes into the page as it is, so that its hash is right."""
    with open(os.path.join(_HERE, name), encoding="utf-8") as file:
        return file.read()


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _iso(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def _epoch(when: datetime) -> int:
    return int(when.timestamp())
