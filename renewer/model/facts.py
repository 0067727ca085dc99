"""What is: facts read from the disk, the ledger, the authority and the ports. Times are aware UTC.

Records are facts that the ledger keeps; each says by `certificate` and `key` what it is about, and
saving one replaces the one with the same certificate and key.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from renewer.model.desired import Certificate, KeyFamily, KeyType
from renewer.model.names import Identifier
from renewer.model.value import Value


class Leaf(Value):
    """What a leaf certificate says of itself. `serial` and `fingerprint` (SHA-256) are lower-case hex."""

    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    names: tuple[Identifier, ...]
    key: KeyType | None
    issuer: str
    ari_id: str | None = None

    @property
    def lifetime(self) -> timedelta:
        """From notBefore to notAfter."""
        return self.not_after - self.not_before


class Version(Value):
    """A complete issued certificate with its key, as it lies on disk.

    `degraded` is one that was issued without some of the names of its wish, because those did not validate.
    `authority`, `directory` (its URL then), `account` and `profile` are None when nobody remembers where it
    came from. `csr` is set if it was issued for a request of the operator's, whose key is elsewhere: what
    tells that key (SHA-256 of the SPKI, in hex).
    """

    id: str
    made_at: datetime
    leaf: Leaf
    placeholder: bool = False
    degraded: bool = False
    authority: str | None = None
    directory: str | None = None
    account: str | None = None
    profile: str | None = None
    csr: str | None = None


class Record(Value):
    """What the ledger keeps; `kind` names the sort of record on disk."""

    kind: ClassVar[str]
    certificate: str

    @property
    def key(self) -> str:
        """What tells records of one kind and certificate apart."""
        return ""


class VersionFacts(Record):
    """A version's facts, remembered as long as its files are the same (`stamp`: inode, size, mtime in ns)."""

    kind: ClassVar[str] = "version"
    version: Version
    stamp: tuple[int, ...]

    @property
    def key(self) -> str:
        """One record a version."""
        return self.version.id


class Acceptance(Record):
    """Whether clients accept a version, as its chain and these `roots` were when it was judged.

    `accepted` is None if it could not be judged; `why` says so, or why they refuse. `places` are the files
    that the roots were read from, `stamp` what they were then (inode, size, mtime in ns of each). It holds as
    long as they are the same, and until `until`.
    """

    kind: ClassVar[str] = "acceptance"
    version: str
    roots: str
    at: datetime
    accepted: bool | None = None
    why: str = ""
    hint: str = ""
    places: tuple[str, ...] = ()
    stamp: tuple[int, ...] = ()
    until: datetime | None = None

    @property
    def key(self) -> str:
        """One record a version."""
        return self.version


class OrderState(StrEnum):
    """How far we know an order to be."""

    INTENT = "intent"  # key and wish are on disk, newOrder may or may not have left
    OPEN = "open"  # the authority gave it a URL
    ISSUED = "issued"  # the chain is on disk beside its key
    ABANDONED = "abandoned"  # will never be finished; kept until its pending files are gone


class Order(Record):
    """An order from the intent on; one open order a certificate (RFC 8555 §7.1.3).

    `tries` counts runs in a row that tried it and got nowhere; `progress_at` is when it last came further
    (None: never since `at`), `reached` how far (a status) and `proven` with how many names. `sent` is whether
    the CSR may have been accepted. `deferred` is more than 0 if the authority said, while processing, when to
    ask again, for somebody may be approving it by hand: so many tries without such an answer are still borne.
    `finalize` and `authorizations` are its URLs, for answers that leave them out. `former` is the URL of the
    order that was let go before it: authorities hand such a one back. `csr` is as of a version.
    """

    kind: ClassVar[str] = "order"
    pending: str
    state: OrderState
    authority: str
    directory: str
    identifiers: tuple[Identifier, ...]
    key_type: KeyType
    profile: str | None
    at: datetime
    account: str | None = None
    url: str | None = None
    expires: datetime | None = None
    replaces: str | None = None
    degraded: bool = False
    tries: int = 0
    progress_at: datetime | None = None
    reached: str = ""
    proven: int = 0
    sent: bool = False
    deferred: int = 0
    finalize: str | None = None
    authorizations: tuple[str, ...] = ()
    former: str | None = None
    csr: str | None = None


class Parked(Record):
    """An order that others are made in the place of, though it may still become a certificate.

    Its CSR was sent. Key and URL are kept until `until`, and it is looked at before each new order.
    """

    kind: ClassVar[str] = "parked"
    order: Order
    at: datetime
    until: datetime

    @property
    def key(self) -> str:
        """One record an order."""
        return self.order.pending


