"""Updates of real BIND and real Knot: every key, every refusal with its advice, nothing of others touched."""

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
import time_machine

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.issue.providers import make
from renewer.model.dns_provider import Provider, TxtRecord
from tests.challenges.dns01.bed import BIND, BIND_ZONE, KEYS, KNOT, KNOT_ZONE, OTHERS, STRANGER, Bed
from tests.servers.bind import Bind
from tests.servers.nameserver import Key, Zone, txt_at
from tests.servers.ports import free_port
from tests.servers.scripted_dns import ScriptedDns

pytestmark = pytest.mark.real
SERVERS = [pytest.param(BIND, BIND_ZONE, id="bind"), pytest.param(KNOT, KNOT_ZONE, id="knot")]
VALUE = "A" * 43


def record(zone: str, value: str = VALUE, host: str = "_acme-challenge.host") -> TxtRecord:
    """A record in a zone."""
    return TxtRecord(name=f"{host}.{zone}", value=value, asked=f"{host}.{zone}", domain=f"host.{zone}")


def refusal(provider: Provider, zone: str) -> RenewerError:
    """The error of an update that must fail."""
    with pytest.raises((GiveUp, RetryLater)) as caught:
        provider.add(zone, [record(zone)])
    return caught.value


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize(("server", "zone"), SERVERS)
def test_keys(bed: Bed, server: str, zone: str, key: Key) -> None:
    """A signed update is accepted with each algorithm (RFC 8945 §6); removing twice is no error."""
    provider = make(bed.challenge(server, key))
    provider.add(zone, [record(zone)])
    assert txt_at(server, bed.port, f"_acme-challenge.host.{zone}") == {VALUE}
    provider.remove(zone, [record(zone)])
    provider.remove(zone, [record(zone)])
    assert txt_at(server, bed.port, f"_acme-challenge.host.{zone}") == set()


@pytest.mark.parametrize(("server", "zone"), SERVERS)
def test_values_are_added_and_removed_one_by_one(bed: Bed, server: str, zone: str) -> None:
    """Wildcard and apex share a name: each value comes and goes alone (RFC 2136 §2.5.1, §2.5.4)."""
    provider = make(bed.challenge(server))
    first, second = record(zone), record(zone, "B" * 43)
    provider.add(zone, [first])
    provider.add(zone, [second, first])
    assert txt_at(server, bed.port, first.name) == {first.value, second.value}
    provider.remove(zone, [first])
    assert txt_at(server, bed.port, first.name) == {second.value}
    provider.remove(zone, [second])


def test_values_of_others_stay(bed: Bed) -> None:
    """What others have at the same name is there before, while and after."""
    provider = make(bed.challenge())
    ours = record(BIND_ZONE, host="_acme-challenge")
    provider.add(BIND_ZONE, [ours])
    assert txt_at(BIND, bed.port, ours.name) == {OTHERS, VALUE}
    provider.remove(BIND_ZONE, [ours])
    assert txt_at(BIND, bed.port, ours.name) == {OTHERS}


def test_ipv6(bed: Bed) -> None:
    """A server at an IPv6 address takes updates."""
    provider = make(bed.challenge("::1"))
    provider.add(BIND_ZONE, [record(BIND_ZONE)])
    assert txt_at("::1", bed.port, record(BIND_ZONE).name) == {VALUE}
    provider.remove(BIND_ZONE, [record(BIND_ZONE)])


@pytest.mark.parametrize(
    ("server", "zone", "key", "code", "said"),
    [
        (BIND, BIND_ZONE, None, "refused", "update-policy"),
        (KNOT, KNOT_ZONE, None, "notauth", "without a key"),
        (BIND, BIND_ZONE, Key(KEYS[0].name), "badsig", "compare the secrets"),
        (KNOT, KNOT_ZONE, Key(KEYS[0].name), "badsig", "compare the secrets"),
        (BIND, BIND_ZONE, Key("nobody"), "badkey", "exactly those"),
        (KNOT, KNOT_ZONE, Key("nobody"), "badkey", "exactly those"),
        (BIND, BIND_ZONE, STRANGER, "refused", "grant stranger zonesub TXT"),
        (KNOT, KNOT_ZONE, STRANGER, "badkey", "if no acl of the zone names"),
        (BIND, "elsewhere.example", KEYS[0], "notauth", "the primary"),
        (KNOT, "elsewhere.example", KEYS[0], "notauth", "the primary"),
    ],
)
def test_refusals(bed: Bed, server: str, zone: str, key: Key | None, code: str, *, said: str) -> None:
    """Each refusal names the server, the zone and its code, and says what to change on which side."""
    error = refusal(make(bed.challenge(server, key)), zone)
    assert isinstance(error, GiveUp)
    assert (code, True) == (error.kind, f"{server}:{bed.port}" in error.text and zone in error.text)
    assert said in error.text + error.hint


