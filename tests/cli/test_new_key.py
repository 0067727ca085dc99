"""`renewer run NAME --new-key`, and what it cannot do; a request that nobody could order with."""

from pathlib import Path

from cryptography import x509

from tests.agent import Agent, at_pebble
from tests.faults.test_csr import request
from tests.servers.pebble import Pebble


def key(agent: Agent) -> object:
    """The public key of what is live."""
    pem = (agent.directory / "state/certificates/www/live/cert.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_key()


def test_a_new_key_for_who_asks(tmp_path: Path, pebble: Pebble) -> None:
    """Though keys are kept, and nothing is due; without a name nobody is ordered for."""
    agent = at_pebble(tmp_path, pebble, endpoints=[], reuse_key=True)
    assert agent.cli("run").code == 0
    first = key(agent)
    everybody = agent.cli("run", "--new-key")
    assert (everybody.code, "name them: renewer run NAME --new-key" in everybody.err) == (2, True)
    assert agent.cli("run", "www", "--new-key").code == 0
    assert key(agent) != first


def test_a_key_that_is_not_ours(tmp_path: Path, pebble: Pebble) -> None:
    """There is no new one to be made here: said, with what to do; nothing is asked of the authority."""
    csr = tmp_path / "www.csr"
    request(csr, "www.example.org")
    agent = at_pebble(tmp_path, pebble, endpoints=[], csr=str(csr))
    assert agent.cli("run").code == 0
    first, mark = key(agent), pebble.mark()
    refused = agent.cli("run", "www", "--new-key")
    assert (refused.code, str(csr) in refused.err) == (2, True)
    csr.write_bytes(b"x" * 70_000)
    broken = agent.cli("run")
    assert (broken.code, "larger than 64 KiB" in broken.err) == (2, True)
    assert (key(agent), pebble.requests(mark)) == (first, ())
