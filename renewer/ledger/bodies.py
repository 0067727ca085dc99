"""Values as JSON, as they lie in the ledger; `renewer.decoding` reads them."""

import msgspec

_encode = msgspec.json.Encoder(enc_hook=str).encode  # a detail of history may be anything: then its text


def encoded(value: object) -> bytes:
    """A value as JSON; text that is no Unicode (a hook's output, a file's name) gets question marks."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_clean(msgspec.to_builtins(value, enc_hook=str)))


def text(anything: str) -> str:
    """Text that can be written, as `encoded` would write it."""
    return anything.encode("utf-8", "replace").decode("utf-8")


def _clean(value: object) -> object:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return value
