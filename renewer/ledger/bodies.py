"""Values as JSON, as they lie in the ledger; `renewer.decoding` reads them."""

import msgspec

from renewer import words

_encode = msgspec.json.Encoder(enc_hook=str).encode  # a detail of history may be anything: then its text


def encoded(value: object) -> bytes:
    """A value as JSON; text that is no Unicode (a hook's output, a file's name) gets question marks."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_whole(msgspec.to_builtins(value, enc_hook=str)))


def _whole(value: object) -> object:
    if isinstance(value, str):
        return words.whole(value)
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(each) for each in value]
    return value
