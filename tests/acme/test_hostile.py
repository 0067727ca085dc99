"""What a broken or hostile authority sends is one of our errors, and has an end."""

from time import monotonic

import pytest

from renewer.errors import GiveUp, RenewerError
from renewer.network.acme import problems
from renewer.network.acme.orders import ListedOrders
from renewer.network.acme.reply import Reply
from renewer.network.acme.resources import Directory
from renewer.network.acme.transport import Transport
from tests.servers.tls_peer import Peer, endless

BAD_URL = "https://["
DEEP = b"[" * 500_000


@pytest.fixture
def transport() -> Transport:
    """A way to nobody."""
    return Transport(ca_bundle=None, proxy=None, timeout=1)


def test_url_that_is_none(transport: Transport) -> None:
    """Whoever named it: it is refused before anything is sent."""
    with pytest.raises(GiveUp, match="is not an https URL"):
        transport.get(BAD_URL)


def test_a_flood_before_tls_is_there_ends_in_time(transport: Transport) -> None:
    """Records that mean nothing are never waited for, and so no timeout of a wait ends them."""
    began = monotonic()
    with Peer(endless(b"\x16\x03\x03\x40\x00" + bytes(16384))) as peer, pytest.raises(RenewerError):
        transport.get(f"https://127.0.0.1:{peer.port}/directory")

    assert monotonic() - began < 60  # a second a try, and pauses


def test_redirect_to_nowhere(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Location that is no URL is an error of the authority's."""
    send = transport._send
    replies = [Reply("https://acme.example.org/directory", 302, {"Location": BAD_URL}, b"")]
    monkeypatch.setattr(transport, "_send", lambda *given: replies.pop() if replies else send(*given))

    with pytest.raises(RenewerError):
        transport.get("https://acme.example.org/directory")


def test_links_to_nowhere() -> None:
    """A Link that is no URL is none."""
    reply = Reply("https://acme.example.org/cert", 200, {"Link": f'<{BAD_URL}>;rel="alternate"'}, b"")

    assert reply.links("alternate") == []


def test_deep_refusal() -> None:
    """A refusal nested without end is told like a page of HTML."""
    assert problems.from_reply(DEEP, status=500, retry_after=None).status == 500


def test_list_of_orders_that_leads_to_itself() -> None:
    """The search for a lost order ends, also in a list of empty pages without end."""

    class Talk:
        account = "https://acme.example.org/account/1"
        directory = Directory(
            url="https://acme.example.org/directory", new_nonce="", new_account="", new_order=""
        )

        @property
        def talk(self) -> "Talk":
            return self

        def post(self, url: str) -> Reply:
            link = {"Link": f'<{url}>;rel="next"'}
            orders = b'"https://acme.example.org/orders"' if url == self.account else b"[]"
            return Reply(url, 200, link, b'{"orders":%s}' % orders)

        def accepted(self, reply: Reply, _doing: str) -> Reply:
            return reply

    listed = ListedOrders(Talk())  # type: ignore[arg-type]
    assert listed.find((), None) is None
    assert listed.there
