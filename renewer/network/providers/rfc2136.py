"""DNS updates (RFC 2136), signed by TSIG (RFC 8945), as BIND, Knot, PowerDNS and others take them.

Values are added and deleted one by one (RFC 2136 §2.5.1, §2.5.4): what others have at the same name stays.
All records of a zone go in one message, over TCP (RFC 7766 §5: every server must take it), so that it is
whole however large it is, and no address can be forged.
"""

import base64
import binascii
import socket
from collections.abc import Callable, Sequence
from typing import ClassVar

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update

from renewer import clock
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Dns01, Rfc2136, Tsig
from renewer.model.dns_options import Rules
from renewer.model.dns_provider import TxtRecord, untouched
from renewer.network.providers.advice import ADVICE, UNKNOWN, UNSIGNED

TTL = 1  # seconds: no cache may still hold these values when the next order comes with others
TIME_LIMIT = 10.0  # seconds for one message to one address


class Rfc2136Provider:
    """Sends updates to the configured server, signed by the key that has this `secret` (base64)."""

    rules: ClassVar[Rules] = Rules()
    needs_zone = True

    def __init__(self, challenge: Dns01, secret: str = "") -> None:
        if challenge.rfc2136 is None:
            raise GiveUp("rfc2136 needs a server", hint='server = "192.0.2.53:53"', kind="config")
        self._to: Rfc2136 = challenge.rfc2136
        self._secret = secret

    def ready(self, names: Sequence[str]) -> None:  # noqa: ARG002  it is the same for all
        """Whether there is a key of the right form, if one is configured."""
        if self._to.tsig is not None:
            _key(self._to.tsig, self._secret)

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Add the values in one update, each with the TTL that stands at its name.

        All records of a name and type have one TTL (RFC 2181 §5.2): servers give all that of the last one.
        """
        key = self._key()
        ttls = {name: self._ttl(name, key) for name in dict.fromkeys(record.name for record in records)}

        def change(update: dns.update.UpdateMessage, record: TxtRecord) -> None:
            update.add(dns.name.from_text(record.name), ttls[record.name], "TXT", record.value)

        self._send(zone, records, change)

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Delete exactly these values in one update."""

        def change(update: dns.update.UpdateMessage, record: TxtRecord) -> None:
            update.delete(dns.name.from_text(record.name), "TXT", record.value)

        self._send(zone, records, change)

    def close(self) -> None:
        """Every update has a connection of its own."""

    def _send(
        self,
        zone: str,
        records: Sequence[TxtRecord],
        change: Callable[[dns.update.UpdateMessage, TxtRecord], None],
    ) -> None:
        key = self._key()
        update = dns.update.UpdateMessage(dns.name.from_text(zone))
        if key is not None:
            update.use_tsig(key)
        for record in records:
            change(update, record)
        try:
            reply = self._exchange(update)
        except dns.tsig.PeerError as error:
            raise self._refused(_PEER_ERRORS.get(type(error), str(error)), zone) from error
        except _TSIG_ERRORS as error:
            raise self._refused(UNSIGNED, zone) from error
        code = dns.rcode.to_text(reply.rcode())
        if code == "NOERROR" and key is not None and not reply.had_tsig:
            raise self._refused(UNSIGNED, zone)
        if code != "NOERROR":
            raise self._refused(code, zone)

    def _key(self) -> dns.tsig.Key | None:
        with untouched():
            return _key(self._to.tsig, self._secret) if self._to.tsig else None

    def _ttl(self, name: str, key: dns.tsig.Key | None) -> int:
        """The TTL of others' TXT records at a name; ours if there are none, or the server does not say."""
        owner = dns.name.from_text(name)
        query = dns.message.make_query(owner, "TXT")
        query.flags &= ~dns.flags.RD  # what this server itself holds
        if key is not None:
            query.use_tsig(key)  # views, and servers that answer to the key alone
        try:
            reply = self._exchange(query)
        except (*_TSIG_ERRORS, RenewerError):
            return TTL  # what is wrong is told by the update
        found = reply.get_rrset(reply.answer, owner, dns.rdataclass.IN, dns.rdatatype.TXT)
        return found.ttl if found is not None else TTL

    def _exchange(self, update: dns.message.Message) -> dns.message.Message:
        """Send it to the first address of the server that takes a connection. Raises RetryLater."""
        said: list[str] = []
        with untouched():
            addresses = self._addresses()
        sent = False
        for address, port in addresses:
            try:
                with socket.create_connection((address, port), timeout=TIME_LIMIT) as connection:
                    sent = True
                    return _read(update, _carry(update.to_wire(prepend_length=True), connection))
            except TimeoutError:
                said.append(f"{address}: no answer in {TIME_LIMIT:g} s")
            except OSError as error:
                said.append(f"{address}: {error.strerror or error}")
            except (EOFError, ValueError):
                said.append(f"{address}: it does not speak DNS properly")
        silent = RetryLater(
            f"the DNS server {self._to.server} could not be sent an update: {'; '.join(said)}",
            hint="does it listen there for TCP, and is no firewall between?",
            kind="dns",
        )
        silent.untouched = not sent
        raise silent

    def _addresses(self) -> list[tuple[str, int]]:
        host, _, port = self._to.server.rpartition(":")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except OSError as error:
            raise RetryLater(
                f"the DNS server {self._to.server} has no address: {error.strerror}",
                hint="an address in place of the name needs no look-up",
                kind="dns",
            ) from error
        return [(str(one[4][0]), int(port)) for one in found]

    def _refused(self, code: str, zone: str) -> RenewerError:
        """The error for a code, with its advice (RFC 2136 §2.2, RFC 8945 §5.2)."""
        advice = ADVICE.get(code, UNKNOWN)
        key = self._to.tsig.name if self._to.tsig else "none"
        algorithm = self._to.tsig.algorithm.value if self._to.tsig else "none"
        about = {"zone": zone, "key": key, "algorithm": algorithm}
        said = advice.meaning.format(**about)
        text = f"the DNS server {self._to.server} refused to change {zone} ({code}): {said}"
        hint = advice.remedy.format(**about)
        error = (RetryLater if advice.passes else GiveUp)(text, hint=hint, kind=code.lower())
        error.untouched = code in _LEAVES_NOTHING
        return error