class Purse(StrEnum):
    """Who pays for an order: the timer's budget, that of a person who asked for it, or nobody (`--force`)."""

    TIMER = "timer"
    PERSON = "person"
    FORCE = "force"


class Accepted(Value):
    """A newOrder that an authority accepted, or that was about to be sent and counts until that is known.

    `order_at` is the order's moment, and that of the version it became. `at` has what our clock showed when
    it was sent, and later if that was wrong. `renewal` is whether a good certificate was due again, `wasted`
    whether something was issued that came to nothing, `reserve` the version in whose last two wakes it was
    sent beyond the budget.
    """

    order_at: datetime
    at: tuple[datetime, ...]
    url: str = ""
    purse: Purse = Purse.TIMER
    renewal: bool = False
    wasted: bool = False
    reserve: str = ""


class Ordered(Record):
    """The orders of a certificate that an authority accepted of late, oldest first: what a budget knows."""

    kind: ClassVar[str] = "ordered"
    authority: str
    directory: str
    orders: tuple[Accepted, ...] = ()

    @property
    def key(self) -> str:
        """One record a directory: an authority may be called otherwise and counts the same."""
        return self.directory


class Failure(Record):
    """Consecutive failures to get a certificate from an authority; `wish` is the wish's fingerprint.

    `identifiers` are the names that failed, each with what the authority saw; `named` is whether the last
    error named them itself, or they are known from one before. `tried` has, for names that failed, the place
    of the challenge that failed last among those that the config has for the name.

    `local` is whether the last one was found on this host before the authority was asked (a webroot, a
    secret, a port): it knows no backoff unless it was `disturbing`, because programs of the operator's had to
    be run to find it. `own` is how many of `count` were local: no reason to ask another authority.
    """

    kind: ClassVar[str] = "failure"
    authority: str
    wish: str
    count: int
    since: datetime
    at: datetime
    text: str
    hint: str = ""
    problem: str = ""
    final: bool = False
    not_before: datetime | None = None
    identifiers: tuple[tuple[str, str], ...] = ()
    named: bool = False
    tried: tuple[tuple[str, int], ...] = ()
    local: bool = False
    disturbing: bool = False
    own: int = 0

    @property
    def key(self) -> str:
        """One record an authority."""
        return self.authority


class Proven(Record):
    """A name that an authority holds for proven until a moment (RFC 8555 §7.1.4): nothing must answer."""

    kind: ClassVar[str] = "proven"
    authority: str
    name: str
    until: datetime

    @property
    def key(self) -> str:
        """One record an authority and name."""
        return f"{self.authority} {self.name}"


class Window(Record):
    """The authority's renewal information for one certificate (RFC 9773 §4.2), or that there was none.

    `start` is None if it gave no usable window; `failures` counts temporary errors in a row.
    """

    kind: ClassVar[str] = "window"
    serial: str
    ask_again: datetime
    asked_at: datetime
    start: datetime | None = None
    end: datetime | None = None
    explanation_url: str | None = None
    failures: int = 0

    @property
    def key(self) -> str:
        """One record a serial."""
        return self.serial


