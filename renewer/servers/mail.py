"""Postfix, Dovecot and Exim: what their files name, read by lines; no program is asked."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from renewer.model.installed import EVERYWHERE, CertificateUse, Opening
from renewer.model.served import Starttls
from renewer.servers.lines import SourceLine, SourceLines, folded, openings, unquoted
from renewer.servers.reading import Guard

_PORTS = {"smtp": 25, "submission": 587, "smtps": 465, "submissions": 465}
_PAIRS = ("smtpd_tls_cert_file", "smtpd_tls_eccert_file", "smtpd_tls_dcert_file")
_REFERENCE = re.compile(r"\$\{(\w+)\}|\$\((\w+)\)|\$(\w+)")
_DEPTH = 10


class Setting(NamedTuple):
    """A setting's value and where it stands."""

    value: str
    line: SourceLine


class _Service(NamedTuple):
    opening: Opening | None
    options: Mapping[str, Setting]


def postfix(guard: Guard, config: str) -> list[CertificateUse]:
    """Every certificate of `main.cf`, of options in `master.cf`, and of the maps for SNI."""
    lines = SourceLines(guard)
    main = {name: said for line in folded(lines.of(config)) for name, said in _assigned(line)}
    home = os.path.dirname(config)
    services = list(_services(lines, os.path.join(home, "master.cf")))
    main.setdefault("config_directory", Setting(home, SourceLine(config, 0, "")))
    plain = [one for one in services if not any(name in one.options for name in _FILES)]
    found = list(_postfix_uses(lines, main, [one.opening for one in plain if _speaks(main, one)]))
    for one in services:
        if one not in plain and _speaks(main, one):
            found += _postfix_uses(lines, {**main, **one.options}, [one.opening])
    return found


_FILES = (*_PAIRS, "smtpd_tls_chain_files", "tls_server_sni_maps")


def _assigned(line: SourceLine) -> Iterator[tuple[str, Setting]]:
    name, sign, value = line.text.partition("=")
    if sign:
        yield name.strip(), Setting(value.strip(), line)


def _services(lines: SourceLines, path: str) -> Iterator[_Service]:
    if not os.path.exists(path):
        return
    for line in folded(lines.of(path)):
        words = line.text.split()
        if len(words) < 8 or words[1] != "inet" or words[7] not in ("smtpd", "postscreen"):
            continue
        options = {}
        for option, value in pairwise(words):
            name, sign, text = value.partition("=")
            if option == "-o" and sign:
                options[name] = Setting(text, line)
        address, _, port = words[0].rpartition(":")
        number = _PORTS.get(port, int(port) if port.isascii() and port.isdigit() else 0)
        at_once = _is(options, {}, "smtpd_tls_wrappermode") or port in ("smtps", "submissions")
        before = None if at_once else Starttls.SUBMISSION if number == 587 else Starttls.SMTP
        opening = None
        if 0 < number < 1 << 16:
            opening = Opening(address=_listened(address), port=number, starttls=before)
        yield _Service(opening, options)


def _listened(address: str) -> str:
    address = address.strip("[]")
    return address if re.fullmatch(r"[0-9a-fA-F:.]+", address) and address not in EVERYWHERE else ""


def _is(options: Mapping[str, Setting], main: Mapping[str, Setting], name: str) -> bool:
    said = options.get(name) or main.get(name)
    return said is not None and said.value.lower() in ("yes", "true", "1")


def _speaks(main: Mapping[str, Setting], service: _Service) -> bool:
    """Whether a service offers TLS at all."""
    said = service.options.get("smtpd_tls_security_level") or main.get("smtpd_tls_security_level")
    level = said.value if said else ""
    wrapped = service.opening is not None and service.opening.starttls is None
    return level in ("may", "encrypt") or wrapped or _is(service.options, main, "smtpd_use_tls")


