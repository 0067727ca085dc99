"""Accounts that the authority has lost, ended, or shows only to who brings credentials."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from renewer.accounts.keeper import Keeper
from renewer.accounts.session import Session
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Authority, Eab, Secret, SecretSource
from tests.acme.conftest import name
from tests.servers.bendable import Bendable, BendableFactory, Seen
from tests.servers.bends import Answer, Bend, Call, error, html, late, problem, refusal, say

SECRET = Secret(source=SecretSource.ENV, argument=("UNUSED",))
HMAC = "c2VjcmV0"
LOST: dict[str, Bend] = {
    "accountDoesNotExist": problem("accountDoesNotExist", 400),
    "500 without a word": error(500),
    "500 serverInternal": problem("serverInternal", 500),
    "502": error(502),
    "401 unauthorized": problem("unauthorized", 401),
    "403 unauthorized": problem("unauthorized", 403),
    "400 malformed": problem("malformed", 400),
    "404 malformed": problem("malformed", 404),
    "404 as a page": html(404),
    "400 of a type of its own": problem("urn:example:nobody", 400),
}


@pytest.fixture
def authority(bendable: BendableFactory) -> Bendable:
    """One that nobody has bent yet."""
    return bendable()


def wish(authority: Bendable, **changes: object) -> Authority:
    """The config's table for it."""
    given: dict[str, object] = {
        "name": "bendable",
        "directory": authority.directory,
        "ca_bundle": str(authority.ca_bundle),
        "agree_terms": True,
        "contact": ("ops@example.org",),
    }
    return Authority(**(given | changes))  # type: ignore[arg-type]


def session(authority: Bendable, state: Path, **changes: object) -> Session:
    """What a run has."""
    return Session.open(wish(authority, **changes), state=str(state), eab_hmac=HMAC, timeout=30)


def keeper(authority: Bendable, state: Path, **changes: object) -> Keeper:
    """What an operator has."""
    return Keeper(wish(authority, **changes), state=str(state), eab_hmac=HMAC, timeout=30)


def eab(kid: str) -> Eab:
    """Credentials by this name."""
    return Eab(kid=kid, hmac=SECRET)


def on_disk(state: Path) -> Path:
    """Where the account lies."""
    (found,) = state.glob("authorities/*/bendable")
    return found


def order(session: Session) -> str:
    """The URL of a new order."""
    return session.new_order([name("www.example.org")]).url


def looking(seen: Seen) -> bool:
    """Whether a newAccount only looks."""
    return bool(seen.payload and seen.payload.get("onlyReturnExisting"))


def loses(authority: Bendable, how: Bend) -> None:
    """Forget every account, and answer whatever a forgotten one signs in this way."""
    authority.forget_accounts()

    def unknown(seen: Seen) -> bool:
        known = {f"{authority.base}/account/{one.number}" for one in authority.accounts}
        return seen.account is not None and seen.account not in known

    authority.bend((), how, when=unknown)


# --- credentials ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("always", [True, False])
def test_corrected_credentials_register(authority: Bendable, state: Path, *, always: bool) -> None:
    """A misspelled kid, corrected afterwards: the key on disk since then keeps nobody from registering."""
    authority.eab, authority.eab_when_looking = {"right": HMAC}, always
    for _ in range(2):
        with pytest.raises(GiveUp) as refused:
            order(session(authority, state, eab=eab("wrong")))
        assert "kid 'wrong'" in refused.value.hint
    assert order(session(authority, state, eab=eab("right")))
    assert [one.kid for one in authority.accounts] == ["right"]


def test_credentials_go_with_every_newaccount(authority: Bendable, state: Path) -> None:
    """Also with one that only looks: some authorities answer nothing without."""
    authority.eab = {"right": HMAC}
    keeper(authority, state, eab=eab("right")).register()
    (on_disk(state) / "account.json").unlink()
    assert keeper(authority, state, eab=eab("right")).recover()
    assert keeper(authority, state, eab=eab("right")).register()[1] is False
    sent = [seen.payload for seen in authority.requests(Call.NEW_ACCOUNT)]
    assert all("externalAccountBinding" in one for one in sent)
    assert authority.registered == 1


def test_credentials_that_are_not_configured(authority: Bendable, state: Path) -> None:
    """A key from earlier, an authority that wants credentials since: registering says what is missing."""
    keeper(authority, state).register()
    (on_disk(state) / "account.json").unlink()
    authority.forget_accounts()
    authority.eab = {"right": HMAC}
    with pytest.raises(GiveUp, match="only with external account credentials") as refused:
        order(session(authority, state))
    assert "eab = { kid" in refused.value.hint
    assert keeper(authority, state).look() is None
    with pytest.raises(GiveUp, match="no key here opens an account"):
        keeper(authority, state).recover()


