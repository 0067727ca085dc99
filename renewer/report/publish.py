"""Replaces a file that others read."""

from renewer import durable, ownership
from renewer.copies import files
from renewer.copies.rights import PUBLIC_MODE, Rights
from renewer.errors import RenewerError

_MARK = b"renewer"
"""Stands in every page and every textfile of ours."""


def publish(path: str, content: bytes) -> str | None:
    """Write a file (absolute path) in one rename, readable by all; what people should know, as a sentence."""
    try:
        linked = files.link(path)
        files.replace(path, content, Rights(mode=PUBLIC_MODE), files.marked(path, _MARK))
    except ownership.LinkError as error:
        return f"{path} cannot be written: {error.strerror}; name its real path, or {error.danger.hint}"
    except OSError as error:
        remedy = durable.REMEDIES.get(error.errno or 0)
        return f"{path} cannot be written: {error.strerror}" + (f"; {remedy}" if remedy else "")
    except RenewerError as error:
        return f"{error.text}; {error.hint}" if error.hint else error.text
    if linked is not None:
        return f"{path} was a symbolic link to {linked}: it was replaced, and what it led to was not touched"
    return None
