"""The drafts by DNS: dns-account-01 under our account's name, dns-persist-01 by the operator's record."""

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dns.query
import dns.tsigkeyring
import pytest
from dns.update import UpdateMessage

from renewer import clock
from renewer.errors import OurFault, RetryLater
from renewer.issue.dns01 import DnsAccount01Solver, record_name
from renewer.issue.dns_persist01 import DnsPersist01Solver
from renewer.issue.solvers import solver_for
from renewer.model.desired import DnsAccount01, DnsPersist01, Propagation, PropagationCheck
from renewer.model.facts import Debris
from renewer.model.names import Identifier
from renewer.model.persist import Claim, hashes, misfit, text_of, zone_line
from renewer.model.solver import Task
from renewer.network.acme import wire
from tests.builders import NOW
from tests.challenges.dns01.bed import BIND, BIND_ZONE, KEYS, Bed
from tests.challenges.dns01.test_whole_runs import Host, left
from tests.servers.nameserver import txt_at
from tests.servers.pebble import Pebble

ACCOUNT = "https://example.com/acme/acct/ExampleAccount"
_NO_ACCOUNT = "there is no account at pebble yet; renewer account register pebble"
CLAIM = Claim(issuers=("ca.example", "other.example"), account=ACCOUNT)


def task(name: str, *, kind: str = "dns-persist-01", **keys: Any) -> Task:
    """A challenge for a name; with `*.` before it for its wildcard."""
    identifier = Identifier.parse(name)
    return Task(
        certificate="www",
        identifier=Identifier.parse(identifier.base),
        type=kind,
        token="",
        key_authorization="",
        wildcard=identifier.wildcard,
        **{"account": ACCOUNT, "issuers": ("ca.example",), **keys},
    )


# --- dns-account-01 -----------------------------------------------------------------------------------------


def test_the_name_of_an_account() -> None:
    """The label of the draft's own example (draft-ietf-acme-dns-account-label §3.2)."""
    expected = "_ujmmovf2vn55tgye._acme-challenge.www.example.org"
    assert record_name(ACCOUNT, "www.example.org") == expected


def test_an_account_is_needed(bed: Bed) -> None:
    """Without the account's URL there is no name."""
    challenge = DnsAccount01(provider="rfc2136", rfc2136=bed.challenge().rfc2136)
    solver = solver_for(challenge)
    assert isinstance(solver, DnsAccount01Solver)
    with pytest.raises(OurFault):
        solver.present(task("www.example.org", kind="dns-account-01", account=None))


# --- dns-persist-01 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f"ca.example; accounturi={ACCOUNT}", None),
        (f"Other.Example.;AccountURI = {ACCOUNT} ;  policy=wildcard", None),
        (f"ca.example; x=y; persistUntil={int(NOW.timestamp()) + 60}; accounturi={ACCOUNT}", None),
        (
            f"ca.example; accounturi={ACCOUNT}; persistUntil={int(NOW.timestamp()) - 60}",
            "persistUntil is over",
        ),
        (f"ca.example; accounturi={ACCOUNT}; persistUntil=soon", "persistUntil is no number"),
        (f"foreign.example; accounturi={ACCOUNT}", "it is for “foreign.example”"),
        ("ca.example", "names no account"),
        (f"ca.example; accounturi={ACCOUNT}0", "another account"),
        ("", "it is for “”"),
    ],
)
def test_what_a_record_must_say(value: str, why: str | None) -> None:
    """Issuer, account and time must fit; parameters come in any order, and unknown ones mean nothing."""
    said = misfit(value, CLAIM, NOW)
    assert (said is None) == (why is None)
    assert why is None or why in (said or "")


def test_a_wildcard_needs_its_policy() -> None:
    """`policy=wildcard` lets a record prove the wildcard, and still the name itself."""
    star = Claim(issuers=("ca.example",), account=ACCOUNT, wildcard=True)
    assert misfit(text_of(CLAIM), star, NOW) == "it has no policy=wildcard"
    assert misfit(text_of(star), star, NOW) is misfit(text_of(star), CLAIM, NOW) is None


def test_long_values_take_several_strings() -> None:
    """RFC 1035 §3.3: a string of a TXT record has at most 255 octets."""
    line = zone_line("_validation-persist.a.example", "x" * 300)
    assert line == f'_validation-persist.a.example. IN TXT "{"x" * 255}" "{"x" * 45}"'