@pytest.mark.parametrize(
    "how", [problem("unauthorized", 403), problem("malformed", 400), problem("urn:x:used")]
)
def test_rotated_credentials_find_the_old_account(authority: Bendable, state: Path, how: Bend) -> None:
    """The binding on record was used up or rotated: an account that exists is found without one."""
    authority.bend(
        Call.NEW_ACCOUNT, how, when=lambda one: looking(one) and "externalAccountBinding" in one.payload
    )
    url, _ = keeper(authority, state).register()
    (on_disk(state) / "account.json").unlink()
    assert session(authority, state, eab=eab("rotated")).account == url
    assert keeper(authority, state, eab=eab("rotated")).register() == (url, False)


# --- lost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", LOST.values(), ids=LOST)
def test_a_run_finds_out_and_registers_again(authority: Bendable, state: Path, how: Bend) -> None:
    """Whatever is answered to an account that is gone: the run that meets it asks once, and orders."""
    order(session(authority, state))
    loses(authority, how)
    ours = session(authority, state)
    assert order(ours)
    assert ours.account == f"{authority.base}/account/2"
    assert sum(map(looking, authority.requests(Call.NEW_ACCOUNT))) in (1, 2)
    assert order(session(authority, state))
    assert authority.registered == 2


@pytest.mark.parametrize("how", LOST.values(), ids=LOST)
def test_an_operator_registers_again(authority: Bendable, state: Path, how: Bend) -> None:
    """`register` asks the authority, not account.json; `show` says that there is none."""
    first, _ = keeper(authority, state).register()
    loses(authority, how)
    assert keeper(authority, state).look() is None
    with pytest.raises(GiveUp, match="no key here opens an account"):
        keeper(authority, state).recover()
    again, new = keeper(authority, state).register()
    assert (again != first, new) == (True, True)
    shown = keeper(authority, state).look()
    assert shown is not None
    assert shown.url == again


@pytest.mark.parametrize("how", LOST.values(), ids=LOST)
def test_what_an_operator_cannot_do_with_a_lost_account(authority: Bendable, state: Path, how: Bend) -> None:
    """A new key, or an end, for an account that is gone: said so, with the command that makes another."""
    keeper(authority, state).register()
    loses(authority, how)
    before = {one.name: one.read_bytes() for one in on_disk(state).iterdir()}
    for act in (keeper(authority, state).roll_over, keeper(authority, state).deactivate):
        with pytest.raises(GiveUp, match="there is no account any more") as caught:
            act()
        assert "renewer account register bendable" in caught.value.hint
    assert {one.name: one.read_bytes() for one in on_disk(state).iterdir()} == before


@pytest.mark.parametrize("how", [problem("malformed", 404), problem("urn:x:nobody"), problem("malformed")])
def test_looking_that_is_refused_in_strange_words(authority: Bendable, state: Path, how: Bend) -> None:
    """An authority that does not know how to look an account up: registering hands out what there is."""
    url, _ = keeper(authority, state).register()
    (on_disk(state) / "account.json").unlink()
    authority.bend(Call.NEW_ACCOUNT, how, when=looking)
    assert session(authority, state).account == url
    assert authority.registered == 1
    assert keeper(authority, state).register() == (url, False)


def test_register_where_looking_is_broken(authority: Bendable, state: Path) -> None:
    """Looking up answers 500: an operator who asks for an account gets it all the same."""
    url, _ = keeper(authority, state).register()
    authority.bend(Call.NEW_ACCOUNT, error(500), when=looking)
    assert keeper(authority, state).register() == (url, False)


def test_an_authority_that_is_merely_ill_is_asked_once(authority: Bendable, state: Path) -> None:
    """500 to every order while the account is well: one question a run, and the refusal itself is told."""
    ours = session(authority, state)
    order(ours)
    authority.bend(Call.NEW_ORDER, error(500))
    for _ in range(4):
        with pytest.raises(RetryLater, match="HTTP 500"):
            order(ours)
    assert sum(map(looking, authority.requests(Call.NEW_ACCOUNT))) == 1
    assert (authority.registered, json.loads((on_disk(state) / "account.json").read_text())["url"]) == (
        1,
        ours.account,
    )


