"""The one base of all values, and what takes a warning."""

from collections.abc import Callable
from typing import dataclass_transform

import msgspec

KeyPath = tuple[str | int, ...]
"""Where a key stands in a document: names of tables and keys, numbers of items."""

Warn = Callable[[str], None]
"""Takes a sentence for the operator about something odd that does not stop the work."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An immutable value, legal once made; cheap to define, to make and to write as JSON."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Printed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A value that is printed as JSON: unlike a record of the ledger it has every key, always."""
