"""The one door from octets to values: JSON that was ever written, received, or touched by somebody.

What lies on a disk rots and what comes over a wire is anybody's; whatever is wrong with it is one exception
here, so that nobody has to know the three ways in which a JSON reader complains.
"""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, get_type_hints

import msgspec

_EARLIEST, _LATEST = 1900, 9998  # years: a day more or less must still be a date
_TOO_MANY = 2**63
_BELOW_ZERO = "stage"  # of a notice: days since the end are counted down
_ENDS = "not_after"  # RFC 5280 §4.1.2.5: 9999-12-31 there means that it never ends


class UndecodableError(ValueError):
    """Octets that are not what was asked for; the text says why."""


Read = Callable[[object], Any]
_readers: dict[Any, Read] = {}


def decode(data: object, kind: Any = Any) -> Any:
    """JSON as a value of this kind, as it stands if none is named. Raises UndecodableError.

    A struct's moments are aware and lie where a date can be reckoned with; its numbers are counts.
    """
    reader = _readers.get(kind)
    if reader is None:  # made once: that takes longer than to read a hundred
        reader = _readers[kind] = _reader(kind)
    return reader(data)


def _reader(kind: Any) -> Read:
    read = msgspec.json.Decoder(kind).decode
    moments = tuple(_moments(kind)) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ()
    getters = [(name, attrgetter(name)) for name in moments]

    def reader(data: object) -> Any:
        if not isinstance(data, bytes | bytearray | memoryview | str):
            raise UndecodableError(f"it is no text, but {type(data).__name__}")
        try:
            value = read(data)
        except UnicodeDecodeError:
            raise UndecodableError("it is not UTF-8") from None
        except RecursionError:
            raise UndecodableError("it is nested without end") from None
        except (msgspec.MsgspecError, ValueError, OverflowError) as error:
            raise UndecodableError(str(error)) from None
        for name, get in getters:
            moment = get(value)
            if isinstance(moment, int):
                least = -_TOO_MANY if name.endswith(_BELOW_ZERO) else 0
                if not least <= moment < _TOO_MANY:
                    raise UndecodableError(f"{name} is no number that was ever counted")
            elif moment is not None and not _usable(moment, name):
                raise UndecodableError(f"{name} is no moment that can be reckoned with")
        return value

    return reader


def _usable(moment: datetime, name: str) -> bool:
    latest = 9999 if name.endswith(_ENDS) else _LATEST
    return moment.tzinfo is not None and _EARLIEST <= moment.year <= latest


def _moments(kind: type[msgspec.Struct], above: str = "") -> list[str]:
    """Where moments and counts stand in a struct and in the structs that it holds, dotted."""
    found: list[str] = []
    hints = get_type_hints(kind)
    for name in kind.__struct_fields__:
        hint = hints[name]
        if hint in (datetime, int) or hint in (datetime | None, int | None):
            found.append(above + name)
        elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            found += _moments(hint, f"{above}{name}.")
    return found
