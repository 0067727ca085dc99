"""PostgreSQL, MariaDB and Prosody: what their files name, read by lines."""

import os
import re

from renewer.model.installed import CertificateUse
from renewer.model.served import Starttls
from renewer.servers.lines import SourceLines, openings, unquoted
from renewer.servers.mail import Setting
from renewer.servers.reading import Guard
from renewer.servers.sockets import RunningProgram

_SECTIONS = {"mysqld", "mariadb", "mariadbd", "server", "client-server"}
_POSTGRES = re.compile(r"([\w.]+)\s*(?:=|\s)\s*('(?:[^']|'')*+'|[^#\s]+)")


def postgresql(guard: Guard, config: str) -> list[CertificateUse]:
    """PostgreSQL's certificate, if it speaks TLS."""
    lines, said = SourceLines(guard), dict[str, Setting]()
    _postgres_file(lines, config, "", said)
    home = said["data_directory"].value if "data_directory" in said else os.path.dirname(config)
    automatic = os.path.join(home, "postgresql.auto.conf")
    if os.path.exists(automatic):
        _postgres_file(lines, automatic, "", said)
    if "ssl" not in said or said["ssl"].value.lower() not in ("on", "true", "yes", "1"):
        return []
    at = said.get("ssl_cert_file") or said["ssl"]
    file = said["ssl_cert_file"].value if "ssl_cert_file" in said else "server.crt"
    key = said["ssl_key_file"].value if "ssl_key_file" in said else "server.key"
    return [
        CertificateUse(
            server="postgresql",
            config=at.line.file,
            line=at.line.number,
            certificate=os.path.normpath(os.path.join(home, file)),
            key=os.path.normpath(os.path.join(home, key)),
            openings=openings((_port(said, 5432), Starttls.POSTGRESQL)),
        )
    ]


def _postgres_file(lines: SourceLines, path: str, asked: str, said: dict[str, Setting]) -> None:
    for line in lines.of(path, asked):
        found = _POSTGRES.match(line.text.strip())
        if not found or line.text.lstrip().startswith("#"):
            continue
        name, value = found[1].lower(), unquoted(found[2]).replace("''", "'")
        inside = os.path.join(os.path.dirname(path), value)
        if name == "include" or (name == "include_if_exists" and os.path.exists(inside)):
            _postgres_file(lines, inside, line.place, said)
        elif name == "include_dir":
            for one in lines.guard.names(inside):
                if one.endswith(".conf") and one[0] != ".":
                    _postgres_file(lines, os.path.join(inside, one), line.place, said)
        else:
            said[name] = Setting(value, line)


def mariadb(guard: Guard, config: str) -> list[CertificateUse]:
    """MariaDB's or MySQL's certificate."""
    lines, said = SourceLines(guard), dict[str, Setting]()
    _mariadb_file(lines, config, "", said)
    if "ssl_cert" not in said:
        return []
    at = said["ssl_cert"]
    home = said["datadir"].value if "datadir" in said else "/var/lib/mysql"
    return [
        CertificateUse(
            server="mariadb",
            config=at.line.file,
            line=at.line.number,
            certificate=os.path.normpath(os.path.join(home, at.value)),
            key=os.path.normpath(os.path.join(home, (said.get("ssl_key") or at).value)),
            openings=openings((_port(said, 3306), Starttls.MYSQL)),
        )
    ]


def mariadb_started(program: RunningProgram) -> list[CertificateUse]:
    """What a running MariaDB was told by its arguments."""
    words = (word[2:].partition("=") for word in program.words if word.startswith("--"))
    said = {name.replace("-", "_"): value for name, _, value in words}
    if not said.get("ssl_cert"):
        return []
    home = program.path(said.get("datadir", "/var/lib/mysql"))
    port = said.get("port", "")
    number = int(port) % (1 << 16) if port.isascii() and port.isdigit() else 3306
    return [
        CertificateUse(
            server="mariadb",
            config=f"/proc/{program.pid}/cmdline",
            line=1,
            certificate=os.path.normpath(os.path.join(home, said["ssl_cert"])),
            key=os.path.normpath(os.path.join(home, said.get("ssl_key") or said["ssl_cert"])),
            openings=openings((number, Starttls.MYSQL)),
        )
    ]


