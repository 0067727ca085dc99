"""Apache's SSLCertificateChainFile, left from old instructions: untrusted, and the hint names it."""

from pathlib import Path

import pytest

from renewer.model.facts import EndpointState
from tests.hooks.web import Apache
from tests.serving.bed import Bed
from tests.serving.issuer import Signer


@pytest.mark.parametrize("relic", [True, False])
def test_the_hint_names_the_relic(bed: Bed, place: Path, *, relic: bool) -> None:
    """A leaf with the intermediate of the certificate before: no client trusts it, whatever is reloaded."""
    old, new = bed.root.intermediate("old intermediate"), bed.root.intermediate("new intermediate")
    bed.certificate()
    bed.put(new.issue("www.example.org"), live=True)
    server = Apache(place, bed.live())
    if relic:
        chain = Signer.write(old, place / "chain.pem")
        at = server.lines.index(f"SSLCertificateFile {server.cert}")
        server.lines[at] = f"SSLCertificateFile {bed.live()}/cert.pem\nSSLCertificateChainFile {chain}"
    server.start()
    try:
        bed.tables["certificate.www"]["endpoints"] = [
            {"host": "127.0.0.1", "port": server.port, "server_name": "www.example.org"}
        ]
        report = bed.run()
    finally:
        server.stop()
    (seen,) = bed.status()["endpoints"]
    if not relic:
        assert (seen["state"], report.exit) == (EndpointState.VERIFIED, 0)
        return
    assert seen["state"] == EndpointState.UNTRUSTED
    (outcome,) = report.outcomes
    assert "SSLCertificateChainFile: take it out" in outcome.hint
    ended = bed.cli("status")
    assert "SSLCertificateChainFile" in " ".join((ended.out + ended.err).split())
