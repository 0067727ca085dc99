"""newAccount at one authority (RFC 8555 §7.3): is there an account for a key, may one be made, make it."""

import contextlib
from collections.abc import Callable
from typing import Any

from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Authority
from renewer.model.value import Value
from renewer.network.acme import problems
from renewer.network.acme.account_key import AccountKey
from renewer.network.acme.reply import Reply, join
from renewer.network.acme.resources import Directory, Problem

Post = Callable[..., Reply]
"""post(url, payload, kid=…): a signed request whatever it answers; kid None signs with the key itself."""

_OVER = ("deactivated", "revoked")  # RFC 8555 §7.1.6: there is no way back from these
_ABSENT = ("accountDoesNotExist", "externalAccountRequired")


class Found(Value):
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

    def __init__(self, authority: Authority, eab_hmac: str | None) -> None:
        self._authority = authority
        self._hmac = eab_hmac

    def existing(self, key: AccountKey, directory: Directory, post: Post) -> Found:
        """Look a key's account up (§7.3.1); nothing is registered.

        The external account binding goes along, for some authorities want it in every newAccount; where that
        is refused it is asked without, for others accept each binding only once.
        """
        asked: dict[str, Any] = {"onlyReturnExisting": True}
        binding = None
        with contextlib.suppress(GiveUp):  # told when it is needed for registering
            binding = self._binding(key, directory)
        found = Found()
        for more in ({"externalAccountBinding": binding}, {}) if binding else ({},):
            reply = post(directory.new_account, asked | more, kid=None)
            found = _read(reply)
            if found.refusal is None or reply.status >= 500 or reply.status == 429:
                break
        return found

    def may_register(self, directory: Directory) -> None:
        """Raises GiveUp if terms or credentials are missing, before a key is made for nothing."""
        name = self._authority.name
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

    def register(self, key: AccountKey, directory: Directory, post: Post) -> tuple[str, bool]:
        """The URL of the key's account, and whether it was made now. Raises what the refusal means."""
        request: dict[str, Any] = {"contact": contacts(self._authority)}
        if directory.terms or self._authority.agree_terms:
            request["termsOfServiceAgreed"] = True
        binding = self._binding(key, directory)
        if binding is not None:
            request["externalAccountBinding"] = binding
        reply = post(directory.new_account, request, kid=None)
        if not reply.ok:
            raise self.refused(reply.problem(), "to register the account")
        url = _location(reply) or self.existing(key, directory, post).url
        if url is None:
            name = self._authority.name
            text = (
                f"{name} answered the registration (HTTP {reply.status}) without saying where the account is"
            )
            raise RetryLater(text, kind="bad-reply")
        return url, reply.status == 201

    def refused(self, problem: Problem, doing: str) -> RenewerError:
        """What a refusal means, with a hint that knows whether credentials are configured."""
        error = problems.error(problem, doing, self._authority.name)
        eab = self._authority.eab
        if eab is not None and error.kind in ("externalAccountRequired", "unauthorized"):
            error.hint = (
                f"check eab in [authority.{self._authority.name}]: kid '{problems.clean(eab.kid, 80)}' and "
                "the HMAC key must be as the authority gave them; some may be used only once"
            )
        return error

    def _binding(self, key: AccountKey, directory: Directory) -> dict[str, Any] | None:
        """The external account binding (§7.3.4). Raises GiveUp if the HMAC key is none."""
        eab = self._authority.eab
        if eab is None or self._hmac is None:
            return None
        return key.binding(eab.kid, self._hmac, directory.new_account)


def contacts(authority: Authority) -> list[str]:
    """The contact as URLs (§7.3): what has no scheme is an address for mail."""
    return [text if ":" in text else f"mailto:{text}" for text in authority.contact]


def _read(reply: Reply) -> Found:
    if reply.ok:
        url = _location(reply)
        if url is None:
            text = f"the answer (HTTP {reply.status}) does not say where the account is"
            return Found(refusal=Problem(type="", detail=text, status=reply.status))
        with contextlib.suppress(RenewerError):  # the Location says what matters
            status = problems.clean(reply.json().get("status"), 40)
            return Found(url=url, over=status in _OVER, status=status)
        return Found(url=url)
    problem = reply.problem()
    if problem.type in _ABSENT:
        return Found(unknown=True)
    refused = problem.type == "unauthorized" or reply.status in (401, 403)
    # §7.3.6: an account that was ended is refused with "unauthorized".
    vague = 400 <= reply.status < 500 and reply.status != 429 and problems.is_vague(problem.type)
    return Found(
        unknown=vague and not refused, over=refused and problems.is_vague(problem.type), refusal=problem
    )


def _location(reply: Reply) -> str | None:
    given = reply.headers.get("Location")
    return (join(reply.url, given) or None) if given else None
