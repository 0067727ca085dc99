"""nginx: every server block with a certificate, read from its files with their includes."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from renewer.model.installed import EVERYWHERE, CertificateUse, Opening, WebSite
from renewer.model.served import Starttls
from renewer.servers.nginx_lexer import Directive, UnreadableTextError, directives
from renewer.servers.reading import Guard

SERVER = "nginx"
HOMES = ("/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/usr/local/etc/nginx/nginx.conf")
_PROOFS = "/.well-known"
_MOST = 2_000_000  # directives in all, those of a snippet as often as it is included
_SMALL = 64 << 10  # octets of a text whose directives are kept for the next include
_LISTEN_WITHOUT_PORT = 80
_MAIL = {"imap": Starttls.IMAP, "pop3": Starttls.POP3, "smtp": Starttls.SMTP}


class _Named(NamedTuple):
    path: str
    config: str
    line: int


class _Block:
    """What is said in one block, and what it takes over from the one around it."""

    def __init__(self, words: Sequence[str], above: "_Block | None", place: tuple[str, int]) -> None:
        self.kind = words[0] if words else ""
        self.way = words[-1]  # of a location
        self.above = above
        self.place = place
        self.certificates: list[_Named] = []
        self.keys: list[str] = []
        self.names: list[str] = []
        self.openings: list[Opening] = []
        self.said: dict[str, str] = {}

    def inherited(self, word: str) -> str:
        """What a directive says here or around."""
        return self.said.get(word) or (self.above.inherited(word) if self.above else "")

    def pairs(self) -> tuple[list[_Named], list[str]]:
        """The certificates and keys that count here: those of the nearest block that names any."""
        if self.certificates or self.above is None:
            return self.certificates, self.keys
        return self.above.pairs()


class _Reader:
    def __init__(self, guard: Guard, config: str) -> None:
        self.guard = guard
        self.base = os.path.dirname(config)
        self.servers: list[_Block] = []
        self._left = _MOST
        self._kept: dict[str, tuple[Directive, ...]] = {}
        self._matching: dict[str, list[str]] = {}
        self._way: list[str] = []

    def file(self, path: str, block: _Block, asked: str = "") -> None:
        """Read a file into a block."""
        if not self.guard.may_include(path, self._way, asked):
            return
        self._way.append(path)
        try:
            self._walk(path, block, asked)
        finally:
            self._way.pop()

    def _walk(self, path: str, block: _Block, asked: str) -> None:
        here = block
        try:
            for one in self._directives(path, asked):
                self._left -= 1
                if self._left < 0:
                    self.guard.tell(self.base, f"more than {_MOST} directives: the rest was not read")
                    return
                if not one.words:
                    if here is block or here.above is None:
                        raise UnreadableTextError("a '}' too many", one.line)  # noqa: TRY301  told below
                    self._end(here)
                    here = here.above
                elif one.opens:
                    here = _Block(one.words, here, (path, one.line))
                else:
                    self._say(here, one, path)
            if here is not block:
                raise UnreadableTextError("a block that never ends", one.line)  # noqa: TRY301
        except UnreadableTextError as error:
            while here is not block and here.above is not None:  # what was read so far counts
                self._end(here)
                here = here.above
            self.guard.tell(f"{path}:{error.line}", f"not read from here on: {error}")

    def _directives(self, path: str, asked: str) -> Iterable[Directive]:
        if path in self._kept:
            return self._kept[path]
        text = self.guard.text(path, asked)
        if text is None:
            return ()
        if len(text) > _SMALL or not self._way[1:]:
            return directives(text)
        if not any(word in text for word in ("_certificate", "server", "include", "root")):
            found: tuple[Directive, ...] = ()  # headers, types, parameters of FastCGI: nothing for us
        else:
            try:
                found = tuple(directives(text))
            except UnreadableTextError:
                return directives(text)
        if len(self._kept) < 256:
            self._kept[path] = found
        return found

    def _say(self, block: _Block, one: Directive, path: str) -> None:
        word, *rest = one.words
        match word:
            case "include" if rest:
                pattern = os.path.join(self.base, rest[0])
                if pattern not in self._matching:
                    self._matching[pattern] = self.guard.matching(pattern)
                for file in self._matching[pattern]:
                    self.file(file, block, f"{path}:{one.line}")
            case "ssl_certificate" if rest:
                block.certificates.append(_Named(self._path(rest[0]), path, one.line))
            case "ssl_certificate_key" if rest:
                block.keys.append(self._path(rest[0]))
            case "server_name":
                block.names += rest
            case "listen" if rest:
                opening = _opening(rest)
                if opening is not None:
                    block.openings.append(opening)
            case "ssl" | "protocol" | "starttls" | "root" | "pid" | "proxy_pass" | "return" if rest:
                block.said[word] = rest[0]

    def _path(self, word: str) -> str:
        if "$" in word or word.startswith(("data:", "engine:", "store:")):
            return ""
        return os.path.normpath(os.path.join(self.base, word))

    def _end(self, block: _Block) -> None:
        if block.kind == "server" and block.openings:
            self.servers.append(block)
        elif block.kind == "location" and block.above is not None:
            if block.way.startswith(_PROOFS) and "root" in block.said:
                block.above.said[_PROOFS] = block.said["root"]
            elif block.way == "/":
                if "root" in block.said:
                    block.above.said["root"] = block.said["root"]
                if "proxy_pass" in block.said:
                    block.above.said["root"] = "$passed"

    def speaking(self) -> set[tuple[str, int]]:
        """The ports that speak TLS for any block: nginx says so by address."""
        return {(one.address, one.port) for block in self.servers for one in block.openings if one.port > 0}

    def uses(self) -> list[CertificateUse]:
        """Where certificates are used."""
        speaking = self.speaking()
        return [use for block in self.servers for use in _uses(block, speaking)]


def sites(guard: Guard, config: str) -> list[WebSite]:
    """Every server block of a configuration (absolute path) and what it includes."""
    reader = _Reader(guard, config)
    main = _Block(("",), None, (config, 1))
    reader.file(config, main)
    settings: tuple[tuple[str, str], ...] = ()
    if config != HOMES[0]:
        pid = main.said.get("pid", "")
        more = (("NGINX_PID", os.path.join(reader.base, pid)),) if pid else ()
        settings = (("NGINX_CONF", config), *more)
    speaking = reader.speaking()
    of_http = (block for block in reader.servers if block.above is not None and block.above.kind == "http")
    return [_site(block, speaking, settings) for block in of_http]


def _site(
    block: _Block, speaking: Collection[tuple[str, int]], settings: tuple[tuple[str, str], ...]
) -> WebSite:
    tls = dict.fromkeys(one.port for one in _tls(block, speaking))
    root = "" if "return" in block.said else block.inherited(_PROOFS) or block.inherited("root")
    return WebSite(
        server=SERVER,
        config=block.place[0],
        line=block.place[1],
        names=tuple(dict.fromkeys(name for name in block.names if _is_plain(name))),
        root=root if root.startswith("/") and "$" not in root else "",
        in_clear=tuple(dict.fromkeys(abs(o.port) for o in block.openings if abs(o.port) not in tls)),
        by_tls=tuple(tls),
        settings=settings,
    )


def read(guard: Guard, config: str) -> list[CertificateUse]:
    """Every use of a certificate in a configuration (absolute path) and what it includes."""
    reader = _Reader(guard, config)
    reader.file(config, _Block(("",), None, (config, 1)))
    return reader.uses()


def _uses(block: _Block, speaking: Collection[tuple[str, int]]) -> Iterator[CertificateUse]:
    openings = _tls(block, speaking)
    certificates, keys = block.pairs()
    names = tuple(dict.fromkeys(name for name in block.names if _is_plain(name)))
    for number, named in enumerate(certificates if openings else ()):
        yield CertificateUse(
            server=SERVER,
            config=named.config,
            line=named.line,
            certificate=named.path,
            key=(keys[number] or None) if number < len(keys) else None,
            names=names,
            openings=openings,
        )


def _opening(words: Sequence[str]) -> Opening | None:
    """What a `listen` opens for TCP, not of QUIC nor of sockets in files; without TLS its port is below 0."""
    where, options = words[0], words[1:]
    if where.startswith("unix:") or "quic" in options or "udp" in options:
        return None
    address, port = where, str(_LISTEN_WITHOUT_PORT)
    if where.isdigit():
        address, port = "", where
    elif where.startswith("["):
        address, _, rest = where[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif ":" in where:
        address, _, port = where.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        return None
    number = int(port) if "ssl" in options else -int(port)
    if address in EVERYWHERE:
        address = ""
    return Opening(address=address, port=number, proxy_protocol="proxy_protocol" in options)


def _tls(block: _Block, speaking: Collection[tuple[str, int]]) -> tuple[Opening, ...]:
    """The ports of a server block that speak TLS, at once or after STARTTLS."""
    everywhere = block.inherited("ssl") == "on"
    starttls = None
    if block.inherited("starttls") in ("on", "only"):
        starttls = _MAIL.get(block.inherited("protocol"))
    found = []
    for one in block.openings:
        at_once = one.port > 0 or everywhere or (one.address, -one.port) in speaking
        if at_once or starttls:
            before = None if at_once else starttls
            found.append(
                Opening(
                    address=one.address,
                    port=abs(one.port),
                    starttls=before,
                    proxy_protocol=one.proxy_protocol,
                )
            )
    return tuple(dict.fromkeys(found))


def _is_plain(name: str) -> bool:
    return name not in ("", "_") and not name.startswith("~") and "$" not in name
