"""What is said at the door to who delivers, with the secrets of one channel and no others."""

from typing import Literal

from renewer.model.channels import MailSecurity
from renewer.network.protocol import DoorMessage, Trust


class Content(DoorMessage):
    """A share of what the next `Mail` or `Post` delivers."""

    octets: bytes


class Mail(DoorMessage):
    """Give the content, a mail (RFC 5322) of so many octets, to a server; `limit` (seconds) for all of it."""

    server: str
    security: MailSecurity
    sender: str
    to: tuple[str, ...]
    limit: float
    octets: int
    username: str | None = None
    password: str | None = None


class Mailed(DoorMessage):
    """It was taken: for whom not, as words for people ("" if for all)."""

    refused: str


class Post(DoorMessage):
    """Post the content, so many octets, to a URL that is a secret; `limit` in seconds is for all of it."""

    url: str
    headers: tuple[tuple[str, str], ...]
    limit: float
    octets: int
    proxy: str | None = None


class Posted(DoorMessage):
    """The status of the answer."""

    status: int


class TellService(DoorMessage):
    """Have apprise tell the service of this URL, which is a secret, within so many seconds."""

    url: str
    title: str
    body: str
    limit: float


class ToldService(DoorMessage):
    """Whether the service took it; `unknown` is one that apprise does not know."""

    outcome: Literal["taken", "failed", "late", "unknown"]


Asked = Trust | Content | Mail | Post