@pytest.mark.parametrize("key", ["issuer-domain-names", "issuerDomainNames"])
def test_both_drafts_are_read(key: str) -> None:
    """The authority's names and the account stand in the challenge, spelled by either draft; no token."""
    document = {
        "type": "dns-persist-01",
        "url": "https://acme.example/chall/1",
        "status": "pending",
        "accounturi": ACCOUNT,
        key: ["CA.example.", "other.example", 7, "not a name"],
    }
    offer = wire.offer(document)
    assert offer is not None
    assert (offer.token, offer.issuers, offer.account) == (None, ("ca.example", "other.example"), ACCOUNT)
    for wrong in ('https://a/"; x', "https://a/\n", 7, None):
        odd = wire.offer({**document, "accounturi": wrong, key: "ca.example"})
        assert odd is not None
        assert (odd.account, odd.issuers) == (None, ())


def publish(bed: Bed, name: str, value: str) -> None:
    """What the operator does, by hand."""
    _change(bed, lambda update: update.add(f"{name}.", 60, "TXT", f'"{value}"'))


def unpublish(bed: Bed, name: str) -> None:
    """And takes away again."""
    _change(bed, lambda update: update.delete(f"{name}.", "TXT"))


def _change(bed: Bed, how: Callable[[UpdateMessage], None]) -> None:
    key = KEYS[0]
    keyring = dns.tsigkeyring.from_text({key.name: key.secret})
    update = UpdateMessage(BIND_ZONE, keyring=keyring, keyalgorithm=key.algorithm)
    how(update)
    assert dns.query.tcp(update, BIND, port=bed.port, timeout=10).rcode() == 0


def persist(bed: Bed, **rule: Any) -> DnsPersist01Solver:
    """The solver, in the bed."""
    propagation = Propagation(
        **{"resolvers": (bed.resolver_address,), "timeout": timedelta(seconds=20), **rule}
    )
    solver = solver_for(DnsPersist01(propagation=propagation), until=lambda: math.inf)
    assert isinstance(solver, DnsPersist01Solver)
    return solver


def test_a_record_that_is_missing_is_told_with_the_line_to_publish(bed: Bed) -> None:
    """At once and for every name, with what stands there instead."""
    name = f"_validation-persist.other.{BIND_ZONE}"
    publish(bed, name, "foreign.example; accounturi=x")
    solver = persist(bed)
    wanted = [task(f"none.{BIND_ZONE}"), task(f"*.other.{BIND_ZONE}")]
    began = clock.monotonic()
    try:
        with pytest.raises(RetryLater) as refusal:
            solver.wait(solver.present_all(wanted), lambda _: None)
    finally:
        unpublish(bed, name)
    assert clock.monotonic() - began < 15
    assert "it has none at all" in refusal.value.text
    assert "it is for “foreign.example”, not for ca.example" in refusal.value.text
    assert f'{name}. IN TXT "ca.example; accounturi={ACCOUNT}; policy=wildcard"' in refusal.value.hint
    assert {one for one, _ in refusal.value.identifiers} == {f"none.{BIND_ZONE}", f"other.{BIND_ZONE}"}


@pytest.mark.parametrize("check", [PropagationCheck.AUTHORITATIVE, PropagationCheck.RESOLVERS])
def test_a_record_that_is_there(bed: Bed, check: PropagationCheck) -> None:
    """Name and wildcard by one record; it stays, and nothing of ours is left or removed."""
    base = f"{check.value}.{BIND_ZONE}"
    name, value = f"_validation-persist.{base}", f"CA.example;policy=wildcard;accounturi={ACCOUNT}"
    publish(bed, name, value)
    solver = persist(bed, check=check)
    wanted = [task(base), task(f"*.{base}")]
    try:
        solver.prepare(wanted)
        assert [solver.debris_of(one) for one in wanted] == [None, None]
        solver.wait(solver.present_all(wanted), lambda _: None)
        assert solver.clean_up_all(wanted) == []
        solver.close()
        assert txt_at(BIND, bed.port, name) == {value}
    finally:
        unpublish(bed, name)