# RFC 2136 §3: these are said before anything of an update is done; SERVFAIL may come of a server in between
_LEAVES_NOTHING = frozenset(ADVICE) - {"SERVFAIL", UNSIGNED}
_TSIG_ERRORS = (
    *(dns.tsig.BadSignature, dns.tsig.BadKey, dns.tsig.BadAlgorithm, dns.tsig.BadTime),
    *(dns.tsig.PeerError, dns.message.UnknownTSIGKey),
)
_PEER_ERRORS: dict[type[Exception], str] = {
    dns.tsig.PeerBadSignature: "BADSIG",
    dns.tsig.PeerBadKey: "BADKEY",
    dns.tsig.PeerBadTime: "BADTIME",
    dns.tsig.PeerBadTruncation: "BADTRUNC",
}


def _carry(wire: bytes, connection: socket.socket) -> bytes:
    """Send a message with its length (RFC 1035 §4.2.2); the answer comes without. OSError, EOFError."""
    deadline = clock.monotonic() + TIME_LIMIT
    connection.sendall(wire)
    received = b""
    while len(received) < 2 or len(received) < 2 + int.from_bytes(received[:2]):
        connection.settimeout(max(0.001, deadline - clock.monotonic()))
        part = connection.recv(65536)
        if not part:
            raise EOFError
        received += part
    return received[2:]


def _read(update: dns.message.Message, wire: bytes) -> dns.message.Message:
    """The answer, its signature checked if it has one. Raises ValueError if it is none."""
    try:
        try:
            reply = dns.message.from_wire(wire, keyring=update.keyring, request_mac=update.mac)
        except dns.exception.FormError:  # perhaps it only lacks the signature: refusals often do
            reply = dns.message.from_wire(wire)
    except _TSIG_ERRORS:
        raise
    except dns.exception.DNSException as error:
        raise ValueError(str(error)) from error
    if not update.is_response(reply):
        raise ValueError("it answers something else")
    return reply


def _key(tsig: Tsig, text: str) -> dns.tsig.Key:
    """The key of a secret. Raises GiveUp if that is no base64."""
    try:
        secret = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not secret:
        raise GiveUp(
            f"the secret of the key {tsig.name} is not base64",
            hint="give only the text between the quotes of `secret` in the server's key file",
            kind="secret",
        )
    return dns.tsig.Key(dns.name.from_text(tsig.name), secret, tsig.algorithm.value)
