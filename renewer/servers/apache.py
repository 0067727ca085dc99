"""Apache: every virtual host with a certificate, read from its files; nothing is started to be asked."""

import os
import re
from collections.abc import Iterator, Sequence

from renewer.model.installed import EVERYWHERE, CertificateUse, Opening, WebSite
from renewer.servers.lines import SourceLine, SourceLines, joined
from renewer.servers.reading import Guard

SERVER = "apache"
HOMES = ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf", "/usr/local/apache2/conf/httpd.conf")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*+)"|\'((?:[^\'\\]|\\.)*+)\'|(\S+)')
_VARIABLE = re.compile(r"\$\{([^}\s]{1,100})\}")
_EXPORT = re.compile(r"export\s+(\w+)=(\S+)")
_DEPTH = 40
_HTTPS = 443


class _Host:
    """What is said in a virtual host, or outside of all."""

    def __init__(self, places: Sequence[str], line: SourceLine) -> None:
        self.places = places
        self.line = line
        self.root = ""
        self.names: list[str] = []
        self.certificates: list[tuple[str, SourceLine]] = []
        self.keys: list[str] = []
        self.engine = ""


class _Reader:
    def __init__(self, guard: Guard, config: str) -> None:
        self.lines = SourceLines(guard)
        self.root = os.path.dirname(config)
        self.defined: dict[str, str] = _environment(guard, self.root)
        self.macros: dict[str, tuple[Sequence[str], list[SourceLine]]] = {}
        self.main = _Host((), SourceLine(config, 1, ""))
        self.hosts: list[_Host] = []
        self.listens: list[tuple[Opening, bool]] = []
        self._host = self.main
        self._skipped = 0  # how deep in blocks that do not count
        self._macro: list[SourceLine] | None = None

    def file(self, path: str, asked: str, depth: int = 0) -> None:
        for line in joined(self.lines.of(path, asked)):
            self.line(line, depth)

    def line(self, line: SourceLine, depth: int) -> None:
        text = line.text.strip()
        if not text or text[0] == "#":
            return
        block, _, rest = text.partition(" ")
        block = block.lower().rstrip(">")
        if self._macro is not None and block != "</macro":
            self._macro.append(line)
        elif block.startswith("<"):
            self._block(block, rest.rstrip().removesuffix(">").strip(), line)
        elif not self._skipped:
            words = [self._expand(a or b or c) for a, b, c in _WORD.findall(text)]
            self._say(words[0].lower(), words[1:], line, depth)

    def _block(self, block: str, rest: str, line: SourceLine) -> None:
        if self._skipped:
            self._skipped += -1 if block.startswith("</") else 1
        elif block == "<ifdefine":
            wanted = not rest.startswith("!")
            if (rest.lstrip("!").strip() in self.defined) is not wanted:
                self._skipped = 1
        elif block == "<virtualhost":
            self._host = _Host([self._expand(one) for one in rest.split()], line)
            self.hosts.append(self._host)
        elif block == "</virtualhost":
            self._host = self.main
        elif block == "<macro":
            name, *parameters = rest.split() or [""]
            self._macro = []
            self.macros[name.lower()] = (parameters, self._macro)
        elif block == "</macro":
            self._macro = None

    def _say(self, word: str, words: Sequence[str], line: SourceLine, depth: int) -> None:  # noqa: C901  a table
        host = self._host
        match word, words:
            case "include" | "includeoptional", [pattern, *_]:
                self._include(pattern, line, depth)
            case "define", [name, *value]:
                self.defined[name] = value[0] if value else ""
            case "undefine", [name]:
                self.defined.pop(name, None)
            case "use", [name, *values]:
                self._use(name, values, depth)
            case "serverroot", [path]:
                self.root = path
            case "listen", [where, *how]:
                opening = _opening(where)
                if opening:
                    self.listens.append((opening, how == ["https"] or opening.port == _HTTPS))
            case "servername" | "serveralias", names:
                host.names += [re.sub(r"^https?://|:\d+$", "", one) for one in names]
            case "sslcertificatefile", [path, *_]:
                host.certificates.append((self._path(path), line))
            case "sslcertificatekeyfile", [path, *_]:
                host.keys.append(self._path(path))
            case "documentroot", [path, *_]:
                host.root = self._path(path)
            case "sslengine", [state, *_]:
                host.engine = state.lower()

    def _include(self, pattern: str, line: SourceLine, depth: int) -> None:
        if depth >= _DEPTH:
            self.lines.guard.tell(line.place, f"includes more than {_DEPTH} deep: not read")
            return
        for path in self.lines.guard.matching(os.path.join(self.root, pattern)):
            inside = self.lines.guard.below(path, 8) if os.path.isdir(path) else [path]
            for file in inside:
                self.file(file, line.place, depth + 1)

    def _use(self, name: str, values: Sequence[str], depth: int) -> None:
        parameters, lines = self.macros.get(name.lower(), ((), []))
        if depth >= _DEPTH:
            return
        # The longest first, as mod_macro does: $name is no part of $names
        pairs = sorted(zip(parameters, values, strict=False), key=lambda pair: -len(pair[0]))
        for line in list(lines):
            text = line.text
            for parameter, value in pairs:
                text = text.replace(parameter, value)[: 1 << 16]
            self.lines.count()
            self.line(SourceLine(line.file, line.number, text), depth + 1)

    def _expand(self, text: str) -> str:
        return _VARIABLE.sub(lambda found: self.defined.get(found[1], found[0]), text)

    def _path(self, path: str) -> str:
        if "${" in path or ":" in path.split("/", 1)[0]:
            return ""
        return os.path.normpath(os.path.join(self.root, path))

    def uses(self) -> Iterator[CertificateUse]:
        """What the virtual hosts that speak TLS name."""
        for host in (*self.hosts, self.main):
            engine = host.engine or self.main.engine
            certificates, keys = (host.certificates, host.keys)
            if not certificates and host.engine:
                certificates, keys = self.main.certificates, self.main.keys
            if engine in ("", "off") or (host is self.main and not host.engine):
                continue
            names = tuple(dict.fromkeys(one for one in host.names if one))
            for number, (path, line) in enumerate(certificates):
                key = keys[number] if number < len(keys) else None
                yield CertificateUse(
                    server=SERVER,
                    config=line.file,
                    line=line.number,
                    certificate=path,
                    key=key or None,
                    names=names,
                    openings=self._openings(host),
                )

    def sites(self) -> Iterator[WebSite]:
        """Its virtual hosts, and the server itself where there are none."""
        config = self.main.line.file
        settings = () if config in HOMES else (("APACHE_CONF", config),)
        for host in self.hosts or [self.main]:
            ports = tuple(dict.fromkeys(one.port for one in self._openings(host)))
            tls = (host.engine or self.main.engine) not in ("", "off")
            if not ports and host.places:  # "*": every port that Apache listens at in the clear
                ports = tuple(one.port for one, tls_there in self.listens if not tls_there)
            yield WebSite(
                server=SERVER,
                config=host.line.file,
                line=host.line.number,
                names=tuple(dict.fromkeys(one for one in host.names if one)),
                root=host.root or self.main.root,
                in_clear=() if tls else ports,
                by_tls=ports if tls else (),
                settings=settings,
            )

    def _openings(self, host: _Host) -> tuple[Opening, ...]:
        found = []
        for place in host.places:
            opening = _opening(place)
            if opening:
                found.append(opening)
            else:  # "*": every port that Apache listens at for TLS
                found += [one for one, tls in self.listens if tls]
        if host is self.main:
            found += [one for one, _ in self.listens]
        return tuple(dict.fromkeys(found))


def read(guard: Guard, config: str) -> list[CertificateUse]:
    """Every use of a certificate in a configuration (absolute path) and what it includes."""
    reader = _Reader(guard, config)
    reader.file(config, "")
    return list(reader.uses())


def sites(guard: Guard, config: str) -> list[WebSite]:
    """Every virtual host of a configuration (absolute path) and what it includes."""
    reader = _Reader(guard, config)
    reader.file(config, "")
    return list(reader.sites())


def _environment(guard: Guard, root: str) -> dict[str, str]:
    """Debian's `envvars`, of which only plain exports are read: it is shell."""
    path = os.path.join(root, "envvars")
    if not os.path.exists(path):
        return {}
    found = dict(_EXPORT.findall(guard.text(path) or ""))
    return {name: re.sub(r"\$SUFFIX|\$\{SUFFIX\}", "", value) for name, value in found.items()}


def _opening(text: str) -> Opening | None:
    """`443`, `*:443`, `192.0.2.1:443`, `[::1]:443`; None without a port."""
    address, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        return None
    address = address.strip("[]")
    if address in EVERYWHERE or not re.fullmatch(r"[0-9a-fA-F:.]+", address):
        address = ""
    return Opening(address=address, port=int(port))