def test_nobody_is_asked_if_the_config_says_so(bed: Bed) -> None:
    """`check = "none"`: the authority will see."""
    solver = persist(bed, check=PropagationCheck.NONE)
    solver.wait(solver.present_all([task(f"nobody.{BIND_ZONE}")]), lambda _: None)


def test_what_others_left_in_a_zone_is_not_its_business(bed: Bed) -> None:
    """It cannot change a zone, so it never says that a record is gone; of all else it knows nothing."""
    solver = persist(bed)
    assert not solver.sweep(Debris(certificate="www", what="dns-01 record", where="x", at=NOW))
    assert solver.sweep(Debris(certificate="www", what="http-01 script", where="x", at=NOW))


# --- whole runs ---------------------------------------------------------------------------------------------


class Draft(Host):
    """A host whose names are proved by a draft."""

    lines: tuple[str, ...] = ()

    def write(self) -> None:
        """The config: one challenge for all names."""
        key = self.directory / "tsig"
        key.write_text(f"{KEYS[0].secret}\n")
        key.chmod(0o600)
        super().write()
        path = self.directory / "config.toml"
        text = path.read_text()
        start = text.index("[challenge.bind]")
        end = text.index("[challenge.knot]")
        path.write_text(text[:start] + "\n".join(("[challenge.bind]", *self.lines, "")) + text[end:])


