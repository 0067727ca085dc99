"""Channels, ways to tell people how it goes; and what stands in [report]."""

from collections.abc import Mapping

from renewer.config.faults import Faults, Path, did_you_mean
from renewer.config.given import Given
from renewer.model.desired import Agent, Channel, Email, MailSecurity, Notified, Report
from renewer.model.keys import host_port

_OF_SERVER = ("security", "username", "password", "ca_bundle")  # keys that mean nothing to a local sendmail
_FORMS = (".html", ".txt", ".csv", ".json")


class Channels:
    """Those with a table; knows which a certificate may name."""

    def __init__(self, tables: Mapping[str, Channel], faults: Faults) -> None:
        self._faults = faults
        self.resolved = tables

    def check(self, names: tuple[str, ...], path: Path) -> None:
        """Is there each of those that are named?"""
        for index, name in enumerate(names):
            if name not in self.resolved and not self._faults.spoilt(("notify", name)):
                hint = did_you_mean(name, [*self.resolved]) or f"write a table [notify.{name}]"
                self._faults.add((*path, index), f"there is no channel '{name}'", hint)


def named(given: Given[Notified]) -> Notified:
    """The rule of channels that have no other: they are called as their table is."""
    return given.make(name=given.path[1])


def email(given: Given[Email]) -> Email:
    """The rule of a channel of type email."""
    if ("server" in given) == ("sendmail" in given) and not given.spoilt("server", "sendmail"):
        hint = 'server = "smtp.example.org:587", or sendmail = "/usr/sbin/sendmail"'
        given.wrong("server", "exactly one of server and sendmail is needed", hint)
    for key in _OF_SERVER if "sendmail" in given else ():
        if key in given:
            given.wrong(key, "goes with server, not with sendmail", "take it out")
    if (not given.get("username")) != ("password" not in given) and not given.spoilt("username"):
        given.wrong("password", "username and password go together")
    return given.make(name=given.path[1], server=_server(given))


def _server(given: Given[Email]) -> str | None:
    """With the usual port if there is none; plain only where nobody can listen."""
    if "server" not in given:
        return None
    security = given.get("security", MailSecurity.STARTTLS)
    try:
        server = host_port(given.get("server"), security.port, "'{}' is no host that can be asked")
    except ValueError as error:
        given.wrong("server", str(error))
        return None
    if security is MailSecurity.PLAIN and not is_loopback(server.rpartition(":")[0].strip("[]")):
        text = "is not a loopback address: mail in clear goes to 127.0.0.1, ::1 or localhost only"
        given.wrong("server", f"{text}; use starttls or tls")
    return server


def is_loopback(host: str) -> bool:
    """Whether a host, as the config names it, is this one."""
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def report(given: Given[Report]) -> Report:
    """The rule of [report]."""
    silent = "summary" not in given and not given.spoilt("summary")
    if silent and (given.get("summary_to") or "summary_file" in given):
        given.wrong("", "says where a summary goes, and not how often", 'write summary = "weekly"')
    made = given.make()
    if made.summary_file and not made.summary_file.endswith(_FORMS):
        hint = f"end its name with one of {' '.join(_FORMS)}"
        given.wrong("summary_file", "does not say in which form it is", hint)
    return made


def check_report(made: Report, agent: Agent, channels: Channels, faults: Faults) -> None:
    """Do its files lie where their readers may go, and is there each channel that gets the summary?"""
    channels.check(made.summary_to, ("report", "summary_to"))
    for key in ("metrics", "page", "summary_file"):
        path = getattr(made, key)
        if path and (path == agent.state or path.startswith(f"{agent.state}/")):
            hint = "put it where its readers may go, as below /var/lib/prometheus or /var/www"
            text = f"lies in the state directory {agent.state}, which holds keys"
            faults.add(("report", key), text, hint)
