"""`renewer init`: from nothing to a certificate that is served, on a host with a real web server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from renewer.discover import beginning
from renewer.model.installed import WebSite
from renewer.servers import apache
from renewer.servers.reading import Guard
from tests.cli.terminal import on_terminal, plain
from tests.discover.newcomer import CONFIG, NAME, Newcomer
from tests.servers.handshake import served_serial

pytestmark = pytest.mark.real
LIVE = Path(f"/var/lib/renewer/certificates/{NAME}/live")
TABLE = CONFIG.parent / "conf.d" / f"{NAME}.toml"
BLOCK = Path(f"/etc/nginx/conf.d/renewer-{NAME}.conf")
SITE = "server { listen 80; server_name www.example.org example.org; root /var/www/html; }\n"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Newcomer]:
    """A host with nothing of ours, and no web server yet."""
    with Newcomer(tmp_path) as newcomer:
        yield newcomer


def test_from_nothing_to_served_without_a_terminal(host: Newcomer) -> None:
    """All said by options: written, rehearsed, and after `run` the port shows it; no file is edited."""
    host.nginx()
    assert "renewer init writes one" in host.run("run", code=2)

    said = host.run("init", "--name", NAME, "--agree-terms", *host.options, "--write-snippet")

    assert "all of it would work in production" in said
    assert "next: renewer run; renewer timer install" in said
    assert "1 certificate, 1 authority, 1 hook: fine\n" in said
    text = CONFIG.read_text() + TABLE.read_text()
    assert text.count("\n#") > 8, "it says what its keys are for"
    assert f"seen at {NAME}:443" in host.run("run")
    assert served_serial(443, NAME) in host.run("status", "--json")
    assert "is there already, nothing was changed" in host.run("init", "--agree-terms", code=2)


def test_at_a_terminal_five_questions_and_all_is_done(host: Newcomer) -> None:
    """Found names are offered; Enter, an address, yes to the terms, and yes to the rest: it is issued."""
    host.nginx(SITE)
    CONFIG.parent.mkdir()
    CONFIG.write_text("# as the package brings it\n")

    code, drawn = on_terminal(CONFIG, "init", *host.options, typed="\nops@example.org\ny\ny\n", columns=120)

    said = "\n".join(plain(drawn))
    assert code == 1, said  # nothing listens at 443 as long as nobody includes the block
    assert said.count("]: ") + said.count("none is fine: ") == 4
    assert "Names, parted by blanks [www.example.org example.org]" in said
    assert 'contact     = ["ops@example.org"]' in CONFIG.read_text()
    assert 'names     = ["www.example.org", "example.org"]' in TABLE.read_text()
    assert "into the site at /etc/nginx/sites-enabled/default:1" in said
    assert (LIVE / "fullchain.pem").exists()
    assert "run --wait 300s >/dev/null" in said, "the line for cron, where systemd does not run"


def test_what_stands_in_for_an_answer_is_named(host: Newcomer) -> None:
    """Without a terminal what is not said and not found is refused with the option; nothing is written."""
    shutil.rmtree("/etc/nginx")
    assert "renewer init --name" in host.run("init", "--agree-terms", code=2)
    assert "renewer init --agree-terms" in host.run("init", "--name", NAME, code=2)
    said = host.run("init", "--name", NAME, "--agree-terms", "--print")
    assert 'listen = "0.0.0.0:80"' in said, "no web server is here"
    assert not CONFIG.parent.exists()


def test_a_block_that_the_server_refuses_is_taken_away_again(host: Newcomer) -> None:
    """Somebody else serves port 443 in a way that does not go together: nginx is as it was."""
    host.nginx()
    Path("/etc/nginx/conf.d/zz.conf").write_text(
        "server { listen 443 default_server ssl; listen 443 ssl; }\n"
    )
    options = ("--name", NAME, "--agree-terms", *host.options, "--write-snippet", "--no-rehearse")
    said = host.run("init", *options, code=1)
    assert f"{BLOCK} was taken away again" in said
    assert "duplicate listen" in said
    assert not BLOCK.exists()
    assert CONFIG.exists()


def test_lines_for_a_site_that_is_there(host: Newcomer) -> None:
    """A site of the name's own is not made twice: its lines go to a file, and are named with its place."""
    host.nginx(SITE)
    said = host.run("init", "--agree-terms", *host.options, "--write-snippet", "--no-rehearse")
    snippet = Path(f"/etc/nginx/snippets/renewer-{NAME}.conf")
    assert f"into the site at /etc/nginx/sites-enabled/default:1: include {snippet};" in said
    site = Path("/etc/nginx/sites-enabled/default")
    site.write_text(SITE.replace("root", f"include {snippet}; root"))
    assert f"seen at {NAME}:443" in host.run("run")