class DeploymentState(StrEnum):
    """How a hook stands to a version."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    LATER = "later"


class Deployment(Record):
    """What one hook on one host did for the newest version it was told of.

    `previous` is what was live before that version, to which a run that was killed may still turn back.

    `turned_back` is whether that version was live for this deployment and had to go again.

    `fingerprint` is of the hook's table and file: if it changes, failures are forgotten.
    """

    kind: ClassVar[str] = "deployment"
    host: str
    hook: str
    version: str
    state: DeploymentState
    at: datetime
    fingerprint: str = ""
    failures: int = 0
    error: str | None = None
    output: str = ""
    previous: str | None = None
    turned_back: bool = False

    @property
    def key(self) -> str:
        """One record a host and hook."""
        return f"{self.host}/{self.hook}"


class Published(Deployment):
    """What a hook did, on one host, to let others know of the newest version before it goes live."""

    kind: ClassVar[str] = "published"


class CopyFact(Record):
    """A file that we wrote elsewhere; `stamp` (inode, size, mtime in ns) tells whether it still is ours.

    `wish` is a fingerprint of what the config says of it ("" from earlier releases). `note` is set, and
    `sha256` is "", if the file is not ours and was left alone; it says why. `relic` is whether it was told
    that an earlier release kept a file beside. `newer` is whether it was left alone because it came after all
    that this state has.
    """

    kind: ClassVar[str] = "copy"
    host: str
    path: str
    version: str
    sha256: str
    stamp: tuple[int, ...]
    at: datetime
    wish: str = ""
    note: str = ""
    relic: bool = False
    newer: bool = False

    @property
    def key(self) -> str:
        """One record a host and path."""
        return f"{self.host}:{self.path}"


class EndpointState(StrEnum):
    """What is served at a port, against what is wanted there."""

    VERIFIED = "verified"
    STALE = "stale"
    FOREIGN = "foreign"
    UNTRUSTED = "untrusted"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class Sighting(Record):
    """What was seen at one address of an endpoint, judged against the version that was live.

    `local` is whether this host serves it: only then may a stale one lead to another deployment.
    `failures` counts looks in a row that were not verified. `answered` is whether it took the connection.
    `family` is the kind of key that was looked for, and `lacks` whether the server has none of that kind and
    shows somebody else's. `newer` is whether what it shows was issued after all that this state has, for the
    same names: then it is the state that is behind.
    """

    kind: ClassVar[str] = "sighting"
    host: str
    endpoint: str
    address: str
    version: str
    state: EndpointState
    at: datetime
    local: bool
    serial: str | None = None
    fingerprint: str | None = None
    not_after: datetime | None = None
    error: str | None = None
    failures: int = 0
    since: datetime | None = None
    answered: bool = False
    family: KeyFamily | None = None
    lacks: bool = False
    newer: bool = False

    @property
    def key(self) -> str:
        """One record a host, endpoint and address."""
        return f"{self.host} {self.endpoint} {self.address}"


class Debris(Record):
    """Something a challenge left behind and could not remove; the next run tries again."""

    kind: ClassVar[str] = "debris"
    what: str
    where: str
    at: datetime
    detail: str = ""

    @property
    def key(self) -> str:
        """One record a place."""
        return f"{self.what} {self.where}"


class Owed(Record):
    """A post hook that is still to be called, because something of this certificate was ordered.

    `newest` is the id of the newest version before that order; `error` why the last call failed.
    """

    kind: ClassVar[str] = "owed"
    host: str
    hook: str
    newest: str | None = None
    error: str | None = None

    @property
    def key(self) -> str:
        """One record a host and hook."""
        return f"{self.host}/{self.hook}"


class PreferredChain(Record):
    """The chain that the config prefers could not be had; the default one was installed (RFC 8555 §7.4.2).

    `serial` is of the leaf, `name` the root that was wanted; `urls` are alternates that failed, `why` what
    the last of them said. Without any it was not offered.
    """

    kind: ClassVar[str] = "chain"
    serial: str
    authority: str
    name: str
    at: datetime
    tried_at: datetime
    urls: tuple[str, ...] = ()
    why: str = ""

    @property
    def text(self) -> str:
        """What happened, as a sentence."""
        if not self.urls:
            return f"{self.authority} offers no chain to {self.name}: its default one is installed"
        return (
            f"the chain to {self.name} cannot be had ({self.why}): the default one of {self.authority} is "
            "installed; it is asked for again for a day"
        )


class OneValue(Record):
    """The DNS provider of a certificate keeps one value a record: a second took the place of the first."""

    kind: ClassVar[str] = "one-value"
    at: datetime


class Hold(Record):
    """A version that must not become live: somebody rolled back behind it."""

    kind: ClassVar[str] = "hold"
    version: str
    at: datetime
    by: str
    why: str

    @property
    def key(self) -> str:
        """One record a version."""
        return self.version


class Revoked(Record):
    """A version that was revoked on purpose: never wanted again, never turned back to.

    `done` is False from the moment before the authority is asked until it has agreed. `spki` is the
    fingerprint of a compromised public key (SHA-256 of the SPKI): no order uses it again.
    """

    kind: ClassVar[str] = "revoked"
    version: str
    serial: str
    reason: str
    at: datetime
    done: bool = False
    spki: str | None = None

    @property
    def key(self) -> str:
        """One record a version."""
        return self.version


class RefusedKey(Record):
    """A key that an authority refused (badPublicKey, badCSR), by its SPKI's SHA-256: never sent again."""

    kind: ClassVar[str] = "refused-key"
    spki: str
    authority: str
    at: datetime
    text: str = ""

    @property
    def key(self) -> str:
        """One record an authority and key."""
        return f"{self.authority} {self.spki}"


