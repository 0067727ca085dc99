"""Channels: ways to tell people how it goes."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address

from msgspec import UNSET, UnsetType

from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.authorities import resolve_secret
from renewer.config.channel_tables import AppriseTable, ChannelTable, EmailTable, ProgramTable, WebhookTable
from renewer.config.faults import Faults, Path, did_you_mean
from renewer.config.hooks import variables
from renewer.config.tables import SecretTable
from renewer.model.desired import Apprise, Channel, Email, MailSecurity, Program, Secret, Topic, Webhook
from renewer.model.names import Identifier

_PORTS = {MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465, MailSecurity.PLAIN: 25}
_OF_SERVER = ("security", "username", "password", "ca_bundle")  # keys that mean nothing to a local sendmail


class Channels:
    """Those with a table; knows which a certificate may name."""

    def __init__(self, tables: Mapping[str, ChannelTable] | UnsetType, faults: Faults) -> None:
        self._faults = faults
        self._tables = {} if tables is UNSET else tables
        resolved = {name: self._resolve(name, table) for name, table in self._tables.items()}
        self._resolved = {name: channel for name, channel in resolved.items() if channel is not None}

    def resolved(self) -> dict[str, Channel]:
        """Every one that is right, in the order of the files."""
        return self._resolved

    def chosen(self, names: list[str], path: Path) -> tuple[str, ...]:
        """What a certificate names: is there each? An empty list is all of them."""
        for index, name in enumerate(names):
            if name not in self._tables and not self._faults.spoilt(("notify", name)):
                hint = did_you_mean(name, [*self._tables]) or f"write a table [notify.{name}]"
                self._faults.add((*path, index), f"there is no channel '{name}'", hint)
        return tuple(dict.fromkeys(names))

    def _resolve(self, name: str, table: ChannelTable) -> Channel | None:
        at: Path = ("notify", name)
        on = frozenset(Topic if table.on is UNSET else table.on)
        if not on:
            self._faults.add((*at, "on"), "is empty", "name what is told here, or take the table out")
        match table:
            case EmailTable():
                return self._email(at, name, table, on)
            case WebhookTable():
                return self._webhook(at, name, table, on)
            case AppriseTable():
                return self._apprise(at, name, table, on)
            case ProgramTable():
                return self._program(at, name, table, on)

    def _email(self, at: Path, name: str, table: EmailTable, on: frozenset[Topic]) -> Email | None:
        security = MailSecurity.STARTTLS if table.security is UNSET else table.security
        server = checked(self._faults, (*at, "server"), table.server, lambda text: _server(text, security))
        if (table.server is UNSET) == (table.sendmail is UNSET) and not self._faults.spoilt((*at, "server")):
            hint = 'server = "smtp.example.org:587", or sendmail = "/usr/sbin/sendmail"'
            self._faults.add((*at, "server"), "exactly one of server and sendmail is needed", hint)
        if table.sendmail is not UNSET:
            for key in _OF_SERVER:
                if getattr(table, key) is not UNSET:
                    self._faults.add((*at, key), "goes with server, not with sendmail", "take it out")
        password = self._secret((*at, "password"), table.password)
        username = None if table.username is UNSET else table.username or None
        if (username is None) != (table.password is UNSET) and not self._faults.spoilt((*at, "password")):
            self._faults.add((*at, "password"), "username and password go together")
        if username is not None and not username.isprintable():
            self._faults.add((*at, "username"), "holds control characters")
        to = self._mailboxes((*at, "to"), table.to)
        sender = checked(self._faults, (*at, "from"), table.sender, mailbox)
        if not table.to:
            self._faults.add((*at, "to"), "is empty", 'say who is told: to = ["ops@example.org"]')
        return Email(
            name=name,
            on=on,
            to=to,
            sender=sender or "",
            server=server,
            security=security,
            username=username,
            password=password,
            ca_bundle=checked(self._faults, (*at, "ca_bundle"), table.ca_bundle, scalars.absolute),
            sendmail=checked(self._faults, (*at, "sendmail"), table.sendmail, scalars.absolute),
            escalate_to=self._mailboxes((*at, "escalate_to"), table.escalate_to),
        )

    def _webhook(self, at: Path, name: str, table: WebhookTable, on: frozenset[Topic]) -> Webhook | None:
        url = self._secret((*at, "url"), table.url)
        if url is None:
            return None
        return Webhook(
            name=name,
            on=on,
            url=url,
            secret=self._secret((*at, "secret"), table.secret),
            ca_bundle=checked(self._faults, (*at, "ca_bundle"), table.ca_bundle, scalars.absolute),
        )

    def _apprise(self, at: Path, name: str, table: AppriseTable, on: frozenset[Topic]) -> Apprise:
        if not table.urls:
            self._faults.add((*at, "urls"), "is empty", 'refer to them: urls = [{ file = "/path" }]')
        escalate_to = [] if table.escalate_to is UNSET else table.escalate_to
        return Apprise(
            name=name,
            on=on,
            urls=self._secrets((*at, "urls"), table.urls),
            escalate_to=self._secrets((*at, "escalate_to"), escalate_to),
        )

    def _program(self, at: Path, name: str, table: ProgramTable, on: frozenset[Topic]) -> Program:
        program = checked(self._faults, (*at, "run"), table.run[0] if table.run else "", scalars.absolute)
        if any("\0" in part for part in table.run):
            self._faults.add((*at, "run"), "holds a NUL character")
        timeout = checked(
            self._faults, (*at, "timeout"), table.timeout, lambda text: scalars.duration(text, "1s", "10m")
        )
        return Program(
            name=name,
            on=on,
            run=(program or "", *table.run[1:]),
            timeout=(timeout or timedelta(minutes=1)).total_seconds(),
            env=variables((*at, "env"), table.env, self._faults),
        )

    def _secret(self, path: Path, table: SecretTable | UnsetType) -> Secret | None:
        return None if table is UNSET else resolve_secret(path, table, self._faults)

    def _secrets(self, path: Path, tables: list[SecretTable]) -> tuple[Secret, ...]:
        read = [resolve_secret((*path, index), one, self._faults) for index, one in enumerate(tables)]
        return tuple(one for one in read if one)

    def _mailboxes(self, path: Path, given: list[str] | UnsetType) -> tuple[str, ...]:
        given = [] if given is UNSET else given
        read = [checked(self._faults, (*path, index), one, mailbox) for index, one in enumerate(given)]
        return tuple(dict.fromkeys(one for one in read if one))


def mailbox(text: str) -> str:
    """An e-mail address, one of this host (root@localhost) too; its domain normalised."""
    _, _, domain = text.strip().rpartition("@")
    dotted = scalars.contact(text if "." in domain else f"{text.strip()}.local").removeprefix("mailto:")
    return dotted if "." in domain else dotted.removesuffix(".local")


def _server(text: str, security: MailSecurity) -> str:
    """'smtp.example.org:587', with the usual port if there is none; plain only where nobody can listen."""
    host, port = scalars.host_and_port(text)
    name = Identifier.parse(host)
    if name.wildcard:
        raise ValueError(f"'{name}' is no host that can be asked")
    if security is MailSecurity.PLAIN and not is_loopback(name.value):
        raise ValueError(
            "is not a loopback address: mail in clear goes to 127.0.0.1, ::1 or localhost only; "
            "use starttls or tls"
        )
    shown = f"[{name.value}]" if ":" in name.value else name.value
    return f"{shown}:{port or _PORTS[security]}"


def is_loopback(host: str) -> bool:
    """Whether a host, as the config names it, is this one."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
