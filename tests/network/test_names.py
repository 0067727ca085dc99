"""A worker that asks name servers or changes records, and answers what nobody asked: none of it is used."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renewer import secrets
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.issue import providers
from renewer.issue.dns01 import Dns01Solver
from renewer.issue.solvers import TokenPreflight
from renewer.model.desired import Dns01, Endpoint, PropagationCheck, Secret, SecretSource
from renewer.model.desired import Preflight as Mode
from renewer.model.dns_provider import AcmeDnsAccount, TxtRecord
from renewer.model.inspection import Hop, NameSeen, PortSeen, Tlsa, Trail
from renewer.model.persist import Claim
from renewer.model.solver import Presented
from renewer.network import dns as names
from renewer.network import verify
from renewer.network.dns import messages as said
from renewer.network.dns.duty import NameAsker
from renewer.network.dns.messages import RecordPlace
from renewer.network.door import Asker
from renewer.network.protocol import BreachError, DoorMessage, Failed, Trust
from renewer.network.providers import duty as publishing
from renewer.network.providers import messages as say
from renewer.network.verify import Sight, Target
from renewer.network.verify import messages as looked
from renewer.network.verify.looks import Looks
from renewer.provisioning import acme_dns
from tests.challenges.dns01.bed import tasks

ASKED, ZONE = "_acme-challenge.www.example.org", "example.org"
PLACE = RecordPlace(asked=ASKED, name=ASKED, zone=ZONE)
NOW = datetime(2026, 11, 28, tzinfo=UTC)
Answers = Callable[[Any], list[DoorMessage]]


@pytest.fixture
def bent(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Every worker answers like this; what it was asked."""

    def bend(answers: Answers) -> list[Any]:
        heard: list[Any] = []

        def answer(_: Any, request: Any, main: Asker) -> Iterator[DoorMessage]:
            heard.append(request)
            main.note("\x1b[2Jread me")
            yield from answers(request)

        for kind in (NameAsker, Looks, publishing.Publisher):
            monkeypatch.setattr(kind, "answer", answer)
        return heard

    return bend


def _of(name: str, zone: str = ZONE, asked: str = ASKED) -> said.Placed:
    return said.Placed(asked=asked, place=RecordPlace(asked=asked, name=name, zone=zone))


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [_of(ASKED), _of(ASKED)],
        [_of(ASKED), _of("_acme-challenge.bank.example", "bank.example", "_acme-challenge.bank.example")],
        [said.Placed(asked=ASKED)],
        [said.Placed(asked=ASKED, place=PLACE, why=Failed(sort="GiveUp", text="no"))],
        [said.Placed(asked=ASKED, place=RecordPlace(asked="x", name=ASKED, zone=ZONE))],
        [_of(ASKED, "example.com")],
        [_of(ASKED, "")],
        [_of(f"a b.{ZONE}")],
        [_of(f"{'a' * 2000}.{ZONE}")],
        [said.SilenceFound()],
    ],
    ids=(
        *("nothing", "twice", "one that was not asked", "neither", "both", "of another", "beside its zone"),
        *("no zone", "no name", "too long", "another type"),
    ),
)
def test_a_place_that_nobody_asked_for(bent: Callable[..., Any], answers: list[DoorMessage]) -> None:
    """A place counts once, for what was asked, in a zone above it; else nothing is published anywhere."""
    published = bent(lambda request: answers if isinstance(request, said.FindPlaces) else [])
    (task,) = tasks("www.example.org")
    solver = Dns01Solver(
        Dns01(provider="httpreq", options=(("endpoint", "https://a"),)),
        provider=lambda: providers.make(Dns01(provider="httpreq", options=(("endpoint", "https://a"),))),
        until=lambda: math.inf,
    )
    with pytest.raises(RetryLater, match="nonsense"):
        solver.present_all([task])
    assert {type(one) for one in published} == {said.FindPlaces}


def test_an_error_names_only_what_was_asked(bent: Callable[..., Any]) -> None:
    """A worker cannot blame a name of another certificate; what it notes does nothing to a terminal."""

    def answers(request: Any) -> list[DoorMessage]:
        if isinstance(request, said.FindPlaces):
            return [_of(ASKED)]
        if isinstance(request, said.Propagated):
            raise RetryLater("late", identifiers=((ASKED, "late"), ("bank.example", "late")))
        return []

    bent(answers)
    (task,) = tasks("www.example.org")
    solver = Dns01Solver(
        Dns01(provider="script"), provider=lambda: pytest.fail("not needed"), until=lambda: math.inf
    )
    told: list[str] = []
    with pytest.raises(RetryLater) as caught:
        solver.wait([Presented(task=task, where="")], told.append)
    assert caught.value.identifiers == (("www.example.org", "late"),)
    assert [one.endswith("read me") and "\x1b" not in one for one in told] == [True]