def test_names_that_another_client_renews_are_left_to_it(host: Newcomer) -> None:
    """Certbot keeps one of two sites: it is named with the way to bring it along, and not taken."""
    old = Path("/etc/letsencrypt")
    shutil.rmtree(old, ignore_errors=True)
    (old / "live" / NAME).mkdir(parents=True)
    (old / "renewal").mkdir()
    (old / "renewal" / f"{NAME}.conf").write_text("version = 2.1.0\n")
    shutil.copy(host.issue(NAME).cert, old / "live" / NAME / "fullchain.pem")
    host.nginx(
        SITE.replace(" example.org", "") + SITE.replace("www.example.org example.org", "other.example.org")
    )
    said = host.run("init", "--agree-terms", "--print")
    assert "certbot renews www.example.org here already; to bring them along: renewer import certbot" in said
    assert 'names     = ["other.example.org"]' in said
    assert f'names     = ["{NAME}"' not in said


APACHE = """\
Listen 80
<IfModule ssl_module>
Listen 443
</IfModule>
DocumentRoot /var/www/html
<VirtualHost *:80>
ServerName www.example.org
ServerAlias example.org
DocumentRoot "/srv/www site"
</VirtualHost>
<VirtualHost *:80>
</VirtualHost>
"""


def test_the_sites_of_apache_and_their_blocks(tmp_path: Path) -> None:
    """A virtual host's lines, or a virtual host of its own where the default one answers for a name."""
    config = tmp_path / "apache2.conf"
    config.write_text(APACHE)
    with Guard() as guard:
        sites = apache.sites(guard, str(config))
    assert [(one.names, one.root, one.in_clear) for one in sites] == [
        (("www.example.org", "example.org"), "/srv/www site", (80,)),
        ((), "/var/www/html", (80,)),
    ]
    (own,) = beginning.of_sites(sites, ())
    assert own.webroot == "/srv/www site"
    block = beginning.tls_block(own, "/live", ipv6=True)
    assert block is not None
    assert (block.whole, block.place) == (False, f"{config}:6")
    assert "SSLCertificateFile /live/fullchain.pem" in block.text
    other = beginning.of_names(["new.example.org"], sites)
    block = beginning.tls_block(other, "/live dir", ipv6=True)
    assert block is not None
    assert block.whole
    assert '    SSLCertificateKeyFile "/live dir/privkey.pem"\n</VirtualHost>\n' in block.text


def test_where_names_are_proved() -> None:
    """The directory of the site that has the name; behind a server that passes all on; alone without one."""
    own = WebSite(server="nginx", config="/a", line=1, names=("a.example.org",), root="/a", in_clear=(80,))
    rest = WebSite(server="nginx", config="/b", line=1, root="/b", in_clear=(80,))
    passing = WebSite(server="nginx", config="/c", line=1, names=("c.example.org",), in_clear=(80,))
    inside = WebSite(
        server="nginx", config="/d", line=1, names=("host.local", "*.example.org"), in_clear=(80,)
    )
    assert beginning.of_names(["a.example.org"], [rest, own]).webroot == "/a"
    assert beginning.of_names(["b.example.org"], [own, rest]).webroot == "/b"
    assert beginning.of_names(["c.example.org"], [passing]).listen == beginning.BEHIND
    assert beginning.of_names(["d.example.org"], []).listen == beginning.LISTEN
    assert [one.names for one in beginning.of_sites([own, inside, own], ())] == [("a.example.org",)]
    assert beginning.of_sites([own], {"a.example.org"}) == []