@pytest.mark.parametrize("how", [error(503), problem("rateLimited", 429), problem("rejectedIdentifier", 403)])
def test_what_says_nothing_of_the_account_asks_nothing(authority: Bendable, state: Path, how: Bend) -> None:
    """A busy authority, a limit, a refused name: nobody asks for the account."""
    ours = session(authority, state)
    order(ours)
    authority.bend(Call.NEW_ORDER, how)
    with pytest.raises(RenewerError):
        order(ours)
    assert not any(map(looking, authority.requests(Call.NEW_ACCOUNT)))


def test_registering_again_that_is_refused_is_told(authority: Bendable, state: Path) -> None:
    """The account is lost and the authority wants credentials by now: that is the cause which is told."""
    order(session(authority, state))
    loses(authority, error(500))
    authority.eab = {"right": HMAC}
    ours = session(authority, state)
    for _ in range(2):
        with pytest.raises(GiveUp, match="only with external account credentials"):
            order(ours)


def test_an_account_that_moved(authority: Bendable, state: Path) -> None:
    """The key opens an account at another URL than account.json says: that one is used."""
    order(session(authority, state))
    file = on_disk(state) / "account.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {"url": f"{authority.base}/account/77"}))
    ours = session(authority, state)
    assert order(ours)
    assert (ours.account, authority.registered) == (document["url"], 1)
    assert json.loads(file.read_text())["url"] == document["url"]


@pytest.mark.parametrize("damage", [b"", b"\xe0{", b"[1]", b'{"url": 5}', b"[" * 5000, b'{"url": "x"}'])
def test_a_damaged_account_file_costs_nothing(authority: Bendable, state: Path, damage: bytes) -> None:
    """The key finds the account."""
    order(session(authority, state))
    (on_disk(state) / "account.json").write_bytes(damage)
    assert order(session(authority, state))
    assert authority.registered == 1