def test_a_claim_is_judged_by_who_makes_it(bent: Callable[..., Any]) -> None:
    """Each claim is answered once, where it was asked for."""
    claim = Claim(issuers=("ca.example",), account="https://ca.example/1")
    sought = [(ASKED, claim)]
    for answers in (
        [],
        [said.ClaimSeen(number=1, place=PLACE)],
        [said.ClaimSeen(number=0, place=PLACE)] * 2,
        [said.ClaimSeen(number=0, place=RecordPlace(asked="x", name=ASKED, zone=ZONE))],
    ):
        bent(lambda _, answers=answers: answers)
        with pytest.raises(BreachError):
            names.NameServers().claims(sought, PropagationCheck.NONE, until=lambda: math.inf)


def test_what_is_shown_of_names_is_clean_and_of_those_names(bent: Callable[..., Any]) -> None:
    """Doctor's facts are of the names that it asked for, and no text in them is more than text."""
    hop = Hop(name="\x1b[2Ja")
    seen = NameSeen(name="a.example", host=Trail(asked="a.example", hops=(hop,)))
    asked = names.NameServers()
    bent(lambda _: [said.Examined(seen=seen)])
    (one,) = asked.examine({"a.example": ""}, within=1).values()
    assert one.host is not None
    assert "\x1b" not in one.host.hops[0].name
    with pytest.raises(BreachError):
        asked.examine({"b.example": ""}, within=1)
    record = Tlsa(place="_25._tcp.a", usage=3, selector=1, matching=1)
    bent(lambda _: [said.TlsaShown(place="_25._tcp.a", records=(record,))])
    with pytest.raises(BreachError):
        asked.tlsa(["_25._tcp.b"], within=1)
    assert asked.tlsa(["_25._tcp.a"], within=1) == {"_25._tcp.a": (record,)}


def test_what_is_too_large_is_no_answer(bent: Callable[..., Any]) -> None:
    """A zone that is full of texts fills no frame: of such a name nothing is known, of the others all is."""
    from renewer.network.dns.duty import _fitting

    full = NameSeen(name="a", host=Trail(asked="a", hops=(Hop(name="x" * 300_000),)))
    found = _fitting(full)
    assert isinstance(found, said.Examined)
    assert (found.seen.host, "host" in found.seen.unfinished) == (None, True)
    bent(lambda _: [said.SilenceFound(resolvers=("x" * 300_000,))])
    with pytest.raises(RenewerError, match="a message of"):
        names.NameServers().silent(1)


def test_a_fetch_is_of_what_was_asked(bent: Callable[..., Any]) -> None:
    """What a URL brought counts for that URL; another one's does not pass for the challenge."""
    (task,) = tasks("www.example.org")
    good = looked.Fetched(trace="\x1b[2J", status=200, body=task.key_authorization.encode())
    look = TokenPreflight(Mode.REQUIRE)
    told: list[str] = []
    bent(lambda _: [looked.UrlFetched(number=0, found=good)])
    look.look([Presented(task=task, where="")], told.append)
    for number in (1, -1):
        bent(lambda _, number=number: [looked.UrlFetched(number=number, found=good)])
        with pytest.raises(BreachError):
            look.look([Presented(task=task, where="")], told.append)
    step = looked.Doorstep(name="a", address="192.0.2.1", port=80, tls=False)
    bent(lambda _: [looked.Visited(number=0, seen=PortSeen(address="192.0.2.9", port=80))])
    with pytest.raises(BreachError):
        verify.visit([step], 1)


