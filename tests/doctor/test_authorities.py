"""What is known of an authority before anything is ordered: its directory and our account on disk."""

from pathlib import Path

from renewer.config.load import load
from renewer.doctor.examination import account_on_disk, candidate
from renewer.issue.dns01 import record_label
from tests.agent import at_pebble
from tests.servers.pebble import Pebble


def test_the_account_is_read_from_the_disk(pebble: Pebble, tmp_path: Path) -> None:
    """Before the registration there is none; afterwards its URL is known, and nobody is asked for it."""
    agent = at_pebble(tmp_path, pebble)
    agent.cli("plan")
    config = load(str(tmp_path / "config.toml"))
    before = candidate(config, "pebble", str(agent.state), 5)

    assert agent.cli("account", "register", "pebble").code == 0
    after = candidate(config, "pebble", str(agent.state), 5)

    assert (before.account, before.public) == ("", False)
    assert after.account.startswith(pebble.directory.removesuffix("dir"))


def test_a_built_in_authority_is_known_without_its_directory(tmp_path: Path) -> None:
    """It does not answer (nothing beyond the loopback does here): its identity is known all the same."""
    path = tmp_path / "config.toml"
    path.write_text(
        """
        [defaults]
        agree_terms = true
        authority = "letsencrypt"
        [certificate.www]
        names = ["www.example.org"]
        challenge = { type = "http-01", webroot = "/var/www" }
        """
    )
    config = load(str(path))

    known = candidate(config, "letsencrypt", str(tmp_path), 1)

    assert (known.identities, known.account, known.public) == (("letsencrypt.org",), "", True)
    assert account_on_disk(config.authorities["letsencrypt"], str(tmp_path)) == ""


def test_the_label_of_dns_account_01() -> None:
    """The example of draft-ietf-acme-dns-account-label §3.2."""
    assert record_label("https://example.com/acme/acct/ExampleAccount") == "_ujmmovf2vn55tgye._acme-challenge"
