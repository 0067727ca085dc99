"""An authority that can be bent: a real ACME server (RFC 8555, 9773) whose every answer a test can replace.

TLS, signatures, nonces, orders and certificates are real. It validates nothing unless told to: answering a
challenge makes it valid. It runs in threads of this process, on a port of its own:

    with Bendable(directory) as authority:
        authority.bend(Call.ORDER_POLL, stays("processing", retry_after="3600"), order=1)
        ...
        assert authority.count(Call.NEW_ORDER) == 2

What can go wrong on purpose is in `bends.py`. Settings are attributes that may be changed at any time.
"""

import http.server
import json
import secrets
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Self

from cryptography import x509

from tests.servers import jws
from tests.servers.bends import Answer, Bend, Call, document, refusal
from tests.servers.certificates import ServerRoot
from tests.servers.signing import Signer, pem

Clock = Callable[[], datetime]
Window = Callable[[x509.Certificate, datetime], tuple[datetime, datetime] | None]
Validate = Callable[[str, str, str, str], str | None]
"""Given name, challenge type, token and key authorization; what is wrong with the answer, None if nothing."""

BendableFactory = Callable[..., "Bendable"]
"""Makes started authorities; it takes the arguments of Bendable but for the directory."""

_TLS_FOR = timedelta(days=3650)


class RefusedError(Exception):
    """The usual answer is a refusal."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self.answer = answer


@dataclass
class AccountFact:
    """A registered account."""

    number: int
    jwk: jws.Jwk
    contact: list[str]
    status: str = "valid"
    kid: str | None = None
    """Of its external account binding."""


@dataclass
class AuthorizationFact:
    """An authorization; one challenge of each type that is offered."""

    number: int
    name: str
    wildcard: bool
    order: "OrderFact"
    """The order that it was made for."""
    tokens: dict[str, str]
    expires: datetime
    status: str = "pending"
    answered: str = ""
    error: dict[str, Any] | None = None


@dataclass
class OrderFact:
    """An accepted order; `number` counts from 1. Tests may change it under the agent's hands."""

    number: int
    account: AccountFact
    names: tuple[str, ...]
    profile: str | None
    replaces: str | None
    at: datetime
    expires: datetime
    url: str
    authorizations: list[AuthorizationFact] = field(default_factory=list)
    status: str = "pending"
    csr: x509.CertificateSigningRequest | None = None
    polls: int = 0
    """Looks since the CSR came."""
    certificate: str | None = None
    """URL of its certificate."""
    error: dict[str, Any] | None = None
    asked: int = 1
    """How often newOrder was answered with it."""
    base: str = ""

    def document(self) -> dict[str, Any]:
        """The order as RFC 8555, section 7.1.3, has it."""
        whole = {
            "status": self.status,
            "expires": _time(self.expires),
            "identifiers": [{"type": "dns", "value": name} for name in self.names],
            "profile": self.profile,
            "replaces": self.replaces,
            "authorizations": [f"{self.base}/authz/{one.number}" for one in self.authorizations],
            "finalize": f"{self.base}/finalize/{self.number}",
            "certificate": self.certificate if self.status == "valid" else None,
            "error": self.error,
        }
        return {name: value for name, value in whole.items() if value is not None}


