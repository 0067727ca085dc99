"""HAProxy, lighttpd and Caddy: what their files name, read by lines."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise

from renewer.model.installed import EVERYWHERE, CertificateUse, Opening
from renewer.servers.lines import SourceLine, SourceLines, unquoted
from renewer.servers.reading import Guard

_BESIDE = (".key", ".ocsp", ".issuer", ".sctl")  # what HAProxy loads with a certificate of the same name
_BIND_VALUES = {
    "crt",
    "crt-list",
    "ca-file",
    "crl-file",
    "alpn",
    "ciphers",
    "curves",
    "name",
    "id",
    "user",
    "mode",
}
_OPENING = re.compile(r"(?:ipv[46]@)?(\[[0-9a-fA-F:.]*\]|[0-9A-Fa-f:.*]*):(\d{1,5})")


def haproxy(guard: Guard, config: str) -> list[CertificateUse]:
    """Every certificate of a `bind … ssl`, in files, directories and lists."""
    reader, base, found = SourceLines(guard), "", []
    for line in reader.of(config):
        words = _words(line.text)
        match words:
            case ["crt-base", path, *_]:
                base = path
            case ["bind", where, *options] if "ssl" in options:
                openings = _binds(where, proxy_protocol="accept-proxy" in options)
                for kind, value in pairwise(options):
                    if kind == "crt":
                        found += _haproxy_files(guard, line, os.path.join(base, value), openings)
                    elif kind == "crt-list":
                        found += _crt_list(reader, value, base, line, openings)
            case ["load", "crt", value, *_]:
                found += _haproxy_files(guard, line, os.path.join(base, value), ())
    return found


def _haproxy_files(
    guard: Guard, line: SourceLine, path: str, openings: Sequence[Opening], names: tuple[str, ...] = ()
) -> list[CertificateUse]:
    path = os.path.normpath(os.path.join(os.path.dirname(line.file), path))
    files = [path]
    if os.path.isdir(path):
        files = [os.path.join(path, name) for name in guard.names(path) if not name.endswith(_BESIDE)]
    return [
        CertificateUse(
            server="haproxy",
            config=line.file,
            line=line.number,
            certificate=file,
            key=_haproxy_key(file),
            names=names,
            openings=tuple(openings),
        )
        for file in files
    ]


def _haproxy_key(file: str) -> str:
    """Where the key lies: beside it, or in the same file."""
    beside = (f"{file}.key", f"{file.removesuffix('.crt')}.key")
    return next((path for path in beside if os.path.exists(path)), file)


def _crt_list(
    reader: SourceLines, path: str, base: str, asked: SourceLine, openings: Sequence[Opening]
) -> Iterator[CertificateUse]:
    path = os.path.normpath(os.path.join(os.path.dirname(asked.file), path))
    for line in reader.of(path, asked.place):
        text = line.text.strip()
        if text and text[0] != "#":
            file, *rest = re.sub(r"\[[^\]]*\]", " ", text).split()
            names = tuple(name for name in rest if name[0] != "!")
            yield from _haproxy_files(reader.guard, line, os.path.join(base, file), openings, names)


def _binds(text: str, *, proxy_protocol: bool) -> tuple[Opening, ...]:
    found = []
    for one in text.split(","):
        match = _OPENING.fullmatch(one)
        if match and 0 < int(match[2]) < 1 << 16:
            address = match[1].strip("[]")
            address = "" if address in EVERYWHERE or address == ":" else address
            found.append(Opening(address=address, port=int(match[2]), proxy_protocol=proxy_protocol))
    return tuple(found)


def _words(text: str) -> list[str]:
    """The words of a line that matters, by the quoting of shells that HAProxy follows; else none."""
    if not text.lstrip().startswith(("bind", "load", "crt-base")) or len(text) > 1 << 16:
        return []
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return []


_SOCKET = re.compile(r'\$SERVER\s*\[\s*"socket"\s*\]\s*==\s*"([^"]*)"')
_HOST = re.compile(r'\$HTTP\s*\[\s*"(?:host|scheme)"\s*\]\s*(==|=~)\s*"([^"]*)"')
_ASSIGNED = re.compile(r"([\w.-]+)\s*\+?=\s*(.+)")


def lighttpd(guard: Guard, config: str) -> list[CertificateUse]:
    """Every `ssl.pemfile`, with the socket and the host of the blocks around it."""
    reader = _Lighttpd(guard, config)
    reader.file(config, "")
    return reader.uses()


class _Lighttpd:
    def __init__(self, guard: Guard, config: str) -> None:
        self.lines = SourceLines(guard)
        self.base = os.path.dirname(config)
        self.blocks: list[tuple[str, str]] = []
        self.port = 80
        self.variables: dict[str, str] = {}
        self.openings: list[Opening] = []
        self.whole = False  # whether the main port speaks TLS
        self.found: list[tuple[SourceLine, str, str, str]] = []
        self.keys: dict[tuple[tuple[str, str], ...], str] = {}
        self.of: list[tuple[tuple[str, str], ...]] = []

    def file(self, path: str, asked: str) -> None:
        for line in self.lines.of(path, asked):
            text = line.text.strip()
            if not text or text[0] == "#":
                continue
            socket, host = _SOCKET.search(text), _HOST.search(text)
            inside = text.partition("{")[2] if "{" in text else text
            if "{" in text:
                kind = ("socket", socket[1]) if socket else ("host", host[2] if host else "")
                self.blocks.append(kind)
            for part in inside.split("}")[0].split(";") if inside else ():
                self._say(part.strip(), line)
            for _ in range(min(text.count("}"), len(self.blocks))):
                self.blocks.pop()

    def _say(self, text: str, line: SourceLine) -> None:
        if text.startswith(("include ", "include_shell")):
            pattern = unquoted(text.partition(" ")[2])
            if text.startswith("include_shell"):
                self.lines.guard.tell(line.place, "what a program prints is not read: it is not run")
                return
            for path in self.lines.guard.matching(os.path.join(self.base, pattern)):
                self.file(path, line.place)
            return
        assigned = _ASSIGNED.fullmatch(text)
        if not assigned:
            return
        name, value = assigned[1], unquoted(assigned[2])
        place = next((text for kind, text in reversed(self.blocks) if kind == "socket"), "")
        host = next((text for kind, text in reversed(self.blocks) if kind == "host" and text), "")
        if name == "server.port" and value.isascii() and value.isdigit():
            self.port = int(value) % (1 << 16)
        elif name == "ssl.engine" and value == "enable":
            self._speaks(place)
        elif name == "ssl.pemfile":
            self.found.append((line, os.path.join(self.base, value), place, host))
            self.of.append(tuple(self.blocks))
        elif name == "ssl.privkey":
            self.keys[tuple(self.blocks)] = os.path.join(self.base, value)

    def _speaks(self, place: str) -> None:
        match = _OPENING.fullmatch(place)
        if match:
            address = match[1].strip("[]")
            address = "" if address in EVERYWHERE or address == ":" else address
            self.openings.append(Opening(address=address, port=int(match[2])))
        else:
            self.whole = True

    def uses(self) -> list[CertificateUse]:
        every = tuple(self.openings) + ((Opening(address="", port=self.port),) if self.whole else ())
        return [
            CertificateUse(
                server="lighttpd",
                config=line.file,
                line=line.number,
                certificate=os.path.normpath(path),
                key=self.keys.get(blocks, path),
                names=(host,) if re.fullmatch(r"[\w.-]+", host) else (),
                openings=tuple(one for one in every if not place or place.endswith(f":{one.port}")),
            )
            for (line, path, place, host), blocks in zip(self.found, self.of, strict=True)
        ]


_ADDRESS = re.compile(r"(?:(https?)://)?([^\s:/{},]*)(?::(\d{1,5}))?(?:/\S*)?,?")


def caddy(guard: Guard, config: str) -> list[CertificateUse]:
    """Every `tls CERTIFICATE KEY` of a Caddyfile; what Caddy gets by itself lies in its own directory."""
    lines, found = SourceLines(guard), []
    depth, site = 0, ""
    if config.endswith(".json"):
        guard.tell(config, "Caddy's configuration as JSON is not read: its ports are looked at")
        return []
    pending: list[tuple[str, SourceLine]] = [(config, SourceLine(config, 0, ""))]
    read = set()
    while pending:
        path, asked = pending.pop()
        if path in read:
            continue
        read.add(path)
        for line in lines.of(path, asked.place):
            text = re.sub(r"(^|\s)#.*", "", line.text).strip()
            words = text.split()
            if words[:1] == ["import"] and len(words) > 1 and not words[1].startswith("("):
                pattern = os.path.join(os.path.dirname(path), unquoted(words[1]))
                pending += [(file, line) for file in guard.matching(pattern) if os.path.isfile(file)]
            if depth == 0 and text.removesuffix("{").strip():
                site = text.removesuffix("{").strip()
            if words[:1] == ["tls"] and len(words) > 2:
                certificate, key = (os.path.join(os.path.dirname(path), unquoted(w)) for w in words[1:3])
                names, openings = _site(site)
                found.append(
                    CertificateUse(
                        server="caddy",
                        config=path,
                        line=line.number,
                        certificate=certificate,
                        key=key,
                        names=names,
                        openings=openings,
                    )
                )
            depth = max(depth + text.endswith("{") - (text == "}"), 0)
    return found


def _site(text: str) -> tuple[tuple[str, ...], tuple[Opening, ...]]:
    """The names and ports of a site's addresses."""
    names, openings = [], []
    for one in text.replace(",", " ").split():
        match = _ADDRESS.fullmatch(one)
        if match and match[1] != "http":
            if match[2]:
                names.append(match[2])
            openings.append(Opening(address="", port=int(match[3] or 443) % (1 << 16)))
    return tuple(names), tuple(dict.fromkeys(openings))
