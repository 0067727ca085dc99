"""newAccount at one authority (RFC 8555 §7.3): is there an account for a key, may one be made, make it."""

import contextlib
from collections.abc import Callable

import msgspec

from renewer import words
from renewer.accounts.door import AuthorityDoor
from renewer.accounts.key import AccountKey
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Authority
from renewer.model.value import Value
from renewer.network.acme import problems
from renewer.network.acme.messages import AccountReply, SignKind
from renewer.network.acme.resources import Problem

_OVER = ("deactivated", "revoked")  # RFC 8555 §7.1.6: there is no way back from these
_ABSENT = ("accountDoesNotExist", "externalAccountRequired")


class KeyFound(Value):
    """What an authority says of a key: the account's `url`, or that it has none, or nothing of use.

    `unknown`: registering the key is right, and harmless if there was an account after all: it is handed out
    then (§7.3). `over`: the account was ended, `status` being the authority's own word if it had one.
    `refusal` is what it said, if it did not simply say that there is no such account.
    """

    url: str | None = None
    unknown: bool = False
    over: bool = False
    status: str = ""
    refusal: Problem | None = None


class Registry:
    """Who has an account at one authority."""

    def __init__(self, authority: Authority, eab_hmac: str | None, door: AuthorityDoor) -> None:
        self._authority = authority
        self._door = door
        self._hmac = eab_hmac

    def existing(self, key: AccountKey) -> KeyFound:
        """Look a key's account up (§7.3.1); nothing is registered.

        The external account binding goes along, for some authorities want it in every newAccount; where that
        is refused it is asked without, for others accept each binding only once.
        """
        asked: dict[str, object] = {"onlyReturnExisting": True}
        ways = [SignKind.FIND_ACCOUNT_PLAIN]
        with contextlib.suppress(GiveUp):  # told when it is needed for registering
            if self._bound(key, asked, self._door.directory().new_account) != asked:
                ways.insert(0, SignKind.FIND_ACCOUNT)
        found = KeyFound()
        for way in ways:
            bound = way is SignKind.FIND_ACCOUNT
            said = self._door.say(way, self._words(key, asked, bound=bound), key)
            found = _read(said)
            if found.refusal is None or said.status >= 500 or said.status == 429:
                break
        return found

    def may_register(self) -> None:
        """Raises GiveUp if terms or credentials are missing, before a key is made for nothing."""
        name, directory = self._authority.name, self._door.directory()
        if directory.terms and not self._authority.agree_terms:
            raise GiveUp(
                f"the terms of service of {name} are not agreed to: {directory.terms}",
                kind="agreementRequired",
                hint=f"read them, then set agree_terms = true in [authority.{name}] or [defaults]",
            )
        if self._authority.eab is not None and self._hmac is None:
            secret = self._authority.eab.hmac
            where = f"{secret.source.value} {secret.argument[0]}"
            raise GiveUp(
                f"the HMAC key of {name}'s eab cannot be read: {where}",
                kind="externalAccountRequired",
                hint=f"put it there for the agent to read, or correct hmac in [authority.{name}]",
            )
        if directory.eab_required and self._authority.eab is None:
            where = f" (see {directory.website})" if directory.website else ""
            raise GiveUp(
                f"{name} registers accounts only with external account credentials",
                kind="externalAccountRequired",
                hint=f"get them from the authority{where} and set in [authority.{name}]: "
                'eab = { kid = "…", hmac = { file = "…" } }',
            )

    def register(self, key: AccountKey) -> tuple[str, bool]:
        """The URL of the key's account, and whether it was made now. Raises what the refusal means."""
        directory = self._door.directory()
        request: dict[str, object] = {"contact": contacts(self._authority)}
        if directory.terms or self._authority.agree_terms:
            request["termsOfServiceAgreed"] = True
        self._bound(
            key, request, directory.new_account
        )  # what is wrong with it is told before anything is sent
        said = self._door.say(SignKind.NEW_ACCOUNT, self._words(key, request, bound=True), key)
        if said.problem:
            raise self.refused(said.problem, "to register the account")
        url = said.location or self.existing(key).url
        if url is None:
            name = self._authority.name
            text = (
                f"{name} answered the registration (HTTP {said.status}) without saying where the account is"
            )
            raise RetryLater(text, kind="bad-reply")
        return url, said.status == 201

    def refused(self, problem: Problem, doing: str) -> RenewerError:
        """What a refusal means, with a hint that knows whether credentials are configured."""
        error = problems.error(problem, doing, self._authority.name)
        eab = self._authority.eab
        if eab is not None and error.kind in ("externalAccountRequired", "unauthorized"):
            error.hint = (
                f"check eab in [authority.{self._authority.name}]: kid '{words.text_of(eab.kid, 80)}' and "
                "the HMAC key must be as the authority gave them; some may be used only once"
            )
        return error

    def _words(self, key: AccountKey, request: dict[str, object], *, bound: bool) -> Callable[[str], bytes]:
        """What is said to a URL: the binding is good for that alone."""
        return lambda url: msgspec.json.encode(self._bound(key, request, url) if bound else request)

    def _bound(self, key: AccountKey, request: dict[str, object], url: str) -> dict[str, object]:
        """The request with the external account binding (§7.3.4), if there are credentials.

        Raises GiveUp if the HMAC key is none.
        """
        eab = self._authority.eab
        if eab is None or self._hmac is None:
            return request
        return {**request, "externalAccountBinding": key.binding(eab.kid, self._hmac, url)}


def contacts(authority: Authority) -> list[str]:
    """The contact as URLs (§7.3): what has no scheme is an address for mail."""
    return [text if ":" in text else f"mailto:{text}" for text in authority.contact]


def _read(said: AccountReply) -> KeyFound:
    problem = said.problem
    if problem is None:
        if said.location is None:
            text = f"the answer (HTTP {said.status}) does not say where the account is"
            return KeyFound(refusal=Problem(type="", detail=text, status=said.status))
        status = said.account.status if said.account else ""
        return KeyFound(url=said.location, over=status in _OVER, status=status)
    if problem.type in _ABSENT:
        return KeyFound(unknown=True)
    refused = problem.type == "unauthorized" or said.status in (401, 403)
    # §7.3.6: an account that was ended is refused with "unauthorized".
    vague = 400 <= said.status < 500 and said.status != 429 and problems.is_vague(problem.type)
    return KeyFound(
        unknown=vague and not refused, over=refused and problems.is_vague(problem.type), refusal=problem
    )
