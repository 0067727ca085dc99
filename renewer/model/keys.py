"""What a key of the config may hold: its field says it once; value, bounds, faults and JSON Schema follow.

A field that is a key is annotated so: `wake: Annotated[timedelta, Key("How often …", Duration("1m", "7d"))]`.
Forms read what is written in the file; they raise ValueError with a sentence.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Self

from renewer.model.names import Identifier
from renewer.model.value import Value

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHIFTS = {"K": 10, "M": 20, "G": 30}
_LAST_PORT = 65535
_LETTERS = "letters, digits and _ only, not beginning with a digit"


class RefusedError(ValueError):
    """Something that cannot be read, with what to do."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


class Form:
    """How a text of the file is read. `schema` are keywords that its JSON Schema has besides the type."""

    schema: Mapping[str, object] = {}

    def __init__(self, read: Callable[[str], object]) -> None:
        self.read = read


class Duration(Form):
    """'90s', '10m', '6h', '30d' as a timedelta, within bounds written the same way."""

    schema: Mapping[str, object] = {"pattern": r"^[0-9]+(s|m|h|d)$"}

    def __init__(self, least: str, most: str) -> None:
        super().__init__(lambda text: duration(text, least, most))


class Seconds(Duration):
    """The same as a number of seconds."""

    def __init__(self, least: str, most: str) -> None:
        Form.__init__(self, lambda text: duration(text, least, most).total_seconds())


class Size(Form):
    """'64K', '10M', '1G' in bytes, within bounds written the same way; '0' is 0."""

    schema: Mapping[str, object] = {"pattern": r"^([0-9]+[KMG]|0)$"}

    def __init__(self, least: str, most: str) -> None:
        super().__init__(lambda text: size(text, least, most))


class Mode(Form):
    """'0640' as a number; nobody but the owner may do more than `allowed` says."""

    schema: Mapping[str, object] = {"pattern": r"^0?[0-7]{3}$"}

    def __init__(self, allowed: int, what: str) -> None:
        super().__init__(lambda text: mode(text, allowed, what))


class Word(Form):
    """A host's, user's or group's name: letters, digits and . _ - only."""

    def __init__(self, what: str) -> None:
        super().__init__(lambda text: word(text, what))


class Printable(Form):
    """Any text without control characters, of 1 to `most` characters."""

    def __init__(self, wrong: str, most: int = 1 << 20) -> None:
        super().__init__(lambda text: printable(text, wrong, most))


class OneOf(Form):
    """One of some words."""

    def __init__(self, words: tuple[str, ...], wrong: str, hint: str) -> None:
        def read(text: str) -> str:
            if text not in words:
                raise RefusedError(wrong, hint)
            return text

        super().__init__(read)


class Number:
    """A whole number within bounds."""

    def __init__(self, least: int, most: int) -> None:
        self.schema = {"minimum": least, "maximum": most}
        self._least = least
        self._most = most

    def read(self, number: int) -> int:
        """The number itself."""
        if not self._least <= number <= self._most:
            raise ValueError(f"{number} is out of bounds: {self._least} to {self._most} make sense")
        return number


