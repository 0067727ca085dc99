"""Which key is ordered with: a kept one, a new one that somebody asked for, never one that was refused."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from renewer.model.decision import Reason, Step
from renewer.model.facts import RefusedKey
from tests.faults.host import Host, failed
from tests.servers.bendable import Bendable, Seen
from tests.servers.bends import Answer, Call, problem

ASKED: dict[str, Any] = {"asked": True, "only": frozenset({"www"})}
NEW_KEY: dict[str, Any] = {**ASKED, "new_key": True}


def key(host: Host) -> object:
    """The public key of what is live."""
    live = host.state / "certificates" / "www" / "live" / "cert.pem"
    return x509.load_pem_x509_certificate(live.read_bytes()).public_key()


@pytest.fixture(params=[True, False], ids=["kept", "fresh"])
def reuse(request: pytest.FixtureRequest, bent_host: Host) -> bool:
    """Whether `www` keeps its key."""
    bent_host.certificates["www"]["reuse_key"] = request.param
    bent_host.write_config()
    assert bent_host.run().exit == 0
    return bool(request.param)


def test_a_new_key_is_asked_for(bent_host: Host, bent: Bendable, *, reuse: bool) -> None:
    """Due or not: ordered once in that run, with another key, which is the one that is kept from then on."""
    first = key(bent_host)
    decision = bent_host.decision(**NEW_KEY)
    assert (decision.step, decision.reason) == (Step.ISSUE, Reason.NEW_KEY)
    assert bent_host.run(**NEW_KEY).exit == 0
    second = key(bent_host)
    assert second != first
    assert len(bent.issued) == 2
    assert bent_host.run().outcomes == ()
    bent_host.run(force=True, **ASKED)
    assert (key(bent_host) == second) is reuse


def test_an_open_order_with_the_kept_key_is_no_answer(bent_host: Host, bent: Bendable) -> None:
    """With `reuse_key` an order under way has the old key: another one is made."""
    bent_host.certificates["www"]["reuse_key"] = True
    bent_host.write_config()
    bent_host.run()
    first = key(bent_host)
    bent.bend(Call.FINALIZE, problem("serverInternal", 500))
    bent_host.run(force=True, **ASKED)
    bent.mend()
    assert bent_host.situation().order is not None
    bent_host.run(**NEW_KEY)
    assert key(bent_host) != first


def refuse(kind: str, refused: object) -> Callable[[Seen], Answer]:
    """Finalize is refused for one key."""
    from tests.servers import jws

    def answer(seen: Seen) -> Answer:
        csr = x509.load_der_x509_csr(jws.decoded(seen.payload["csr"]))
        return problem(kind, 400)(seen) if csr.public_key() == refused else seen.usual()

    return answer


@pytest.mark.parametrize("kind", ["badPublicKey", "badCSR"])
def test_a_kept_key_that_is_refused(bent_host: Host, bent: Bendable, kind: str) -> None:
    """It is sent once and never again: told, and the next try, a minute later, has a new one."""
    bent_host.certificates["www"]["reuse_key"] = True
    bent_host.write_config()
    bent_host.run()
    first = key(bent_host)
    bent.bend(Call.FINALIZE, refuse(kind, first))
    (text,) = failed(bent_host.run(force=True, **ASKED))
    assert "refused the key that was to be kept" in text
    with bent_host.context(write=False) as context:
        (record,) = context.ledger.load(RefusedKey, "www")
    assert record.authority == "bent"
    waits = bent_host.decision(force=False)
    assert waits.step is Step.KEEP  # nothing is due, and the live one is good
    assert bent_host.run(force=True, **ASKED).exit == 0
    assert key(bent_host) != first
    sent = [seen.payload["csr"] for seen in bent.requests(Call.FINALIZE)]
    assert len(sent) == len(set(sent)) == 3
