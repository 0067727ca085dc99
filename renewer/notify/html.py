"""A message as HTML for mail programs: no script, no image, nothing from elsewhere. Pure.

Text becomes HTML in one place, `tag`, which escapes whatever is not made by itself.
"""

from collections.abc import Mapping
from html import escape

from renewer.model.desired import Topic
from renewer.notify.message import Entry, Message
from renewer.notify.writing import footer, rows

_COLOURS: Mapping[Topic, str] = {
    Topic.EXPIRING: "#b3261e",
    Topic.FAILED: "#b3261e",
    Topic.DEGRADED: "#8a5a00",
    Topic.RECOVERED: "#1b6e3a",
    Topic.RENEWED: "#1b6e3a",
}
_BODY = "font-family: system-ui, sans-serif; font-size: 15px; line-height: 1.45; max-width: 44em; margin: 1em"
_LABEL = (
    "padding: 1px 12px 1px 0; vertical-align: top; text-align: left; font-weight: normal; opacity: .7; "
    "white-space: nowrap"
)
_CELL = "padding: 1px 0; vertical-align: top; overflow-wrap: anywhere"
_CODE = "white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #999; padding-left: 8px"


class Html(str):
    """Text that is HTML already; only `tag` makes it."""

    __slots__ = ()


def tag(name: str, *inside: str, style: str = "") -> Html:
    """An element; what is inside is escaped unless it is an element itself."""
    opening = f'{name} style="{escape(style)}"' if style else name
    content = "".join(one if isinstance(one, Html) else escape(one) for one in inside)
    return Html(f"<{opening}>{content}</{name}>")


def html(message: Message) -> str:
    """The whole message."""
    parts = [tag("p", note) for note in message.notes]
    parts += [_entry(entry) for entry in message.entries]
    if message.more:
        parts.append(tag("h3", "Also"))
        parts.append(tag("ul", *(tag("li", line) for line in message.more)))
    parts.append(tag("p", footer(message), style="opacity: .7; font-size: 13px"))
    head = Html('<meta charset="utf-8"><meta name="color-scheme" content="light dark">')
    head = tag("head", head, tag("title", message.subject))
    body = tag("body", *parts, style=_BODY)
    return f'<!doctype html>\n<html lang="en">{head}{body}</html>\n'


def _entry(entry: Entry) -> Html:
    colour = f"color: {_COLOURS[entry.topic]}; margin: 1.2em 0 .3em"
    title = tag("h2", f"{entry.certificate}: {entry.headline}", style=f"{colour}; font-size: 17px")
    lines = [
        tag("tr", tag("th", label, style=_LABEL), tag("td", said, style=_CELL)) for label, said in rows(entry)
    ]
    outputs = [tag("pre", one.output, style=_CODE) for one in entry.troubles if one.output]
    commands = [tag("pre", "\n".join(entry.commands), style=_CODE)] if entry.commands else []
    return tag("div", title, tag("table", *lines), *outputs, *commands)