@pytest.fixture(scope="module")
def authority(started_bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A Pebble that knows names only from the bed's resolver."""
    with Pebble(
        tmp_path_factory.mktemp("pebble"), dns_server=started_bed.resolver_address, caa=("ca.example",)
    ) as pebble:
        yield pebble


@pytest.mark.real
def test_whole_run_of_dns_account_01(tmp_path: Path, bed: Bed, authority: Pebble) -> None:
    """Apex and wildcard against Pebble; nothing is left in the zone."""
    host = Draft(tmp_path, bed, authority, [f"acct.{BIND_ZONE}", f"*.acct.{BIND_ZONE}"])
    host.lines = (
        'type = "dns-account-01"',
        "experimental = true",
        'provider = "rfc2136"',
        f'server = "{BIND}:{bed.port}"',
        f'tsig = {{ name = "acme", secret = {{ file = "{tmp_path}/tsig" }} }}',
        f'propagation = {{ resolvers = ["{bed.resolver_address}"], timeout = "20s" }}',
    )
    host.write()
    document = host.run()
    assert {one["result"] for one in document["outcomes"]} == {"done"}
    assert left(bed) == set()
    assert host.debris() == []
    shown = host.document("challenge", "show", "www")["challenges"]
    assert {one["type"] for one in shown} == {"dns-account-01"}
    assert all(f"._acme-challenge.acct.{BIND_ZONE}" in one["where"] for one in shown)


@pytest.mark.real
def test_whole_run_of_dns_persist_01(tmp_path: Path, bed: Bed, authority: Pebble) -> None:
    """First the run says what to publish; `challenge show` prints the same; published, it is proved."""
    host = Draft(tmp_path, bed, authority, [f"keeps.{BIND_ZONE}", f"*.keeps.{BIND_ZONE}"])
    host.lines = (
        'type = "dns-persist-01"',
        "experimental = true",
        f'propagation = {{ resolvers = ["{bed.resolver_address}"], timeout = "20s" }}',
    )
    host.write()
    untold = host.document("challenge", "show", "www", code=1)["challenges"]
    assert {one["error"] for one in untold} == {_NO_ACCOUNT}

    (failed,) = [one for one in host.run(code=1)["outcomes"] if one["step"] == "issue"]
    shown = host.document("challenge", "show", "www")["challenges"]
    (line,) = {one["publish"] for one in shown}
    assert line in failed["hint"]
    name, value = f"_validation-persist.keeps.{BIND_ZONE}", line.split('"')[1]
    assert line == f'{name}. IN TXT "{value}"'
    assert value.endswith("; policy=wildcard")
    publish(bed, name, value)
    try:
        document = host.document("run", "--only", "www", "--force")
        assert {one["result"] for one in document["outcomes"]} == {"done"}
        assert left(bed) == {(name, value)}
    finally:
        unpublish(bed, name)


# --- draft -02: hashed accounts -----------------------------------------------------------------------------

PREFIX = "https://ca.example/account-hash/"
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"  # RFC 7638 §3.1
URL = "https://ca.example/acct/123"
BOUND = f"{PREFIX}sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"
ANY = f"{PREFIX}sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug"


def test_the_drafts_own_vectors() -> None:
    """The hash for a name, and for any name (draft-ietf-acme-dns-persist-02 §10.2)."""
    assert hashes(PREFIX, "example.com", THUMBPRINT, URL) == (BOUND, ANY)
    assert hashes(PREFIX, "EXAMPLE.com.", THUMBPRINT, URL) == (BOUND, ANY)
    assert hashes(None, "example.com", THUMBPRINT, URL) == ()


@pytest.mark.parametrize(
    ("uri", "hashed", "named", "why"),
    [
        (BOUND, True, False, None),
        (ANY, True, False, None),
        (URL, True, False, "takes a hash of it only"),
        (URL, True, True, None),  # the challenge itself asks for it
        (BOUND[:-1] + "x", True, False, "of another key of it, or of another name"),
        (BOUND.upper(), True, False, "another account"),  # compared letter by letter
        (URL, False, False, None),
        (BOUND, False, False, "knows the account's URL only"),
    ],
)
def test_either_form_is_told_from_the_other(uri: str, *, hashed: bool, named: bool, why: str | None) -> None:
    """What the authority's directory asks for decides, and a misfit says which draft a record is of."""
    claim = Claim(
        issuers=("authority.example",), account=URL, hashes=(BOUND, ANY) if hashed else (), named=named
    )
    said = misfit(f"authority.example; accounturi={uri}", claim, NOW)
    assert (said is None) == (why is None)
    assert why is None or why in (said or "")


def test_the_hash_is_what_is_to_be_published() -> None:
    """For exactly this name, and with the policy where a wildcard is to be proved."""
    claim = Claim(issuers=("authority.example",), account=URL, hashes=(BOUND, ANY), wildcard=True)
    assert text_of(claim) == f"authority.example; accounturi={BOUND}; policy=wildcard"


@pytest.mark.parametrize("count", [0, 11])
def test_a_challenge_with_too_many_names_of_the_authority_is_none(count: int) -> None:
    """Draft -02 §3.1: it must be rejected; ten are fine."""
    document: dict[str, Any] = {"type": "dns-persist-01", "url": "https://acme.example/chall/1"}
    document |= {"status": "pending", "issuerDomainNames": [f"ca{n}.example" for n in range(count)]}
    assert wire.offer(document) is None
    document["issuerDomainNames"] = [f"ca{n}.example" for n in range(10)]
    assert wire.offer(document) is not None


@pytest.mark.parametrize("prefix", ["", "a b", 'x"y', "https://ca.example/;x", 7, None, ["x"]])
def test_a_prefix_that_no_record_can_carry_is_none(prefix: object) -> None:
    """A directory is a stranger's: nothing of it ends up in a zone unless it fits there."""
    document = {one: f"https://ca.example/{one}" for one in ("newNonce", "newAccount", "newOrder")}
    meta = {"accountHashPrefix": prefix, "issuerDomainNames": ["authority.example", "not a name"]}
    found = wire.directory({**document, "meta": meta}, "https://ca.example/directory")
    assert (found.account_hash_prefix, found.issuers) == (None, ("authority.example",))


def test_a_published_hash_is_found(bed: Bed) -> None:
    """The solver takes the account's hash for this name, and not its URL, at an authority that hashes."""
    base = f"hashed.{BIND_ZONE}"
    name, found = f"_validation-persist.{base}", hashes(PREFIX, base, THUMBPRINT, URL)
    solver = persist(bed)
    wanted = [task(base, account=URL, hashes=found)]
    publish(bed, name, f"ca.example; accounturi={URL}")
    try:
        with pytest.raises(RetryLater, match="takes a hash of it only") as refusal:
            solver.wait(solver.present_all(wanted), lambda _: None)
        assert f"accounturi={found[0]}" in refusal.value.hint
    finally:
        unpublish(bed, name)
    publish(bed, name, f"ca.example; accounturi={found[0]}")
    try:
        solver.wait(solver.present_all(wanted), lambda _: None)
    finally:
        unpublish(bed, name)