@pytest.mark.parametrize(("server", "zone"), SERVERS)
def test_clocks_apart(bed: Bed, server: str, zone: str) -> None:
    """BADTIME speaks of the clocks, and may pass by itself (RFC 8945 §5.2.3)."""
    provider = make(bed.challenge(server))
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
        error = refusal(provider, zone)
    assert (RetryLater, "badtime") == (type(error), error.kind)
    assert "NTP" in error.hint


def test_server_that_cannot_write(tmp_path: Path, bed: Bed) -> None:
    """SERVFAIL: BIND in a directory that it may not write to; the advice says to look at its owner."""
    zone = Zone("full.example")
    with Bind(tmp_path / "bind", address="127.0.0.6", port=bed.port, zones=[zone], keys=KEYS, writable=False):
        error = refusal(make(bed.challenge("127.0.0.6")), zone.name)
    assert (RetryLater, "servfail") == (type(error), error.kind)
    assert "who owns the directory?" in error.hint


@pytest.mark.parametrize(
    ("rcode", "kind", "error"),
    [
        (dns.rcode.NOTIMP, "notimp", GiveUp),
        (dns.rcode.FORMERR, "formerr", GiveUp),
        (dns.rcode.NOTZONE, "notzone", GiveUp),
        (dns.rcode.YXRRSET, "yxrrset", RetryLater),
        (dns.rcode.NOERROR, "unsigned answer", GiveUp),
    ],
)
def test_rare_answers(bed: Bed, rcode: dns.rcode.Rcode, kind: str, error: type[RenewerError]) -> None:
    """Codes that real servers seldom give; and a success that is not signed is none (RFC 8945 §5.4)."""

    def answer(query: dns.message.Message) -> bytes:
        flags = dns.flags.QR | dns.opcode.to_flags(dns.opcode.UPDATE) | rcode
        return struct.pack("!6H", query.id, flags, 0, 0, 0, 0)

    with ScriptedDns(answer, address="127.0.0.7", port=bed.port):
        told = refusal(make(bed.challenge("127.0.0.7")), BIND_ZONE)
    assert (error, kind) == (type(told), told.kind)


def test_nobody_there(bed: Bed) -> None:
    """A server that is down, or whose name has no address, is told as such and tried again later."""
    error = refusal(make(bed.challenge("127.0.0.9")), BIND_ZONE)
    assert (RetryLater, True) == (type(error), "Connection refused" in error.text)
    error = refusal(make(bed.challenge("nowhere.example")), BIND_ZONE)
    assert (RetryLater, True) == (type(error), "has no address" in error.text)


def test_server_that_speaks_nonsense(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage and silence cost a bounded time and give a clear message."""
    monkeypatch.setattr("renewer.network.providers.rfc2136.TIME_LIMIT", 0.2)
    with ScriptedDns(lambda _: b"\0" * 40, address="127.0.0.7", port=free_port()) as server:
        error = _at(bed, server)
    assert "does not speak DNS properly" in error.text
    with ScriptedDns(lambda _: None, address="127.0.0.7", port=free_port()) as server:
        error = _at(bed, server)
    assert "no answer in 0.2 s" in error.text


def _at(bed: Bed, server: ScriptedDns) -> RenewerError:
    import msgspec

    challenge = bed.challenge(server.address)
    assert challenge.rfc2136 is not None
    there = msgspec.structs.replace(challenge.rfc2136, server=f"{server.address}:{server.port}")
    return refusal(make(msgspec.structs.replace(challenge, rfc2136=there)), BIND_ZONE)


def test_secret_that_is_no_base64(bed: Bed) -> None:
    """A whole key file in place of its secret is told, without showing it."""
    error = refusal(make(bed.challenge(BIND, Key(secret='key "acme" { … }'))), BIND_ZONE)
    assert error.kind == "secret"
    assert "{" not in error.text + error.hint
