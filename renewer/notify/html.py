"""HTML from templates: page, reports and mail. All that they show is cleaned and escaped.

Heavy to import (jinja2): only who writes HTML does.
"""

from datetime import datetime
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from renewer import words


def render(folder: str, template: str, **what: object) -> str:
    """A template out of that folder of ours, with what it names."""
    return _environment(folder).get_template(template).render(**what)


@cache
def _environment(folder: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters |= {
        "day": lambda when: f"{when.day} {when:%b %Y}",
        "moment": words.moment,
        "iso": words.rfc3339,
        "epoch": _epoch,
        "span": words.span,
    }
    made.globals |= {"relative": words.relative}
    return made


def _shown(value: object) -> object:
    return words.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _epoch(when: datetime) -> int:
    return int(when.timestamp())
