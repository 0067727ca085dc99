"""Who renews a certificate, told by where its file lies; what only looks like a client's is nobody's."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from renewer.discover import keepers
from renewer.discover.keepers import Keepers
from renewer.servers.reading import Guard

_REAL = "Le_RealFullChainPath='{root}/etc/tls/www.pem'\n"
CASES: Mapping[str, tuple[dict[str, str], str, str | None]] = {
    "certbot": ({"le/renewal/www.conf": "version = 2.1.0\n"}, "le/live/www/fullchain.pem", "certbot"),
    "certbot's archive": ({"le/renewal/www.conf": "x = 1\n"}, "le/archive/www/fullchain3.pem", "certbot"),
    "certbot, told not to": (
        {"le/renewal/www.conf": "autorenew = False\n"},
        "le/live/www/fullchain.pem",
        None,
    ),
    "certbot, forgotten": ({"le/renewal/other.conf": "x = 1\n"}, "le/live/www/fullchain.pem", None),
    "acme.sh": ({"acme/www_ecc/www.conf": "Le_Domain='www'\n"}, "acme/www_ecc/fullchain.cer", "acme.sh"),
    "acme.sh, RSA": ({"acme/www/www.conf": "Le_Domain='www'\n"}, "acme/www/fullchain.cer", "acme.sh"),
    "acme.sh, installed": ({"home/www/www.conf": f"Le_Domain='www'\n{_REAL}"}, "etc/tls/www.pem", "acme.sh"),
    "no acme.sh": ({"etc/www/www.conf": "server { }\n"}, "etc/www/fullchain.cer", None),
    "lego": ({"lego/certificates/www.json": "{}"}, "lego/certificates/www.crt", "lego"),
    "no lego": ({}, "srv/certificates/www.crt", None),
    "dehydrated": (
        {"dh/domains.txt": "www\n", "dh/accounts/x/account_key.pem": ""},
        "dh/certs/www/fullchain.pem",
        "dehydrated",
    ),
    "no dehydrated": ({}, "srv/certs/www/fullchain.pem", None),
    "caddy": ({"c/certificates/acme/www/www.json": "{}"}, "c/certificates/acme/www/www.crt", "caddy"),
    "caddy's own": ({}, "c/certificates/acme/www/www.crt", None),
    "mod_md": ({"md/domains/www/md.json": "{}"}, "md/domains/www/pubcert.pem", "mod_md"),
    "no mod_md": ({}, "md/domains/www/pubcert.pem", None),
    "traefik": ({}, "traefik/acme.json", "traefik"),
    "renewer": ({}, "state/certificates/www/versions/1/fullchain.pem", "renewer"),
    "another renewer": ({"o/ledger.db": ""}, "o/certificates/www/versions/1/fullchain.pem", "renewer"),
    "no renewer": ({}, "o/certificates/www/versions/1/fullchain.pem", None),
    "a copy of ours": ({}, "etc/haproxy/www.pem", "renewer"),
    "nobody": ({}, "etc/ssl/www.pem", None),
}


@pytest.mark.parametrize("case", CASES)
def test_each_client_is_told_by_its_own_directory(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, and what it calls the certificate; a file that merely lies in a similar place is nobody's."""
    files, path, client = CASES[case]
    monkeypatch.setattr(keepers, "_ACME_SH_HOMES", (f"{tmp_path}/home",))
    for name, text in {**files, path: "x"}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{root}", str(tmp_path)))
    with Guard() as guard:
        known = Keepers(guard, f"{tmp_path}/state", {f"{tmp_path}/etc/haproxy/www.pem": "www"})
        found = known.of(str(tmp_path / path))
        assert (found and found.client) == client
        assert found is None or client == "traefik" or found.name == "www"
        assert known.of(str(tmp_path / path)) is found
        assert not guard.unread


def test_links_lead_to_who_keeps_the_target(tmp_path: Path) -> None:
    """A server names a link of its own to certbot's file; what acme.sh keeps in base64 is read."""
    (tmp_path / "renewal").mkdir()
    (tmp_path / "renewal/www.conf").write_text("renew_before_expiry = 30 days\nversion = 5.8.0\n")
    real = tmp_path / "archive/www/fullchain1.pem"
    real.parent.mkdir(parents=True)
    real.write_text("x")
    link = tmp_path / "www.pem"
    link.symlink_to(real)
    command = base64.b64encode(b"systemctl reload nginx").decode()
    config = tmp_path / "www_ecc" / "www.conf"
    config.parent.mkdir()
    config.write_text(f"Le_Domain='www'\nLe_ReloadCmd='__ACME_BASE64__START_{command}__ACME_BASE64__END_'\n")
    with Guard() as guard:
        known = Keepers(guard, f"{tmp_path}/state", {})
        found = known.of(str(link))
        assert found is not None
        assert (found.client, found.name) == ("certbot", "www")
        assert found.settings == {"renew_before_expiry": "30 days", "version": "5.8.0"}
        other = known.of(str(config.with_name("fullchain.cer")))
        assert other is not None
        assert other.settings["Le_ReloadCmd"] == "systemctl reload nginx"
