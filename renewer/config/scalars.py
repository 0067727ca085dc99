"""Small values of the config: durations, modes, addresses, paths. Each raises ValueError with a sentence."""

import re
from datetime import timedelta

from renewer.model.names import CERTIFICATE_NAME, Identifier

_DURATION = re.compile(r"([0-9]{1,7})(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"([0-9]{1,7})([KMG])", re.ASCII)
_SHIFTS = {"K": 10, "M": 20, "G": 30}
_MODE = re.compile(r"0?[0-7]{3}", re.ASCII)
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=^_`{|}~-]{1,64}", re.ASCII)
_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[!-~]*)?", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)


def duration(text: str, least: str, most: str) -> timedelta:
    """'90s', '10m', '6h', '30d', within bounds written the same way."""
    seconds = _seconds(text)
    if seconds is None:
        raise ValueError("is not a duration: write a number and s, m, h or d, as 90s, 10m, 6h, 30d")
    if not (_seconds(least) or 0) <= seconds <= (_seconds(most) or 0):
        raise ValueError(f"{text} is out of bounds: {least} to {most} make sense")
    return timedelta(seconds=seconds)


def _seconds(text: str) -> int | None:
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _SECONDS[match[2]] if match else None


def size(text: str, least: str, most: str) -> int:
    """'64K', '10M', '1G' in bytes, within bounds written the same way; '0' is 0."""
    count = _bytes(text)
    if count is None:
        raise ValueError("is not a size: write a number and K, M or G, as 10M, or 0")
    if count and not (_bytes(least) or 0) <= count <= (_bytes(most) or 0):
        raise ValueError(f"{text} is out of bounds: {least} to {most} make sense, or 0")
    return count


def _bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    return int(match[1]) << _SHIFTS[match[2]] if match else 0 if text == "0" else None


def mode(text: str, allowed: int, what: str) -> int:
    """'0640' → 0o640; the owner must be able to read, and nobody may do more than `allowed` says."""
    if not _MODE.fullmatch(text):
        raise ValueError("is not a file mode: write it in quotes and octal, as 0640")
    value = int(text, 8)
    if value & ~allowed:
        raise ValueError(f"{text} gives others too much for {what}: at most {allowed:04o}")
    if not value & 0o400:
        raise ValueError(f"{text} would keep the owner from reading {what}")
    return value


def absolute(text: str) -> str:
    """An absolute path, without double slashes, dots and a trailing slash."""
    import os.path

    if not text.startswith("/"):
        raise ValueError("must be an absolute path, beginning with /")
    if not text.isprintable():
        raise ValueError("is not a path: it holds control characters")
    return os.path.normpath("/" + text.lstrip("/"))


def url(text: str, schemes: tuple[str, ...] = ("https",)) -> str:
    """A URL without a user or password in it."""
    if "@" in text:
        raise ValueError("must not hold a user or password")
    match = _URL.fullmatch(text)
    if not match or match[1] not in schemes:
        raise ValueError(
            f"must be a URL that begins with {' or '.join(scheme + '://' for scheme in schemes)}"
        )
    return text


def contact(text: str) -> str:
    """An e-mail address → 'mailto:…' (RFC 8555 §7.3: one address, no header fields)."""
    local, at, domain = text.strip().removeprefix("mailto:").rpartition("@")
    if not at or not _MAILBOX.fullmatch(local):
        raise ValueError("is not an e-mail address")
    host = Identifier.parse(domain)
    if host.type != "dns" or host.wildcard or "." not in host.value:
        raise ValueError("is not an e-mail address")
    return f"mailto:{local}@{host.value}"


def word(text: str, what: str) -> str:
    """A host's, user's or group's name: letters, digits and . _ - only."""
    if not _WORD.fullmatch(text):
        raise ValueError(f"is not a {what}: letters, digits and . _ - only, at most 64")
    return text


def legal_name(text: str) -> str:
    """A name for a table that begins like `text` and obeys the rule of names."""
    near = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64]
    return near if CERTIFICATE_NAME.fullmatch(near) else "www"


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


def dns_server(text: str) -> str:
    """'192.0.2.1', '192.0.2.1:5353', '[2001:db8::1]:53', '2001:db8::1' → with the port."""
    host, port = host_and_port(text)
    return listen_address(f"[{host}]:{port or 53}" if ":" in host else f"{host}:{port or 53}")


def _port(text: str) -> int:
    """The port, or 0 if it is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return 0
    return int(text) if int(text) <= 65535 else 0