def _mariadb_file(lines: SourceLines, path: str, asked: str, said: dict[str, Setting]) -> None:
    section = ""
    for line in lines.of(path, asked):
        text = line.text.strip()
        if text.startswith("!includedir"):
            directory = os.path.join(os.path.dirname(path), text[11:].strip())
            for name in lines.guard.names(directory):
                if name.endswith(".cnf"):
                    _mariadb_file(lines, os.path.join(directory, name), line.place, said)
        elif text.startswith("!include"):
            _mariadb_file(lines, os.path.join(os.path.dirname(path), text[8:].strip()), line.place, said)
        elif text.startswith("["):
            section = text.strip("[]")
        elif text and text[0] not in "#;" and re.sub(r"-\d+\.\d+$", "", section) in _SECTIONS:
            name, _, value = text.partition("=")
            name = name.strip().replace("-", "_").removeprefix("loose_")
            said[name] = Setting(unquoted(re.sub(r"\s#.*", "", value)), line)


def _port(said: dict[str, Setting], usual: int) -> int:
    text = said["port"].value if "port" in said else ""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16 else usual


_VIRTUAL = re.compile(r'\s*(?:VirtualHost|Component)\s*\(?\s*"([^"]+)"')
_LUA = re.compile(r'\b(certificate|key|certificates)\s*=\s*"([^"]*)"')
_PORTS = re.compile(r"\b(c2s_ports|c2s_direct_tls_ports|legacy_ssl_ports)\s*=\s*\{([\d\s,;]*)\}")
_INCLUDE = re.compile(r'\s*Include\s*\(?\s*"([^"]+)"')


class _Prosody:
    def __init__(self, guard: Guard) -> None:
        self.lines = SourceLines(guard)
        self.host = ""
        self.hosts: dict[str, Setting] = {}
        self.ports: dict[Starttls | None, list[tuple[int, Starttls | None]]] = {
            Starttls.XMPP: [(5222, Starttls.XMPP)],
            None: [(5223, None)],
        }
        self.said: dict[tuple[str, str], Setting] = {}

    def file(self, path: str, asked: str) -> None:
        for line in self.lines.of(path, asked):
            text = line.text.split("--")[0]
            if found := _INCLUDE.match(text):
                for file in self.lines.guard.matching(os.path.join(os.path.dirname(path), found[1])):
                    self.file(file, line.place)
            elif found := _VIRTUAL.match(text):
                self.host = found[1]
                self.hosts[self.host] = Setting(self.host, line)
            for name, inside in _PORTS.findall(text):
                before = Starttls.XMPP if name == "c2s_ports" else None
                some = [int(port) for port in re.findall(r"\d{1,5}", inside) if 0 < int(port) < 1 << 16]
                self.ports[before] = [(port, before) for port in some]
            for name, value in _LUA.findall(text):
                self.said[self.host, name] = Setting(value, line)


def prosody(guard: Guard, config: str) -> list[CertificateUse]:
    """What each virtual host of Prosody names, or has where certificates are looked for."""
    reader, home = _Prosody(guard), os.path.dirname(config)
    reader.file(config, "")
    where = reader.said.get(("", "certificates"))
    directory = os.path.join(home, where.value if where else "certs")
    found = []
    for host in reader.hosts:
        at = reader.said.get((host, "certificate")) or reader.said.get(("", "certificate"))
        key = reader.said.get((host, "key")) or reader.said.get(("", "key"))
        file = os.path.join(home, at.value) if at else _in(directory, host, ".crt", "fullchain.pem")
        if file:
            line = (at or reader.hosts[host]).line
            secret = _in(directory, host, ".key", "privkey.pem")
            secret = os.path.join(home, key.value) if key else secret
            found.append(
                CertificateUse(
                    server="prosody",
                    config=line.file,
                    line=line.number,
                    certificate=file,
                    key=secret or None,
                    names=(host,),
                    openings=openings(*(port for several in reader.ports.values() for port in several)),
                )
            )
    return found


def _in(directory: str, host: str, ending: str, name: str) -> str:
    """Where Prosody looks for a host's file: by its name, or in a directory of that name, as certbot's."""
    places = (os.path.join(directory, host + ending), os.path.join(directory, host, name))
    return next((path for path in places if os.path.exists(path)), "")
