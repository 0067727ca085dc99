"""The guides to moving: every command of theirs is run on what the client left, and says what stands there.

`RENEWER_WRITE_GUIDES=1` writes what was said into the pages instead.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from renewer import wakers
from renewer.moving.clients import CLIENTS
from tests.moving.old import Certbot, Newcomer, acme_sh, copied
from tests.servers.pebble import Pebble

DOCS = Path(__file__).parents[2] / "docs/moving"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


@contextmanager
def on_a_host(root: str, client: str, home: str) -> Iterator[None]:
    """Around a command: what calls clients stands below `root`, and the client's usual place is `home`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wakers, "ROOT", root)
        patch.setitem(CLIENTS, client, CLIENTS[client]._replace(homes=(home,)))
        yield


class Guide:
    """A page, and the host on which its commands are run."""

    def __init__(self, page: str, agent: Newcomer, client: str, home: Path, place: str) -> None:
        self.page = DOCS / page
        self.agent, self.client, self.home = agent, client, home
        self.root = agent.directory / "host"
        self.agent.around = ("tests.moving.test_guides:on_a_host", str(self.root), client, str(home))
        self.words: dict[str, str] = {str(home): place}
        self._enable("renewer.timer", f"{client}.timer")

    def _enable(self, *timers: str) -> None:
        wants = self.root / "etc/systemd/system/timers.target.wants"
        wants.mkdir(parents=True)
        for timer in timers:
            unit = self.root / "usr/lib/systemd/system" / timer
            unit.parent.mkdir(parents=True, exist_ok=True)
            unit.write_text("[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n")
            (wants / timer).symlink_to(f"/usr/lib/systemd/system/{timer}")

    def play(self) -> str:
        """The page with what its commands said."""
        return _BLOCK.sub(lambda block: f"```console\n{self._block(block[1])}```", self.page.read_text())

    def _block(self, text: str) -> str:
        lines = []
        for line in text.splitlines():
            if line.startswith("$ "):
                lines += [line, *self._said(line.removeprefix("$ ")).splitlines()]
        return "\n".join(lines) + "\n"

    def _said(self, command: str) -> str:
        program, *words = shlex.split(command)
        assert program == "renewer", command
        ended = self.agent.cli(*words)
        assert ended.code in (0, 1), ended.said
        return self._normal(ended.said)

    def _normal(self, text: str) -> str:
        """Places, moments and numbers as a reader has them."""
        text = text.replace(f"--root={self.root} ", "")
        known: Mapping[str, str] = {
            **self.words,
            str(self.agent.state): "/var/lib/renewer",
            str(self.agent.directory): "/etc/renewer",
        }
        for path in sorted(known, key=len, reverse=True):
            text = text.replace(path, known[path])
        text = re.sub(r"\bpebble\b", "letsencrypt", text)
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\dZ?)?", "2026-12-01 09:30", text)
        text = re.sub(r"until \d{4}-\d\d-\d\d", "until 2027-03-01", text)
        text = re.sub(r"\b\d{8}T\d{6}Z-[0-9a-f]{8}\b", "20261201T093000Z-4d40a7d6", text)
        text = re.sub(r"https://127\.0\.0\.1:\d+/\S+", "https://acme-staging-v02.api.letsencrypt.org/…", text)
        text = re.sub(r"127\.0\.0\.1[:_]\d+", "acme-v02.api.letsencrypt.org", text)
        text = re.sub(r"\b\d+(\.\d+)? (s|ms)\b", "2 s", text)
        return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.fixture
def makers(  # noqa: PLR0917  what the pages' hosts are made of
    alone: Certbot, certbot: Certbot, lego: Path, dehydrated: Path, believing: Pebble, tmp_path: Path
) -> dict[str, Callable[[Newcomer], Guide]]:
    """By page what makes its host."""

    def of_certbot(agent: Newcomer) -> Guide:
        guide = Guide("certbot.md", agent, "certbot", alone.config, "/etc/letsencrypt")
        guide.words[str(certbot.webroot)] = "/var/www/html"
        return guide

    def of_lego(agent: Newcomer) -> Guide:
        agent.tables["challenge.web"] = {"type": "http-01", "webroot": str(tmp_path)}
        home = copied(lego, tmp_path / "lego")
        for file in (home / "certificates").glob("_*"):
            file.unlink()
        return Guide("lego.md", agent, "lego", home, "/etc/lego")

    def of_dehydrated(agent: Newcomer) -> Guide:
        home = copied(dehydrated, tmp_path / "dehydrated")
        (home / "config").write_text((home / "config").read_text().replace(str(dehydrated), str(home)))
        return Guide("dehydrated.md", agent, "dehydrated", home, "/var/lib/dehydrated")

    def of_acme_sh(agent: Newcomer) -> Guide:
        home = tmp_path / "acme.sh"
        shown = f"Le_Webroot='{alone.webroot}'"
        acme_sh(home, certbot, believing, "Le_ReloadCmd='true'", shown)
        guide = Guide("acme-sh.md", agent, "acme.sh", home, "/root/.acme.sh")
        guide.words[str(alone.webroot)] = "/var/www/html"
        return guide

    def of_caddy(agent: Newcomer) -> Guide:
        place = tmp_path / "caddy/certificates/acme/www.example.org"
        place.mkdir(parents=True)
        chain = (alone.config / "live/www.example.org/fullchain.pem").read_bytes()
        (place / "www.example.org.crt").write_bytes(chain)
        return Guide("caddy.md", agent, "caddy", tmp_path / "caddy", "/var/lib/caddy/.local/share/caddy")

    def of_mod_md(agent: Newcomer) -> Guide:
        place = tmp_path / "md/domains/www.example.org"
        place.mkdir(parents=True)
        chain = (alone.config / "live/www.example.org/fullchain.pem").read_bytes()
        (place / "pubcert.pem").write_bytes(chain)
        return Guide("mod_md.md", agent, "mod_md", tmp_path / "md", "/etc/apache2/md")

    return {
        "certbot": of_certbot,
        "lego": of_lego,
        "dehydrated": of_dehydrated,
        "acme-sh": of_acme_sh,
        "caddy": of_caddy,
        "mod_md": of_mod_md,
    }


@pytest.mark.parametrize("page", ["certbot", "lego", "dehydrated", "acme-sh", "caddy", "mod_md"])
def test_what_the_guide_says(
    makers: dict[str, Callable[[Newcomer], Guide]], agent: Newcomer, page: str
) -> None:
    """Its commands, one after the other, say what the page says that they do."""
    agent.tables["authority.pebble"] |= {"staging": agent.tables["authority.pebble"]["directory"]}
    guide = makers[page](agent)
    played = guide.play()
    if os.environ.get("RENEWER_WRITE_GUIDES"):
        guide.page.write_text(played)
    assert played == guide.page.read_text()