@pytest.mark.parametrize("damage", [b"", b"\x00" * 200, b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_damaged_key_says_what_to_do(authority: Bendable, state: Path, damage: bytes) -> None:
    """Nothing is registered behind the operator's back: published records may name the account."""
    order(session(authority, state))
    (on_disk(state) / "key.pem").write_bytes(damage)
    with pytest.raises(RenewerError, match="holds no key") as caught:
        order(session(authority, state))
    assert "move it away" in caught.value.hint
    (on_disk(state) / "key.pem").rename(on_disk(state) / "damaged.pem")
    assert order(session(authority, state))
    assert authority.registered == 2


@pytest.mark.parametrize("status", ["deactivated", "revoked"])
def test_ended_by_the_authority(authority: Bendable, state: Path, status: str) -> None:
    """No successor by itself; the command is named and makes one, with another key."""
    order(session(authority, state))
    authority.accounts[0].status = status
    with pytest.raises(GiveUp) as caught:
        order(session(authority, state))
    assert "renewer account register bendable" in caught.value.hint
    (on_disk(state) / "account.json").unlink()
    with pytest.raises(GiveUp, match=f"is {status}"):
        _ = session(authority, state).account
    assert authority.registered == 1
    assert keeper(authority, state).register()[1]
    assert order(session(authority, state))
    assert authority.registered == 2


def test_a_refused_successor_leaves_everything_as_it_was(authority: Bendable, state: Path) -> None:
    """Asked again and again, `register` piles up no keys."""
    keeper(authority, state).register()
    keeper(authority, state).deactivate()
    before = sorted(one.name for one in on_disk(state).iterdir())
    authority.bend(Call.NEW_ACCOUNT, problem("rejectedIdentifier", 403))
    for _ in range(3):
        with pytest.raises(GiveUp):
            keeper(authority, state).register()
    assert sorted(one.name for one in on_disk(state).iterdir()) == before
    authority.mend()
    assert keeper(authority, state).register()[1]


# --- odd registrations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201])
def test_no_location(authority: Bendable, state: Path, status: int) -> None:
    """An account that was made and not named is looked up."""

    def unnamed(seen: Seen) -> Answer:
        return Answer(status, seen.usual().body, {"Content-Type": "application/json"})

    authority.bend(Call.NEW_ACCOUNT, unnamed, when=lambda seen: not looking(seen))
    assert order(session(authority, state))
    assert authority.registered == 1


def test_a_relative_location(authority: Bendable, state: Path) -> None:
    """RFC 9110, section 10.2.2: a Location may be relative."""

    def relative(seen: Seen) -> Answer:
        usual = seen.usual()
        return Answer(usual.status, usual.body, {**usual.headers, "Location": "/account/1"})

    authority.bend(Call.NEW_ACCOUNT, relative)
    assert session(authority, state).account == f"{authority.base}/account/1"


def test_terms_that_the_directory_does_not_name(authority: Bendable, state: Path) -> None:
    """Who agreed in the config agrees in the request, though no terms are listed."""
    authority.bend(Call.DIRECTORY, lambda seen: seen.usual().with_members(meta={}))
    assert order(session(authority, state))


def test_new_terms_name_their_page(authority: Bendable, state: Path) -> None:
    """RFC 8555, section 7.3.3: the page to visit is in the hint."""
    ours = session(authority, state)
    order(ours)
    page = "https://ca.example.org/agree?it=1"
    authority.bend(Call.NEW_ORDER, say(refusal("userActionRequired", 403, "new terms", instance=page)))
    with pytest.raises(GiveUp) as caught:
        order(ours)
    assert page in caught.value.hint


# --- contact ----------------------------------------------------------------------------------------------


def test_a_refused_contact_holds_up_no_order(authority: Bendable, state: Path) -> None:
    """The old one stays, orders go on, and the same contact is not said again and again."""
    order(session(authority, state))
    authority.bend(Call.ACCOUNT, problem("invalidContact", 400, "no such domain"))
    for _ in range(3):
        assert order(session(authority, state, contact=("ops@invalid",)))
    assert authority.count(Call.ACCOUNT) == 1
    document = json.loads((on_disk(state) / "account.json").read_text())
    assert (document["contact"], document["contact_refused"]) == (["ops@example.org"], ["ops@invalid"])
    authority.mend()
    assert order(session(authority, state, contact=("new@example.org",)))
    assert authority.accounts[0].contact == ["mailto:new@example.org"]
    assert "contact_refused" not in (on_disk(state) / "account.json").read_text()


def test_a_contact_that_does_not_get_through_is_said_again(authority: Bendable, state: Path) -> None:
    """500 is no refusal: the next run says it again."""
    order(session(authority, state))
    authority.bend(Call.ACCOUNT, error(500), times=1)
    assert order(session(authority, state, contact=("new@example.org",)))
    assert order(session(authority, state, contact=("new@example.org",)))
    assert authority.accounts[0].contact == ["mailto:new@example.org"]


# --- several at once --------------------------------------------------------------------------------------


def together(count: int, work: Callable[[], object]) -> list[object]:
    """What each of several threads got, or raised."""
    ready, results = threading.Barrier(count), []

    def one() -> None:
        ready.wait()
        try:
            results.append(work())
        except RenewerError as caught:
            results.append(caught)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    return results


@pytest.mark.parametrize("how", ["accountDoesNotExist", "500 without a word"])
def test_whoever_finds_it_being_registered_waits(authority: Bendable, state: Path, how: str) -> None:
    """Seven orders at once at an authority that has lost the account: one registers, all are ordered."""
    order(session(authority, state))
    loses(authority, LOST[how])
    authority.bend(Call.NEW_ACCOUNT, late(0.3))
    authority.reuse_orders = False
    ours = session(authority, state)
    results = together(7, lambda: order(ours))
    assert all(isinstance(one, str) for one in results), results
    assert (len(results), authority.registered) == (7, 2)


def test_who_waited_shares_the_failure(authority: Bendable, state: Path) -> None:
    """Registering again fails: every one of them tells why, none that it "did not help"."""
    order(session(authority, state))
    loses(authority, LOST["accountDoesNotExist"])
    authority.bend(Call.NEW_ACCOUNT, problem("rateLimited", 429, "too many registrations"))
    ours = session(authority, state)
    results = together(5, lambda: order(ours))
    assert all("too many registrations" in str(one) for one in results), results


def test_whoever_finds_the_directory_being_fetched_waits(authority: Bendable, state: Path) -> None:
    """NewOrder moved: one fetches the directory again, slowly, and all orders go where it now says."""
    ours = session(authority, state)
    _ = ours.account
    authority.reuse_orders = False
    authority.bend(Call.NEW_ORDER, say(Answer(404)))
    authority.bend(Call.UNKNOWN, lambda seen: authority.act(replace(seen, call=Call.NEW_ORDER)))

    def directory(seen: Seen) -> Answer:
        return replace(seen.usual().with_members(newOrder=f"{authority.base}/moved"), pause=0.3)

    authority.bend(Call.DIRECTORY, directory)
    results = together(6, lambda: order(ours))
    assert all(isinstance(one, str) for one in results), results
    assert authority.count(Call.DIRECTORY) == 2