def test_what_ports_are_checked_against_crosses_as_certificates(
    bent: Callable[..., Any], tmp_path: Path
) -> None:
    """No file's name goes out, and each sight comes back with the name that was asked about."""
    good, broken = tmp_path / "ca.pem", tmp_path / "none.pem"
    pem = f"-----BEGIN CERTIFICATE-----\n{'A' * 300_000}\n-----END CERTIFICATE-----\n"
    good.write_text(f"ours, of {tmp_path}\n{pem}")
    endpoint = Endpoint(server_name="a.example", host="127.0.0.1")
    targets = [Target(endpoint=endpoint, roots=str(one)) for one in (good, broken)]
    targets.append(Target(endpoint=endpoint))

    def answers(request: Any) -> list[DoorMessage]:
        if not isinstance(request, looked.Look):
            return []
        shown = Sight(endpoint=endpoint, address="", at=NOW, local=False)
        found = [msgspec.structs.replace(shown, roots=one.roots) for one in request.targets]
        return [looked.Sights(sights=tuple(found))]

    heard = bent(answers)
    seen = verify.look(targets, reads=secrets.roots)
    assert [one.roots for one in seen] == [str(good), str(broken), "system"]
    assert [type(one) for one in heard] == [looked.TellTrust, looked.TellTrust, looked.Look]
    assert "".join(one.pem for one in heard[:2]) == pem
    asked = heard[-1].targets
    assert [bool(one.unusable) for one in asked] == [False, True, False]
    assert [str(tmp_path) in one.roots for one in asked] == [False] * 3


def test_a_provider_has_its_own_secrets_and_no_paths(
    bent: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What crosses to it: certificates, secrets as values, accounts of these records, and no file's name."""
    monkeypatch.setenv("A_SECRET", "open sesame")
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    heard = bent(lambda _: [])
    reference = Secret(source=SecretSource.ENV, argument=("A_SECRET",))
    options = (("username", "me"), ("password", reference), ("ca_bundle", str(tmp_path / "ca.pem")))
    made = providers.make(Dns01(provider="httpreq", options=(("endpoint", "https://a"), *options)))
    record = TxtRecord(name=ASKED, value="v", asked=ASKED, domain="www.example.org")
    made.add(ZONE, [record])
    assert [type(one) for one in heard] == [Trust, say.Employ, say.Publish]
    assert "open sesame" in repr(heard)
    assert str(tmp_path) not in repr(heard)
    assert "A_SECRET" not in repr(heard)


def test_only_the_accounts_of_these_records_cross(bent: Callable[..., Any], tmp_path: Path) -> None:
    """Of a file of accounts a worker gets those that it must use now."""
    storage = str(tmp_path / "accounts.json")
    for name in ("www.example.org", "other.example.org"):
        account = AcmeDnsAccount(fulldomain=f"{name}.a", subdomain=name, username="u", password=f"p-{name}")
        acme_dns.add(storage, name, account, "https://a")
    heard = bent(lambda _: [])
    made = providers.make(Dns01(provider="acme-dns", options=(("server", "https://a"), ("storage", storage))))
    record = TxtRecord(name="www.example.org.a", value="v", asked=ASKED, domain="www.example.org")
    made.add(ZONE, [record])
    made.remove(ZONE, [record])
    crossed = [one.accounts for one in heard if isinstance(one, say.Publish)]
    assert [[one.password for one in some] for some in crossed] == [["p-www.example.org"]]
    assert str(tmp_path) not in repr(heard)


def test_an_account_that_is_none_is_not_stored(bent: Callable[..., Any], tmp_path: Path) -> None:
    """What a worker says was registered is looked at before it is stored or printed."""
    account = AcmeDnsAccount(fulldomain="a\n", subdomain="a", username="u", password="p")
    bent(lambda request: [say.Registered(account=account)] if isinstance(request, say.Register) else [])
    storage = tmp_path / "accounts.json"
    challenge = Dns01(provider="acme-dns", options=(("server", "https://a"), ("storage", str(storage))))
    with pytest.raises(GiveUp, match="no account"):
        providers.register(challenge, "www.example.org")
    assert not storage.exists()


def test_no_secret_comes_back(bent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a provider says went wrong, its secrets are not in it."""
    monkeypatch.setenv("A_SECRET", "open sesame")

    def answers(request: Any) -> list[DoorMessage]:
        if isinstance(request, say.Publish):
            raise RetryLater("it said open sesame", hint="open sesame", identifiers=(("a", "open sesame"),))
        return []

    bent(answers)
    reference = Secret(source=SecretSource.ENV, argument=("A_SECRET",))
    options = (("endpoint", "https://a"), ("username", "me"), ("password", reference))
    record = TxtRecord(name=ASKED, value="v", asked=ASKED, domain="www.example.org")
    with pytest.raises(RetryLater) as caught:
        providers.make(Dns01(provider="httpreq", options=options)).add(ZONE, [record])
    assert "open sesame" not in f"{caught.value.text}{caught.value.hint}{caught.value.identifiers}"
