"""Asking resolvers: those of the config, or those of the system."""

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from renewer.dns.ask import Question, Server, Silence, ask, rcode
from renewer.errors import GiveUp, RetryLater

_TIMEOUTS = (1.0, 3.0)  # seconds for the first and the second round over all of them
_USUAL = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


class Resolvers:
    """Some resolvers, asked in turn until one gives an answer."""

    def __init__(self, given: tuple[str, ...] = ()) -> None:
        self._given = given
        self._servers: tuple[Server, ...] = ()

    @property
    def servers(self) -> tuple[Server, ...]:
        """Who is asked. Raises GiveUp if the system names nobody."""
        if not self._servers:
            self._servers = tuple(map(server_at, self._given)) or _of_the_system()
        return self._servers

    def ask(self, questions: list[Question]) -> dict[Question, dns.message.Message]:
        """An answer, also a negative one, to each question. Raises RetryLater with what each one said."""
        found: dict[Question, dns.message.Message] = {}
        said: dict[Server, str] = {}
        for timeout in _TIMEOUTS:
            for server in self.servers:
                left = [one for one in questions if one not in found]
                for question, answer in ask(server, left, recursive=True, timeout=timeout).items():
                    if isinstance(answer, Silence):
                        said[server] = answer.why
                    elif answer.rcode() in _USUAL:
                        found[question] = answer
                    else:
                        said[server] = rcode(answer)
                if len(found) == len(set(questions)):
                    return found
        name = next(one.name for one in questions if one not in found)
        text = "; ".join(f"{server}: {words}" for server, words in said.items())
        raise RetryLater(
            f"{name.to_text(omit_final_dot=True)} could not be looked up: {text}",
            hint="does DNS work on this host? `propagation.resolvers` names others to ask",
            kind="dns",
        )


def server_at(address: str) -> Server:
    """'192.0.2.1:53', '[2001:db8::1]:53' → the server there."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return Server(name=host, address=host, port=int(port))


def _of_the_system() -> tuple[Server, ...]:
    try:
        found = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        addresses: list[str] = []
    else:
        addresses = [one for one in found.nameservers if isinstance(one, str)]
    if not addresses:
        raise GiveUp(
            "this host names no DNS resolver (/etc/resolv.conf)",
            hint='name one: propagation = { resolvers = ["192.0.2.1:53"] }',
            kind="dns",
        )
    return tuple(Server(name=one, address=one, port=found.port) for one in addresses)