def _postfix_uses(
    lines: SourceLines, settings: Mapping[str, Setting], places: Sequence[Opening | None]
) -> Iterator[CertificateUse]:
    ports = tuple(dict.fromkeys(one for one in places if one is not None))

    def use(line: SourceLine, file: str, key: str, names: tuple[str, ...] = ()) -> CertificateUse:
        return CertificateUse(
            server="postfix",
            config=line.file,
            line=line.number,
            certificate=file,
            key=key or None,
            names=names,
            openings=ports,
        )

    chain = settings.get("smtpd_tls_chain_files")
    if chain and chain.value:
        files = re.split(r"[,\s]+", _expanded(chain.value, settings))
        keys = _keys_alone(lines.guard, files)
        for file in files:
            if file.startswith("/") and file not in keys:
                yield use(chain.line, file, next(iter(keys), file))
    else:
        for name in _PAIRS:
            said = settings.get(name)
            file = _expanded(said.value, settings) if said else ""
            if said and file.startswith("/"):
                secret = settings.get(name.replace("cert_file", "key_file"))
                where = _expanded(secret.value, settings) if secret else file
                yield use(said.line, file, where if where.startswith("/") else file)
    maps = settings.get("tls_server_sni_maps")
    if maps:
        for line, host, file, key in _sni(lines, _expanded(maps.value, settings), maps.line):
            yield use(line, file, key, (host,))


def _sni(lines: SourceLines, text: str, asked: SourceLine) -> Iterator[tuple[SourceLine, str, str, str]]:
    """The names of maps for SNI: of each the certificate and the key. Tables are read from their source."""
    for kind, path in re.findall(r"(\w+):([^\s,{}]+)", text):
        if kind not in ("hash", "btree", "lmdb", "texthash", "cdb", "dbm", "sdbm"):
            lines.guard.tell(asked.place, f"a map of the kind {kind} is not read")
            continue
        for line in folded(lines.of(path, asked.place)):
            name, *files = re.split(r"[,\s]+", line.text.strip())
            keys = _keys_alone(lines.guard, files)
            for file in files:
                if file.startswith("/") and file not in keys:
                    yield line, f"*{name}" if name.startswith(".") else name, file, next(iter(keys), file)


def _keys_alone(guard: Guard, files: Sequence[str]) -> list[str]:
    """Which of several files hold a key and no certificate: they may stand in any order, under any name."""
    if len(files) < 2:
        return []
    return [
        file
        for file in files
        if file.startswith("/") and b"BEGIN CERT" not in (guard.octets(file) or b"BEGIN CERT")
    ]


def _expanded(text: str, settings: Mapping[str, Setting], depth: int = 0) -> str:
    """A value with its references; those without a value are empty, as Postfix has it."""
    if "$" not in text or depth > _DEPTH:
        return text

    def value(found: re.Match[str]) -> str:
        said = settings.get(found[1] or found[2] or found[3])
        return _expanded(said.value, settings, depth + 1)[:4096] if said else ""

    return _REFERENCE.sub(value, text)[: 1 << 16]


_DOVECOT_PORTS = {
    "imap": (143, Starttls.IMAP),
    "imaps": (993, None),
    "pop3": (110, Starttls.POP3),
    "pop3s": (995, None),
    "submission": (587, Starttls.SUBMISSION),
    "submissions": (465, None),
    "sieve": (4190, Starttls.SIEVE),
}
_CERTIFICATE = ("ssl_cert", "ssl_server_cert_file", "ssl_alt_cert")
_KEY = {
    "ssl_cert": "ssl_key",
    "ssl_server_cert_file": "ssl_server_key_file",
    "ssl_alt_cert": "ssl_alt_key",
}