@dataclass(frozen=True)
class Issued:
    """A certificate that was signed."""

    order: OrderFact
    certificate: x509.Certificate
    at: datetime

    @property
    def serial(self) -> str:
        """In lower-case hex."""
        return f"{self.certificate.serial_number:x}"

    @property
    def not_after(self) -> datetime:
        """The end of it."""
        return self.certificate.not_valid_after_utc

    @property
    def names(self) -> frozenset[str]:
        """Its DNS names."""
        san = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return frozenset(san.get_values_for_type(x509.DNSName))

    @property
    def ari_id(self) -> str:
        """RFC 9773, section 4.1."""
        key = self.certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        number = self.certificate.serial_number
        serial = number.to_bytes(number.bit_length() // 8 + 1, "big")
        return f"{jws.encoded(key.key_identifier or b'')}.{jws.encoded(serial)}"


@dataclass
class Seen:
    """A request that came, with what it is about; what bends are given, and what tests count."""

    authority: "Bendable"
    call: Call
    method: str
    path: str
    at: datetime
    order: OrderFact | None = None
    account: str | None = None
    """The `kid` that signed it."""
    payload: Any = None
    protected: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    bent: bool = False
    answer: Answer | None = None

    def usual(self) -> Answer:
        """Do what was asked, and the answer to it. Done once, however often it is called."""
        if self.answer is None:
            self.answer = self.authority.act(self)
        return self.answer


@dataclass
class _Rule:
    calls: Collection[Call]
    bend: Bend
    order: int | None
    skip: int
    times: int | None
    when: Callable[[Seen], bool] | None

    def takes(self, seen: Seen) -> bool:
        if self.calls and seen.call not in self.calls:
            return False
        if self.order is not None and (seen.order is None or seen.order.number != self.order):
            return False
        if self.when is not None and not self.when(seen):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class Bendable:
    """The authority. Times are those of `clock`, also in certificates, Date and Retry-After."""

    def __init__(self, workdir: Path, *, clock: Clock | None = None, signer: Signer | None = None) -> None:
        """Prepare one; `start` starts it. `workdir` gets its `ca_bundle` and `roots`."""
        self.clock: Clock = clock or (lambda: datetime.now(UTC))
        self.signer = signer or Signer()
        self.workdir = workdir
        self.port = 0
        # settings
        self.profiles: dict[str, timedelta] = {"default": timedelta(days=90), "short": timedelta(days=6)}
        self.order_life = timedelta(days=7)
        self.signing = 1  # looks for which an order is `processing`; 0: finalize answers with the certificate
        self.types: tuple[str, ...] = ("http-01", "dns-01", "tls-alpn-01")
        self.validate: Validate = lambda *_: None
        self.refused: set[str] = set()  # names that do not validate
        self.reuse_orders = True  # as Boulder: a pending or ready order for the same names is handed back
        self.reuse_authorizations = False  # as Boulder: names proven before need no new proof
        self.replaces_once = True  # as Boulder: 409 while an order that replaces it lives
        self.eab: dict[str, str] | None = None  # kid → HMAC key in base64url: then newAccount needs a binding
        self.eab_when_looking = True  # also with onlyReturnExisting
        self.order_limit: tuple[int, timedelta] | None = None  # 429 beyond so many accepted in so long
        self.window: Window | None = last_third  # None: no renewal information at all
        self.window_again = timedelta(hours=6)
        self.lists_orders = False
        # facts
        self.accounts: list[AccountFact] = []
        self.orders: list[OrderFact] = []
        self.issued: list[Issued] = []
        self.revoked: list[str] = []
        self.seen: list[Seen] = []
        self.registered = 0  # newAccounts that made one, those forgotten since among them
        self._authorizations: dict[int, AuthorizationFact] = {}
        self._rules: list[_Rule] = []
        self._nonces: set[str] = set()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    # --- where it is ------------------------------------------------------------------------------------

    @property
    def base(self) -> str:
        """What all its URLs begin with."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def directory(self) -> str:
        """The URL for `directory` in a config."""
        return f"{self.base}/dir"

    @property
    def ca_bundle(self) -> Path:
        """The root of its own TLS."""
        return self.workdir / "bendable-tls.pem"

    def roots(self, number: int = 0) -> Path:
        """PEM of the root of what it issues; 1 and more are those of the alternate chains."""
        path = self.workdir / f"bendable-root-{number}.pem"
        path.write_bytes(pem(self.signer.roots[number]))
        return path

    # --- what tests do ----------------------------------------------------------------------------------

    def bend(
        self,
        call: Call | Collection[Call],
        bend: Bend,
        *,
        order: int | None = None,
        skip: int = 0,
        times: int | None = None,
        when: Callable[[Seen], bool] | None = None,
    ) -> None:
        """Let matching requests be answered by `bend`: after the first `skip`, `times` of them (None: all).

        `order` is the number of the order that they are about (newOrder is about none yet: use `skip`); no
        calls at all are all calls. Earlier bends come first; one that is used up lets the next ones speak.
        """
        calls = (call,) if isinstance(call, Call) else tuple(call)
        with self._lock:
            self._rules.append(_Rule(calls, bend, order, skip, times, when))

    def mend(self) -> None:
        """Forget all bends."""
        with self._lock:
            self._rules.clear()

    def forget_accounts(self) -> None:
        """Know nobody any more."""
        with self._lock:
            self.accounts.clear()

    def count(self, call: Call, order: int | None = None) -> int:
        """How many such requests came (about that order)."""
        return len(self.requests(call, order))

    def requests(self, call: Call, order: int | None = None) -> list[Seen]:
        """Such requests (about that order), oldest first."""
        with self._lock:
            return [
                seen
                for seen in self.seen
                if seen.call is call and (order is None or (seen.order and seen.order.number == order))
            ]

    # --- a life -----------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen; returns when connections are accepted. After `stop` it comes back at the same port."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        if not self.ca_bundle.exists():
            self._certify(None, _TLS_FOR)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf = self.workdir / "bendable-tls-leaf.pem"
        context.load_cert_chain(leaf, leaf.with_suffix(".key"))
        self._over.clear()
        self._server = _Server(self, context)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def retime(self, start: datetime, span: timedelta) -> None:
        """Come back with a certificate for its own TLS that is valid from then, for so long."""
        self.stop()
        self._certify(start, span)
        self.start()

    def _certify(self, start: datetime | None, span: timedelta) -> None:
        root = ServerRoot("bendable authority")
        root.write(self.ca_bundle)
        names, stem = ("localhost", "127.0.0.1"), "bendable-tls-leaf"
        root.issue(self.workdir, *names, stem=stem, valid_for=span, not_before=start)

    def stop(self) -> None:
        """Stop listening and end every connection; hanging requests end."""
        self._over.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.drop_connections()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- for the handler --------------------------------------------------------------------------------

    def answered(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Note a request, and answer it: bent, or as usual."""
        with self._lock:
            seen = self._read(method, path, headers, body)
            self.seen.append(seen)
            rule = next((rule for rule in self._rules if rule.takes(seen)), None)
        seen.bent = rule is not None
        answer = rule.bend(seen) if rule else seen.usual()
        seen.status = answer.status
        if answer.pause:
            self._over.wait(answer.pause)
        if not answer.nonce or seen.call in (Call.DIRECTORY, Call.RENEWAL_INFO):
            return answer
        if not any(name.lower() == "replay-nonce" for name in answer.headers):
            nonce = secrets.token_urlsafe(16)
            with self._lock:
                self._nonces.add(nonce)
            answer = answer.with_headers(replay_nonce=nonce)
        return answer

    def act(self, seen: Seen) -> Answer:
        """What an authority does that is well."""
        with self._lock:
            try:
                return _ACTS[seen.call](self, seen)
            except RefusedError as refused:
                return refused.answer
            except jws.BadSignatureError as error:
                return refusal("malformed", 400, str(error))

    def _read(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Seen:
        seen = Seen(self, Call.UNKNOWN, method, path, self.clock(), body=body, headers=dict(headers))
        with suppress(jws.BadSignatureError, ValueError):
            seen.protected, payload = jws.opened(json.loads(body))
            seen.account = seen.protected.get("kid")
            seen.payload = json.loads(payload) if payload else None
        seen.call, seen.order = self._meaning(path, seen)
        return seen

    def _meaning(self, path: str, seen: Seen) -> tuple[Call, OrderFact | None]:
        kind, *rest = path.strip("/").split("/")
        number = int(rest[0]) if rest and rest[0].isdigit() else 0
        order = next((one for one in self.orders if one.number == number), None)
        authorization = self._authorizations.get(number)
        proven = authorization.order if authorization else None
        meanings = {
            "account": (Call.ACCOUNT, None),
            "ari": (Call.RENEWAL_INFO, None),
            "order": (Call.ORDER_POLL if order and order.csr else Call.ORDER, order),
            "finalize": (Call.FINALIZE, order),
            "cert": (Call.ALTERNATE if len(rest) > 1 else Call.CERTIFICATE, order),
            "authz": (Call.DEACTIVATE if seen.payload else Call.AUTHORIZATION, proven),
            "chall": (Call.CHALLENGE, proven),
        }
        return meanings.get(kind, (_SINGLE.get(path, Call.UNKNOWN), None))

    # --- what it does -----------------------------------------------------------------------------------

    def _directory(self, _: Seen) -> Answer:
        meta = {
            "termsOfService": f"{self.base}/terms",
            "externalAccountRequired": self.eab is not None,
            "profiles": {name: f"{life.days} days" for name, life in self.profiles.items()},
        }
        urls = {
            name: self.base + path
            for path, call in _SINGLE.items()
            if (name := _IN_DIRECTORY.get(call)) is not None
        }
        if self.window is not None:
            urls["renewalInfo"] = f"{self.base}/ari"
        return document({**urls, "meta": meta})

    def _nonce(self, seen: Seen) -> Answer:
        return Answer(200 if seen.method == "HEAD" else 204, headers={"Cache-Control": "no-store"})

    def _new_account(self, seen: Seen) -> Answer:
        jwk: Any = seen.protected.get("jwk")
        self._verified(seen, jwk)
        payload = seen.payload or {}
        looking = payload.get("onlyReturnExisting") is True
        kid = None
        if self.eab is not None and (self.eab_when_looking or not looking):
            kid = self._bound(payload.get("externalAccountBinding"), jwk)
        found = self._account_of(jwk)
        if found is None:
            if looking:
                raise RefusedError(refusal("accountDoesNotExist", 400, "no such account"))
            if payload.get("termsOfServiceAgreed") is not True:
                raise RefusedError(refusal("userActionRequired", 403, "agree to the terms"))
            self.registered += 1
            found = AccountFact(self.registered, dict(jwk), payload.get("contact", []), kid=kid)
            self.accounts.append(found)
            return self._account_shown(found, 201)
        return self._account_shown(found, 200)

    def _bound(self, binding: Any, jwk: jws.Jwk) -> str:
        if binding is None:
            raise RefusedError(refusal("externalAccountRequired", 403, "a binding is needed"))
        kid = jws.opened(binding)[0].get("kid")
        secret = (self.eab or {}).get(str(kid))
        if secret is None:
            raise RefusedError(refusal("unauthorized", 403, f"unknown kid '{kid}'"))
        try:
            jws.verify_binding(binding, jws.decoded(secret), jwk)
        except jws.BadSignatureError as error:
            raise RefusedError(refusal("unauthorized", 403, str(error))) from error
        return str(kid)

    def _account_of(self, jwk: jws.Jwk) -> AccountFact | None:
        wanted = jws.thumbprint(jwk)
        return next((one for one in self.accounts if jws.thumbprint(one.jwk) == wanted), None)

    def _account_shown(self, account: AccountFact, status: int) -> Answer:
        shown: dict[str, Any] = {"status": account.status, "contact": account.contact}
        if self.lists_orders:
            shown["orders"] = f"{self.base}/orders"
        return document(shown, status, location=f"{self.base}/account/{account.number}")

    def _verified(self, seen: Seen, jwk: Any) -> None:
        """Nonce, URL and signature (RFC 8555, section 6)."""
        nonce, url = seen.protected.get("nonce"), seen.protected.get("url")
        if nonce not in self._nonces:
            raise RefusedError(refusal("badNonce", 400, "unknown nonce"))
        self._nonces.discard(nonce)
        if url != self.base + seen.path:
            raise RefusedError(refusal("unauthorized", 400, f"signed for {url}"))
        if not isinstance(jwk, dict):
            raise RefusedError(refusal("malformed", 400, "no key"))
        jws.verify(json.loads(seen.body), jwk)

    def _signer_of(self, seen: Seen) -> AccountFact:
        """The account that signed a request."""
        known = {f"{self.base}/account/{one.number}": one for one in self.accounts}
        account = known.get(str(seen.account))
        if account is None:
            raise RefusedError(refusal("accountDoesNotExist", 400, "no such account"))
        self._verified(seen, account.jwk)
        if account.status != "valid":
            raise RefusedError(refusal("unauthorized", 403, f"the account is {account.status}"))
        return account

    def _account(self, seen: Seen) -> Answer:
        account = self._signer_of(seen)
        changes = seen.payload or {}
        account.contact = changes.get("contact", account.contact)
        account.status = changes.get("status", account.status)
        return self._account_shown(account, 200)

    def _orders(self, seen: Seen) -> Answer:
        account = self._signer_of(seen)
        return document({"orders": [order.url for order in self.orders if order.account is account]})

    def _key_change(self, seen: Seen) -> Answer:
        account = self._signer_of(seen)
        protected, payload = jws.opened(seen.payload)
        jws.verify(seen.payload, protected["jwk"])
        said = json.loads(payload)
        if jws.thumbprint(said["oldKey"]) != jws.thumbprint(account.jwk):
            raise RefusedError(refusal("malformed", 400, "another old key"))
        if self._account_of(protected["jwk"]) is not None:
            raise RefusedError(refusal("malformed", 409, "the key belongs to another account"))
        account.jwk = dict(protected["jwk"])
        return self._account_shown(account, 200)

    def _new_order(self, seen: Seen) -> Answer:
        account, payload, now = self._signer_of(seen), seen.payload or {}, self.clock()
        names = tuple(str(item["value"]).lower() for item in payload["identifiers"])
        profile, replaces = payload.get("profile"), payload.get("replaces")
        if profile is not None and profile not in self.profiles:
            raise RefusedError(refusal("invalidProfile", 400, f"no profile {profile}"))
        self._expire()
        alive = [order for order in self.orders if order.status != "invalid"]
        if self.replaces_once and replaces and any(order.replaces == replaces for order in alive):
            raise RefusedError(refusal("alreadyReplaced", 409, "it is being replaced already"))
        for order in alive if self.reuse_orders else ():
            same = order.account is account and set(order.names) == set(names) and order.profile == profile
            if same and order.status in ("pending", "ready"):
                order.asked += 1
                seen.order = order
                return document(order.document(), 201, location=order.url)
        self._limited(now)
        number = len(self.orders) + 1
        url, until = f"{self.base}/order/{number}", now + self.order_life
        order = OrderFact(number, account, names, profile, replaces, now, until, url, base=self.base)
        order.authorizations = [self._authorization_for(order, name) for name in names]
        self.orders.append(order)
        self._advance(order)
        seen.order = order
        return document(order.document(), 201, location=order.url)

    def _limited(self, now: datetime) -> None:
        if self.order_limit is None:
            return
        most, span = self.order_limit
        recent = [order.at for order in self.orders if now - order.at < span]
        if len(recent) >= most:
            wait = max(1, int((min(recent) + span - now).total_seconds()))
            limited = refusal("rateLimited", 429, "too many new orders")
            raise RefusedError(limited.with_headers(retry_after=str(wait)))

    def _authorization_for(self, order: OrderFact, name: str) -> AuthorizationFact:
        wildcard, bare = name.startswith("*."), name.removeprefix("*.")
        if self.reuse_authorizations:
            for old in self._authorizations.values():
                same = (old.name, old.wildcard) == (bare, wildcard) and old.order.account is order.account
                if same and old.status == "valid" and old.expires > order.at:
                    return old
        tokens = {kind: secrets.token_urlsafe(24) for kind in self.types}
        number = len(self._authorizations) + 1
        made = AuthorizationFact(number, bare, wildcard, order, tokens, order.expires)
        self._authorizations[number] = made
        return made

    def _expire(self) -> None:
        for order in self.orders:
            if order.expires <= self.clock() and order.status in ("pending", "ready", "processing"):
                order.status = "invalid"
                order.error = {"type": "urn:ietf:params:acme:error:malformed", "detail": "expired"}

    def _advance(self, order: OrderFact) -> None:
        """What follows from the authorizations (RFC 8555, section 7.1.6)."""
        if order.status not in ("pending", "ready"):
            return
        states = {one.status for one in order.authorizations}
        if states - {"pending", "valid"}:
            order.status = "invalid"
            order.error = next((one.error for one in order.authorizations if one.error), None)
        elif states == {"valid"}:
            order.status = "ready"

    def _of_order(self, seen: Seen) -> OrderFact:
        account = self._signer_of(seen)
        if seen.order is None or seen.order.account is not account:
            raise RefusedError(refusal("malformed", 404, "no such object"))
        self._expire()
        return seen.order

    def _order(self, seen: Seen) -> Answer:
        order = self._of_order(seen)
        if order.status == "processing":
            order.polls += 1
            if order.polls >= self.signing:
                self._issue(order)
        return document(order.document())

    def _authorization_of(self, seen: Seen) -> AuthorizationFact:
        self._of_order(seen)
        return self._authorizations[int(seen.path.split("/")[2])]

    def _authorization(self, seen: Seen) -> Answer:
        return document(self._authorization_shown(self._authorization_of(seen)))

    def _authorization_shown(self, one: AuthorizationFact) -> dict[str, Any]:
        shown = {
            "identifier": {"type": "dns", "value": one.name},
            "status": one.status,
            "expires": _time(one.expires),
            "challenges": [self._challenge_shown(one, kind) for kind in one.tokens],
        }
        return {**shown, "wildcard": True} if one.wildcard else shown

    def _challenge_shown(self, one: AuthorizationFact, kind: str) -> dict[str, Any]:
        mine = one.answered == kind
        status = one.status if mine and one.status in ("valid", "invalid") else "pending"
        shown = {
            "type": kind,
            "url": f"{self.base}/chall/{one.number}/{kind}",
            "status": status,
            "token": one.tokens[kind],
        }
        return {**shown, "error": one.error} if mine and one.error else shown

    def _deactivate(self, seen: Seen) -> Answer:
        one = self._authorization_of(seen)
        if seen.payload.get("status") == "deactivated":
            if one.status not in ("pending", "valid"):
                raise RefusedError(refusal("malformed", 400, f"it is {one.status}"))
            one.status = "deactivated"
            for order in self.orders:
                if one in order.authorizations:
                    self._advance(order)
        return document(self._authorization_shown(one))

    def _challenge(self, seen: Seen) -> Answer:
        one, kind = self._authorization_of(seen), seen.path.split("/")[3]
        if one.status == "pending":
            wrong = "refused by the test" if one.name in self.refused else None
            authorization = f"{one.tokens[kind]}.{jws.thumbprint(one.order.account.jwk)}"
            wrong = wrong or self.validate(one.name, kind, one.tokens[kind], authorization)
            one.answered, one.status = kind, "invalid" if wrong else "valid"
            if wrong:
                one.error = {
                    "type": "urn:ietf:params:acme:error:unauthorized",
                    "detail": wrong,
                    "status": 403,
                }
            for order in self.orders:
                if one in order.authorizations:
                    self._advance(order)
        return document(self._challenge_shown(one, kind))

    def _finalize(self, seen: Seen) -> Answer:
        order = self._of_order(seen)
        if order.status in ("pending", "invalid"):
            raise RefusedError(refusal("orderNotReady", 403, f"the order is {order.status}"))
        if order.status == "ready":
            csr = x509.load_der_x509_csr(jws.decoded(seen.payload["csr"]))
            san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            if set(san.get_values_for_type(x509.DNSName)) != set(order.names):
                raise RefusedError(refusal("badCSR", 400, "other names than those of the order"))
            order.csr, order.status = csr, "processing"
            if self.signing <= 0:
                self._issue(order)
        return document(order.document(), location=order.url)

    def _issue(self, order: OrderFact) -> None:
        assert order.csr is not None
        life = self.profiles.get(order.profile or "", next(iter(self.profiles.values())))
        made = self.signer.sign(order.csr, self.clock(), life)
        self.issued.append(Issued(order, made, self.clock()))
        order.status, order.certificate = "valid", f"{self.base}/cert/{order.number}"

    def issue(self, order: OrderFact) -> None:
        """Sign the certificate of an order whose CSR came, as an operator who approves it by hand."""
        with self._lock:
            self._issue(order)

    def _certificate(self, seen: Seen) -> Answer:
        order = self._of_order(seen)
        root = int(seen.path.split("/")[3]) if seen.call is Call.ALTERNATE else 0
        leaf = next(one.certificate for one in self.issued if one.order is order)
        others = [number for number in range(len(self.signer.roots)) if number != root]
        places = [
            f"/cert/{order.number}/{number}" if number else f"/cert/{order.number}" for number in others
        ]
        link = ", ".join(f'<{self.base}{place}>;rel="alternate"' for place in places)
        answer = Answer(
            200, self.signer.chain(leaf, root), {"Content-Type": "application/pem-certificate-chain"}
        )
        return answer.with_headers(link=link) if link else answer

    def _renewal_info(self, seen: Seen) -> Answer:
        wanted = seen.path.rpartition("/")[2]
        found = next((one for one in self.issued if one.ari_id == wanted), None)
        window = self.window(found.certificate, self.clock()) if found and self.window else None
        if window is None:
            raise RefusedError(refusal("malformed", 404, "unknown certificate"))
        suggested = {"start": _time(window[0]), "end": _time(window[1])}
        wait = str(int(self.window_again.total_seconds()))
        return document({"suggestedWindow": suggested}, retry_after=wait)

    def _revoke(self, seen: Seen) -> Answer:
        if seen.account:
            self._signer_of(seen)
        else:
            self._verified(seen, seen.protected.get("jwk"))
        der = jws.decoded(seen.payload["certificate"])
        serial = f"{x509.load_der_x509_certificate(der).serial_number:x}"
        if serial in self.revoked:
            raise RefusedError(refusal("alreadyRevoked", 400, "revoked before"))
        self.revoked.append(serial)
        return Answer(200)

    def _unknown(self, _: Seen) -> Answer:
        return refusal("malformed", 404, "there is nothing here")


_SINGLE = {
    "/dir": Call.DIRECTORY,
    "/nonce": Call.NONCE,
    "/new-account": Call.NEW_ACCOUNT,
    "/new-order": Call.NEW_ORDER,
    "/revoke": Call.REVOKE,
    "/key-change": Call.KEY_CHANGE,
    "/orders": Call.ORDERS,
}
_IN_DIRECTORY = {
    Call.NONCE: "newNonce",
    Call.NEW_ACCOUNT: "newAccount",
    Call.NEW_ORDER: "newOrder",
    Call.REVOKE: "revokeCert",
    Call.KEY_CHANGE: "keyChange",
}
_ACTS: dict[Call, Callable[[Bendable, Seen], Answer]] = {
    Call.DIRECTORY: Bendable._directory,
    Call.NONCE: Bendable._nonce,
    Call.NEW_ACCOUNT: Bendable._new_account,
    Call.ACCOUNT: Bendable._account,
    Call.ORDERS: Bendable._orders,
    Call.KEY_CHANGE: Bendable._key_change,
    Call.NEW_ORDER: Bendable._new_order,
    Call.ORDER: Bendable._order,
    Call.ORDER_POLL: Bendable._order,
    Call.AUTHORIZATION: Bendable._authorization,
    Call.DEACTIVATE: Bendable._deactivate,
    Call.CHALLENGE: Bendable._challenge,
    Call.FINALIZE: Bendable._finalize,
    Call.CERTIFICATE: Bendable._certificate,
    Call.ALTERNATE: Bendable._certificate,
    Call.RENEWAL_INFO: Bendable._renewal_info,
    Call.REVOKE: Bendable._revoke,
    Call.UNKNOWN: Bendable._unknown,
}


def last_third(leaf: x509.Certificate, _: datetime) -> tuple[datetime, datetime]:
    """The window that authorities suggest when nothing is the matter."""
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    start = leaf.not_valid_after_utc - life / 3
    return start, start + life / 45


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


# --- HTTP -------------------------------------------------------------------------------------------------


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, authority: Bendable, context: ssl.SSLContext) -> None:
        self.authority = authority
        self.context = context
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", authority.port), _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer would ask DNS for this host's name
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        for connection in tuple(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none of ours; a defect of this file must be seen."""
        import sys

        if not isinstance(sys.exception(), OSError | ValueError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write for head and body
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.server.connections.discard(self.request)
        self.request.settimeout(60)
        self.request.getpeername()  # who is gone already: `wrap_socket` would leave a socket open
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.server.connections.add(self.request)
        super().setup()

    def finish(self) -> None:
        try:
            super().finish()  # which sends what is left in the buffer, perhaps to somebody who is gone
        finally:
            self.server.connections.discard(self.request)
            with suppress(OSError):
                self.request.shutdown(socket.SHUT_RDWR)
            self.request.close()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.authority.answered(self.command, self.path, headers, body)
        self.close_connection |= answer.lost or answer.cut is not None
        if answer.lost:
            return
        self.send_response_only(answer.status)
        given = {name.title(): value for name, value in answer.headers.items()}
        date = format_datetime(self.server.authority.clock().astimezone(UTC), usegmt=True)
        date = date if answer.date is None else answer.date
        if date:
            given.setdefault("Date", date)
        for name, value in given.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.cut])
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = _serve  # noqa: N815  http.server's names

    def log_message(self, *_: object) -> None:
        pass