class RunRecord(Record):
    """A run, from its start; `ended_at` is None while it works or if it was killed. `certificate` is ''.

    `quiet_since` is when a run of all certificates last came to its end; before the first, when it began.
    `unwell` are those of its findings that mean that not all is well, and that only a run can find.
    """

    kind: ClassVar[str] = "run"
    run: str
    host: str
    at: datetime
    ended_at: datetime | None = None
    quiet_since: datetime | None = None
    exit: int | None = None
    findings: tuple[str, ...] = ()
    unwell: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The newest run of a host replaces the one before."""
        return self.host


class Standing(Record):
    """What the history last said of a certificate here: `version` was the last that counted as renewed.

    `not_after` is that version's; `turned_back` the version whose deployment was last turned back;
    `failing_since` and `error` are of a series of failures that has not ended.
    """

    kind: ClassVar[str] = "standing"
    host: str
    version: str | None = None
    not_after: datetime | None = None
    renewed_at: datetime | None = None
    turned_back: str | None = None
    failing_since: datetime | None = None
    error: str = ""

    @property
    def key(self) -> str:
        """One record a host."""
        return self.host


COPIES = "copies"
"""So the copies of a certificate are called among its hooks: written first, retried and recorded alike."""


class CopyState(Value):
    """How a file that should follow the live version is found: written for `version`, changed by others?

    It is not `intact` either if the config says something else of it now than when it was written: then it
    is `reworded`. `note` says why a file of somebody else was left alone. `relic` and
    `newer` are as in CopyFact.
    """

    path: str
    version: str | None
    intact: bool
    reworded: bool = False
    note: str = ""
    relic: bool = False
    newer: bool = False


class Asked(Value):
    """An authority that the wish names: the profiles to ask it for, and the fingerprint of the wish there.

    The first of them that is offered: `profile`, then the others in their order. `directory` is where it is
    now; "" where that does not matter.
    """

    authority: str
    wish: str
    profile: str | None = None
    other_profiles: tuple[str, ...] = ()
    directory: str = ""

    @property
    def profiles(self) -> tuple[str, ...]:
        """All that fit, in the order of preference; none if it does not matter."""
        return () if self.profile is None else (self.profile, *self.other_profiles)


class Situation(Value):
    """Everything known about one certificate, frozen before anything is decided. Absence is a fact.

    `versions` are the complete ones on disk, newest first, placeholders among them; `live` is what the
    link says. `hooks` holds name and present fingerprint of every hook of this certificate on this host,
    COPIES among them if it has any; `optional` names those of them that are not required,
    `ports` the ports of those whose ports are known; `publishers` those to be called before a version goes
    live, as `hooks`, and `published` what they did on this host.
    `order_ready` is whether the pending key of `order` exists; `parked` are orders that were put aside;
    `deployments` are this host's. `asked` has
    an entry for each authority of the wish, in its order. `revoked` are ids of versions,
    `owed` the post hooks of this host whose last call failed. `unread` is whether its facts could not be read
    at all: then nothing is known, and nothing is done. `modes` are sentences about files of the live version
    that others may read than configured; `tests` names and directories of authorities that only test.
    `blocked` says what stands in the link's place, if that is no link: then nothing can be made live.
    `ended` has the authorities of the wish at which our account was ended, each with how;
    `chain` is the chain that is preferred and could not be had.
    `broken` are versions that cannot be read and that nobody needs, id and why: another one is live.
    `lifetime` is that of the newest version that is remembered, also if its files are no good any more.
    """

    wish: Certificate
    host: str
    wake: timedelta = timedelta(hours=1)
    asked: tuple[Asked, ...] = ()
    versions: tuple[Version, ...] = ()
    live: str | None = None
    order: Order | None = None
    order_ready: bool = False
    ordered: tuple[Ordered, ...] = ()
    parked: tuple[Parked, ...] = ()
    failures: tuple[Failure, ...] = ()
    windows: tuple[Window, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    hooks: tuple[tuple[str, str], ...] = ()
    optional: frozenset[str] = frozenset()
    ports: tuple[tuple[str, tuple[int, ...]], ...] = ()
    published: tuple[Published, ...] = ()
    publishers: tuple[tuple[str, str], ...] = ()
    copies: tuple[CopyState, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    holds: tuple[Hold, ...] = ()
    owed: tuple[Owed, ...] = ()
    revoked: tuple[str, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    fault: str | None = None
    broken: tuple[tuple[str, str], ...] = ()
    lifetime: timedelta | None = None
    unread: bool = False
    modes: tuple[str, ...] = ()
    blocked: str | None = None
    tests: tuple[str, ...] = ()
    ended: tuple[tuple[str, str], ...] = ()
    chain: PreferredChain | None = None

    @property
    def live_version(self) -> Version | None:
        """The version that the link points to, if it is a complete one."""
        return next((version for version in self.versions if version.id == self.live), None)