class Argv:
    """A program's absolute path with its arguments. With `blank` an empty list is as if it were not there."""

    def __init__(self, *, blank: bool = False) -> None:
        self._blank = blank

    def read(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The list itself."""
        if not argv and self._blank:
            return argv
        if not argv or not argv[0].startswith("/"):
            raise RefusedError("must begin with the absolute path of a program", '["/path", "argument"]')
        if any("\0" in part for part in argv):
            raise ValueError("holds a NUL character")
        return argv


class Variables:
    """Environment variables of hooks or the like; names that begin with one of `reserved` are kept for us."""

    def __init__(self, whose: str, *reserved: str) -> None:
        self._whose = whose
        self._reserved = reserved

    def read(self, name: str, value: object) -> None:
        """Raises ValueError if there can be no such variable."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII):
            raise RefusedError("is not a variable's name", _LETTERS)
        if name.startswith(self._reserved):
            raise RefusedError(f"is kept for what {self._whose} are told by us", "take another name")
        if isinstance(value, str) and "\0" in value:
            raise ValueError("holds a NUL character")


class Key:
    """A key of the config: what it is for, in words for editors, and its form if the type does not say it.

    `key` is its name where that is not the field's; `of` what stands there where that is not what the field
    holds: whoever reads the table makes the one of the other. With `single` one item may stand without
    brackets. `some` is what to do about an empty list, if it must not be empty. In lists of texts and numbers
    what is there twice counts once; with `once` it is a fault. `missing` is what to do if the key is missing,
    if it must not be. With `blank` an empty text is as if it were not there.
    """

    __slots__ = ("blank", "form", "key", "missing", "of", "once", "says", "single", "some")

    def __init__(  # noqa: PLR0913  what a key can be, each by its name
        self,
        says: str,
        form: Form | Number | Argv | Variables | None = None,
        *,
        key: str = "",
        of: object = None,
        single: bool = False,
        some: str | None = None,
        once: bool = False,
        missing: str | None = None,
        blank: bool = False,
    ) -> None:
        self.says = says
        self.form = form
        self.key = key
        self.of = of
        self.single = single
        self.some = some
        self.once = once
        self.missing = missing
        self.blank = blank


class KeyWord(StrEnum):
    """Words that are keys of a table, each with what it is for, in words for editors."""

    says: str

    def __new__(cls, word: str, says: str = "") -> Self:
        """A word and what it says."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.says = says
        return member


class Here:
    """Annotates a field whose keys stand in this very table: those of a struct, or the words of an enum."""

    def __init__(self, cls: type[Value] | type[KeyWord], *, without: tuple[str, ...] = ()) -> None:
        self.cls = cls
        self.without = without


# --- texts --------------------------------------------------------------------------------------------------


def duration(text: str, least: str, most: str) -> timedelta:
    """'90s', '10m', '6h', '30d', within bounds written the same way."""
    seconds = _seconds(text)
    if seconds is None:
        hint = "write a number and s, m, h or d, as 90s, 10m, 6h, 30d"
        raise RefusedError("is not a duration", hint)
    if not (_seconds(least) or 0) <= seconds <= (_seconds(most) or 0):
        raise ValueError(f"{text} is out of bounds: {least} to {most} make sense")
    return timedelta(seconds=seconds)


def _seconds(text: str) -> int | None:
    match = re.fullmatch(r"([0-9]{1,7})(s|m|h|d)", text, re.ASCII)
    return int(match[1]) * _SECONDS[match[2]] if match else None


def size(text: str, least: str, most: str) -> int:
    """'64K', '10M', '1G' in bytes, within bounds written the same way; '0' is 0."""
    count = _bytes(text)
    if count is None:
        raise RefusedError("is not a size", "write a number and K, M or G, as 10M, or 0")
    if count and not (_bytes(least) or 0) <= count <= (_bytes(most) or 0):
        raise ValueError(f"{text} is out of bounds: {least} to {most} make sense, or 0")
    return count


def _bytes(text: str) -> int | None:
    match = re.fullmatch(r"([0-9]{1,7})([KMG])", text, re.ASCII)
    return int(match[1]) << _SHIFTS[match[2]] if match else 0 if text == "0" else None


def mode(text: str, allowed: int, what: str) -> int:
    """'0640' → 0o640; the owner must be able to read, and nobody may do more than `allowed` says."""
    if not re.fullmatch(r"0?[0-7]{3}", text, re.ASCII):
        raise RefusedError("is not a file mode", "write it in quotes and octal, as 0640")
    value = int(text, 8)
    if value & ~allowed:
        raise ValueError(f"{text} gives others too much for {what}: at most {allowed:04o}")
    if not value & 0o400:
        raise ValueError(f"{text} would keep the owner from reading {what}")
    return value


def absolute(text: str) -> str:
    """An absolute path, without double slashes, dots and a trailing slash."""
    if not text.startswith("/"):
        raise ValueError("must be an absolute path, beginning with /")
    if not text.isprintable():
        raise ValueError("is not a path: it holds control characters")
    return posixpath.normpath("/" + text.lstrip("/"))


def directory(text: str) -> str:
    """The absolute path of a directory of its own."""
    path = absolute(text)
    if path == "/":
        raise ValueError("must be a directory of its own, not /")
    return path


def url(text: str, schemes: tuple[str, ...] = ("https",)) -> str:
    """A URL without a user or password in it."""
    if "@" in text:
        raise ValueError("must not hold a user or password")
    form = r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[!-~]*)?"
    match = re.fullmatch(form, text, re.ASCII)
    if not match or match[1] not in schemes:
        raise ValueError(
            f"must be a URL that begins with {' or '.join(scheme + '://' for scheme in schemes)}"
        )
    return text


def proxy(text: str) -> str:
    """The URL of an HTTP proxy; one with a password in it stands elsewhere."""
    if "@" in text:
        hint = 'put the whole URL into a file of its own: proxy = { file = "/etc/renewer/secrets/proxy" }'
        raise RefusedError("holds a user or a password, which never stand in the configuration", hint)
    return url(text, ("http", "https"))


def roots(text: str) -> str:
    """What served certificates must chain to: 'system', 'any', or a PEM file."""
    if text in ("system", "any"):
        return text
    if not text.startswith("/"):
        raise ValueError("must be system, any or the absolute path of a PEM file")
    return absolute(text)


def contact(text: str) -> str:
    """An e-mail address → 'mailto:…' (RFC 8555 §7.3: one address, no header fields)."""
    local, at, domain = text.strip().removeprefix("mailto:").rpartition("@")
    if not at or not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=^_`{|}~-]{1,64}", local, re.ASCII):
        raise ValueError("is not an e-mail address")
    host = Identifier.parse(domain)
    if host.type != "dns" or host.wildcard or "." not in host.value:
        raise ValueError("is not an e-mail address")
    return f"mailto:{local}@{host.value}"


def mailbox(text: str) -> str:
    """An e-mail address, one of this host (root@localhost) too; its domain normalised."""
    _, _, domain = text.strip().rpartition("@")
    dotted = contact(text if "." in domain else f"{text.strip()}.local").removeprefix("mailto:")
    return dotted if "." in domain else dotted.removesuffix(".local")


def word(text: str, what: str) -> str:
    """A host's, user's or group's name: letters, digits and . _ - only."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", text, re.ASCII):
        raise ValueError(f"is not a {what}: letters, digits and . _ - only, at most 64")
    return text


def printable(text: str, wrong: str, most: int) -> str:
    """Any text without control characters, of 1 to `most` characters."""
    if not text or not text.isprintable() or len(text) > most:
        raise ValueError(wrong)
    return text


def key_name(text: str) -> str:
    """The name of a TSIG key (RFC 8945 §4.2: a domain name), in small letters without the last dot."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", text) or len(text) > 253:
        raise RefusedError("is not a key's name", "as the server's config has it, without quotes in it")
    return text.removesuffix(".").lower()


def keystore_password(text: str) -> str:
    """A password never stands in the configuration; that there is none may be said, by an empty text."""
    if text:
        hint = 'put it into a file of its own: password = { file = "/etc/renewer/secrets/keystore" }'
        raise RefusedError("is a secret, and must not stand here", hint)
    return text


def listen_address(text: str) -> str:
    """'0.0.0.0:80', '[::]:80' → normalised."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not _port(port):
        raise ValueError("must be an address and a port, as 0.0.0.0:80 or [::]:80")
    if (":" in host) != (host[0] == "[" and host[-1] == "]"):
        raise ValueError("must be an address and a port; IPv6 in brackets, as [::]:80")
    from ipaddress import ip_address

    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        raise ValueError("must be an IP address and a port, as 0.0.0.0:80 or [::]:80") from None
    return f"[{address.compressed}]:{_port(port)}" if address.version == 6 else f"{address}:{_port(port)}"


def host_and_port(text: str) -> tuple[str, int | None]:
    """'www.example.org:443', 'www.example.org', '[::1]:443', '192.0.2.7:8443' → (host, port or None)."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("must be host:port; IPv6 in brackets, as [::1]:443")
        port = rest[1:] if rest else None
    elif text.count(":") > 1:
        host, port = text, None
    else:
        host, colon, after = text.partition(":")
        port = after if colon else None
    if port is None:
        return host, None
    if not (number := _port(port)):
        raise ValueError("has no valid port: a number from 1 to 65535")
    return host, number


def host_port(text: str, usual: int, wrong: str) -> str:
    """A host's name or address, with its port; the usual one if it has none."""
    host, port = host_and_port(text)
    name = Identifier.parse(host)
    if name.wildcard:
        raise ValueError(wrong.format(name))
    return f"[{name}]:{port or usual}" if ":" in name.value else f"{name}:{port or usual}"


def dns_server(text: str) -> str:
    """'192.0.2.1', '192.0.2.1:5353', '[2001:db8::1]:53', '2001:db8::1' → with the port."""
    host, port = host_and_port(text)
    return listen_address(f"[{host}]:{port or 53}" if ":" in host else f"{host}:{port or 53}")


def update_server(text: str) -> str:
    """A server that takes DNS updates: an address or a host's name, with the port."""
    return host_port(text, 53, "is not a server's name or address")


def _port(text: str) -> int:
    """The port, or 0 if it is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return 0
    return int(text) if int(text) <= _LAST_PORT else 0


ABS_PATH = Form(absolute)
DIRECTORY = Form(directory)
URL = Form(url)
PROXY = Form(proxy)
ROOTS = Form(roots)
CONTACT = Form(contact)
MAILBOX = Form(mailbox)
LISTEN = Form(listen_address)
DNS_SERVER = Form(dns_server)
UPDATE_SERVER = Form(update_server)
KEY_NAME = Form(key_name)
KEYSTORE_PASSWORD = Form(keystore_password)
NAME = Form(Identifier.parse)


# --- what several tables have -------------------------------------------------------------------------------


class SecretSource(KeyWord):
    """Where a secret is taken from when it is needed; the config never holds one itself."""

    FILE = "file", "A file that holds it; absolute path."
    ENV = "env", "An environment variable's name."
    CREDENTIAL = "credential", "A systemd credential's name."
    COMMAND = "command", "A program that prints it, and its arguments."


class Secret(Value):
    """A reference to a secret; exactly one key.

    The argument is a path, a variable's name, a systemd credential's name, or an argv.
    """

    source: SecretSource
    argument: tuple[str, ...]


class Convention(StrEnum):
    """How a program of the operator's is spoken to."""

    RENEWER = "renewer"
    CERTBOT = "certbot"


ENVIRONMENT = Key(
    "Environment variables for it; a secret as { file = … } and the like.",
    Variables("hooks", "RENEWER_", "RENEWED_"),
)
