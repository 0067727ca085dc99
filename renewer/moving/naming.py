"""Names of tables out of names of other clients. Pure."""

import re
import zlib
from collections.abc import Collection

from renewer.model.names import CERTIFICATE_NAME

_LONGEST = 64


def table_name(text: str, taken: Collection[str] = ()) -> str:
    """A name that our rules take (`CERTIFICATE_NAME`), near to `text`, and none of those taken.

    The same text always gives the same name; what stands for a wildcard is spelt out.
    """
    near = re.sub(r"^(\*|_)\.", "wildcard.", text.strip().lower())
    near = re.sub(r"[^a-z0-9._-]+", "-", near).strip("-._") or "certificate"
    if len(near) > _LONGEST:
        near = f"{near[: _LONGEST - 9].rstrip('-._')}-{zlib.crc32(text.encode()):08x}"
    name, number = near, 1
    while name in taken or not CERTIFICATE_NAME.fullmatch(name):
        number += 1
        name = f"{near[: _LONGEST - 1 - len(str(number))]}-{number}"
    return name
