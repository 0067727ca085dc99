"""Replaces a file that others read."""

from renewer.copies.files import replace
from renewer.copies.rights import PUBLIC_MODE, Rights
from renewer.errors import RenewerError


def publish(path: str, content: bytes) -> str | None:
    """Write a file (absolute path) in one rename, readable by all; what went wrong, as a sentence."""
    try:
        replace(path, content, Rights(mode=PUBLIC_MODE))
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}"
    except RenewerError as error:
        return f"{error.text}; {error.hint}" if error.hint else error.text
    return None
