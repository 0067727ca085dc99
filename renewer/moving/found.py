"""What was found of another client: its certificates, accounts and ways, and what of them has no counterpart.

A `Table` is one of the config, as it will be written.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from renewer.errors import RenewerError
from renewer.model.desired import HookEvent
from renewer.model.value import Value

Table = Mapping[str, object]


class Gap(Value):
    """Something that does not come along as it was, and what to do about it; `about` is whose it is."""

    about: str
    text: str
    hint: str = ""


class SecretFile(Value):
    """A secret that stood among other things, and needs a file of its own: its name there, and what it holds.

    Its repr says nothing of the content. In tables it is referred to by `{ file = SecretFile }`.
    """

    name: str
    content: str

    def __repr__(self) -> str:
        return f"SecretFile({self.name})"


class OldHook(Value):
    """A program that the client ran: its argv, when, and by which convention."""

    argv: tuple[str, ...]
    events: tuple[HookEvent, ...] = (HookEvent.DEPLOY,)
    convention: str = "certbot"
    shipped: str = ""  # the name of a shipped hook that does the same: then the rest does not matter
    note: str = ""


class Lineage(Value):
    """A certificate of the client's, with its key, under the client's own name.

    `server` is the directory URL, `account` the id of an `OldAccount`. `challenge` is None if the client's
    way has no counterpart; `why` says then which it was. `seen` are the files that servers may name.
    """

    name: str
    config: str
    seen: tuple[str, ...]
    privkey: bytes
    fullchain: bytes
    server: str | None = None
    account: str | None = None
    challenge: Table | None = None
    challenges: Mapping[str, Table] = {}
    why: str = ""
    hint: str = ""
    hooks: tuple[OldHook, ...] = ()
    copies: tuple[Table, ...] = ()
    reuse_key: bool = False
    profile: str | None = None
    chain: str | None = None
    remarks: tuple[Gap, ...] = ()

    def __repr__(self) -> str:
        return f"Lineage({self.name})"


class OldAccount(Value):
    """An account at an authority: its key as it lies there (PEM or JWK), the URL and contact if known."""

    id: str
    server: str
    path: str
    key: bytes
    url: str | None = None
    contact: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"OldAccount({self.id})"


class LeftThere(Value):
    """A certificate that its program goes on renewing: a file to be watched, or a port."""

    name: str
    file: str | None = None
    endpoint: str | None = None


class Estate(Value):
    """All that a client has here. `refused` is what must not or cannot be read, and why."""

    client: str
    directory: str
    lineages: tuple[Lineage, ...] = ()
    accounts: tuple[OldAccount, ...] = ()
    watched: tuple[LeftThere, ...] = ()
    refused: tuple[Gap, ...] = ()
    remarks: tuple[Gap, ...] = ()


@contextmanager
def refusing(refused: list[Gap], about: str) -> Iterator[None]:
    """Read one thing of many: what goes wrong with it is refused by its name, and the others come along."""
    try:
        yield
    except RenewerError as error:
        refused.append(Gap(about=about, text=error.text, hint=error.hint))