class _Dovecot:
    def __init__(self, guard: Guard) -> None:
        self.lines = SourceLines(guard)
        self.said: dict[tuple[tuple[str, ...], str], Setting] = {}
        self.ports = dict(_DOVECOT_PORTS)
        self.way: list[str] = []

    def file(self, path: str, asked: str) -> None:
        for line in self.lines.of(path, asked):
            text = re.sub(r"\s#.*", "", line.text).strip()
            if text.startswith(("!include", "!include_try")):
                pattern = os.path.join(os.path.dirname(path), unquoted(text.partition(" ")[2]))
                for file in self.lines.guard.matching(pattern):
                    if os.path.exists(file) or not text.startswith("!include_try"):
                        self.file(file, line.place)
            elif text == "}":
                del self.way[-1:]
            elif text.endswith("{"):
                self.way.append(" ".join(text[:-1].split()))
            elif text and text[0] != "#":
                name, _, value = text.partition("=")
                self.said[tuple(self.way), name.strip()] = Setting(unquoted(value), line)
                self._port(name.strip(), value.strip())

    def _port(self, name: str, value: str) -> None:
        block = self.way[-1].split() if self.way else []
        if name in ("port", "ssl") and block[:1] == ["inet_listener"] and len(block) > 1:
            service = (self.way[-2].split() if len(self.way) > 1 else [""])[-1].removesuffix("-login")
            number, before = self.ports.get(block[1], (0, _DOVECOT_PORTS.get(service, (0, None))[1]))
            if name == "port" and value.isascii() and value.isdigit():
                number = int(value)
            elif name == "ssl" and value == "yes":
                before = None
            self.ports[block[1]] = (number, before)

    def uses(self) -> Iterator[CertificateUse]:
        ports = openings(*(port for port in self.ports.values() if 0 < port[0] < 1 << 16))
        for (way, name), said in self.said.items():
            file = said.value.removeprefix("<").strip()
            if name not in _CERTIFICATE or not file.startswith("/"):
                continue
            key = self.said.get((way, _KEY[name])) or self.said.get(((), _KEY[name]))
            names = tuple(unquoted(one.partition(" ")[2]) for one in way if one.startswith("local_name "))
            spoken = {one.partition(" ")[2] for one in way if one.startswith("protocol ")}
            yield CertificateUse(
                server="dovecot",
                config=said.line.file,
                line=said.line.number,
                certificate=file,
                key=key.value.removeprefix("<").strip() if key else None,
                names=tuple(one for several in names for one in several.split()),
                openings=tuple(one for one in ports if not spoken or self._kind(one) in spoken),
            )

    def _kind(self, opening: Opening) -> str:
        listener = next((name for name, port in self.ports.items() if port[0] == opening.port), "")
        return listener.removesuffix("s") if listener in ("imaps", "pop3s", "submissions") else listener


def dovecot(guard: Guard, config: str) -> list[CertificateUse]:
    """Every certificate of a configuration, of single names and protocols, too."""
    reader = _Dovecot(guard)
    reader.file(config, "")
    return list(reader.uses())


_EXIM = re.compile(r"(\w+)\s*=\s*(.+)")


def exim(guard: Guard, config: str) -> list[CertificateUse]:
    """Exim's `tls_certificate`, where it is a path or a macro of one."""
    lines, said = SourceLines(guard), dict[str, Setting]()
    _exim_file(lines, config, "", said)
    at = said.get("tls_certificate")
    if at is None:
        return []

    def path(name: str) -> str:
        value = said[name].value if name in said else ""
        for _ in range(_DEPTH):
            value = said[value].value if value in said else value
        return value if value.startswith("/") and "$" not in value else ""

    at_once = _numbers(said, "tls_on_connect_ports")
    plain = [port for port in _numbers(said, "daemon_smtp_ports") or [25] if port not in at_once]
    before = [(port, Starttls.SUBMISSION if port == 587 else Starttls.SMTP) for port in plain]
    return [
        CertificateUse(
            server="exim",
            config=at.line.file,
            line=at.line.number,
            certificate=path("tls_certificate"),
            key=path("tls_privatekey") or path("tls_certificate") or None,
            openings=openings(*before, *((port, None) for port in at_once)),
        )
    ]


def _exim_file(lines: SourceLines, path: str, asked: str, said: dict[str, Setting]) -> None:
    for line in lines.of(path, asked):
        text = line.text.strip()
        if text.startswith((".include ", ".include_if_exists ")):
            inside = text.split(None, 1)[1]
            if text.startswith(".include ") or os.path.exists(inside):
                _exim_file(lines, os.path.join(os.path.dirname(path), inside), line.place, said)
        elif text.startswith("begin "):
            break  # the main section is over
        elif found := _EXIM.fullmatch(text):
            said[found[1]] = Setting(unquoted(found[2]), line)


def _numbers(said: Mapping[str, Setting], name: str) -> list[int]:
    known = {"smtp": "25", "smtps": "465", "ssmtp": "465", "submission": "587", "submissions": "465"}
    words = re.split(r"[:\s<;,]+", said[name].value) if name in said else []
    ports = [known.get(word, word) for word in words]
    return [int(port) for port in ports if port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16]
