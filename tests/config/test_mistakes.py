"""Mistakes that people make, in the configuration and around it: each has its place, and the way out."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from renewer.cli.app import _run

Spoil = Callable[[Path], object]


class Mistake(NamedTuple):
    """Lines put in at a place of a good configuration or the whole of it, or the host made otherwise.

    `line` is where it must be said to be, None where no line is to blame. `code` is how the check ends.
    """

    said: tuple[str, ...]
    line: int | None = None
    top: str = ""
    agent: str = ""
    defaults: str = ""
    www: str = ""
    end: str = ""
    names: str = 'names = ["www.example.org"]'
    host: Spoil = lambda _: None
    code: int = 2
    agreed: bool = True


def config(at: Path, one: Mistake) -> str:
    """Its top is line 1, what is put into [agent] 5, into [defaults] 8, names 11, more 12, the end 13."""
    return (
        f'{one.top}\n[agent]\nhost = "web-1"\nstate = "{at}/state"\n{one.agent}\n'
        f"[defaults]\nagree_terms = {'true' if one.agreed else 'false'}\n"
        + (
            one.defaults
            or f'authority = "letsencrypt"\nchallenge = {{ type = "http-01", webroot = "{at}/html" }}'
        )
        + f"\n[certificate.www]\n{one.names}\n{one.www}\n{one.end}\n"
    )


def rights(name: str, mode: int, text: str = "") -> Spoil:
    """Something lies there with that mode: a directory unless it has a text."""

    def spoil(at: Path) -> None:
        path = at / name
        path.write_text(text) if text else path.mkdir()
        path.chmod(mode)

    return spoil


def link(at: Path) -> None:
    """A directory of everybody's, with a link of a stranger's in it."""
    (at / "all").mkdir()
    (at / "all").chmod(0o1777)
    (at / "all" / "log").symlink_to(at)
    os.lchown(at / "all" / "log", 65534, 65534)


WEBROOT = 'challenge = {{ type = "http-01", webroot = "{0}/html" }}\n'
SCRIPT = "#!/bin/sh\nexit 0\n"

TOML = {
    "a bare name with dots": Mistake(
        ("certificate.example.org", '[certificate."example.org"]'),
        13,
        end='[certificate.example.org]\nnames = ["example.org"]',
    ),
    "two of them": Mistake(
        ('[certificate."shop.example.org"]', '[certificate."example.net"]'),
        13,
        end='[certificate.shop.example.org]\nnames = ["a.org"]\n[certificate.example.net]\nnames = ["b.org"]',
    ),
    "yes": Mistake(("is not TOML", "journald = true"), 5, agent="journald = yes"),
    "True": Mistake(("journald = true",), 5, agent="journald = True"),
    "yes in quotes": Mistake(
        ("agent.journald", "must be true or false", "journald = true"), 5, agent='journald = "yes"'
    ),
    "typographic quotes": Mistake(("straight quotes",), 5, agent="group = \u201cssl-cert\u201d"),
    "a typographic quote at the end": Mistake(("straight quotes",), 5, agent='group = "ssl-cert\u201d'),
    "a no-break space": Mistake(
        ("a no-break space (U+00A0)", "column 5", "type that space anew"), 5, agent='wake\xa0= "1h"'
    ),
    "a space without width": Mistake(("a space without width (U+200B)",), 5, agent='wake\u200b = "1h"'),
    "a colon": Mistake(("stands = : wake = …",), 5, agent='wake: "1h"'),
    "a colon in { }": Mistake(("stands = : type = …",), 12, www='challenge = { type: "http-01" }'),
    "no value": Mistake(("wake has no value",), 5, agent="wake ="),
    "half a line": Mistake(("wake has no value",), 5, agent="wake"),
    "no quotes": Mistake(('text stands in quotes: group = "value"',), 5, agent="group = ssl-cert"),
    "no quotes in a list": Mistake(
        ("each text of a list stands in quotes",), 11, names="names = [www.example.org]"
    ),
    "no brackets": Mistake(
        ('several stand in [ ]: names = ["…", "…"]',), 11, names='names = "a.org", "b.org"'
    ),
    "no comma": Mistake(("names of line 11 lacks a comma",), 11, names='names = ["a.org" "b.org"]'),
    "a list not closed": Mistake(
        ("the list names of line 11 is not closed",), 12, names='names = ["a.org"', www="notify = []"
    ),
    "a quote not closed": Mistake(("the quote is not closed",), 5, agent='group = "ssl-cert'),
    "a table not closed": Mistake(("close it: [hook.x]",), 13, end="[hook.x"),
    "{ } on several lines": Mistake(
        ("stands on one line", "a table of its own"), 12, www='challenge = {\n type = "x"\n}'
    ),
    "a key of two words": Mistake(("a key is one word: look_every",), 5, agent='look every = "1h"'),
    "a key twice": Mistake(("group stands in line 5 already",), 6, agent='group = "a"\ngroup = "b"'),
    "a table twice": Mistake(("[agent] stands in line 2 already",), 13, end="[agent]"),
    "a comment of another language": Mistake(("a comment begins with #",), 5, agent="// every hour"),
    "a mode without quotes": Mistake(
        ('a mode stands in quotes: key_mode = "0640"',), 12, www="key_mode = 0640"
    ),
    "a span without quotes": Mistake(("stands in quotes: wake =",), 5, agent="wake = 1h"),
    "a merge's marks": Mistake(("a merge left its marks",), 5, agent="<<<<<<< HEAD"),
}
KEYS = {
    "a unit missing": Mistake(("agent.wake", '"60m"'), 5, agent="wake = 60"),
    "a unit missing in quotes": Mistake(
        ("agent.wake", "write a number and s, m, h or d"), 5, agent='wake = "60"'
    ),
    "a size without a unit": Mistake(("agent.log_size", '"10M"'), 5, agent="log_size = 10"),
    "a mode as a number": Mistake(
        ("certificate.www.key_mode", 'in quotes and octal: "0640"'), 12, www="key_mode = 640"
    ),
    "include below a table": Mistake(
        ("agent.include", "move include to the top of the file"), 5, agent='include = ["conf.d/*.toml"]'
    ),
    "include below a certificate": Mistake(
        ("certificate.www.include", "above the first [table]"), 12, www='include = ["x.toml"]'
    ),
    "another program's table": Mistake(
        ("cert", "did you mean 'certificate'?"), 13, end='[cert.x]\nnames = ["x.org"]'
    ),
    "another program's key": Mistake(
        ("certificate.www.domains", "did you mean 'names'?"), 12, www='domains = ["x.org"]'
    ),
    "a key of another table": Mistake(
        ("certificate.www.contact", "it belongs to [defaults]"), 12, www='contact = ["a@b.org"]'
    ),
    "a webroot without a challenge": Mistake(
        ("it belongs to [challenge.NAME]",), 12, www='webroot = "/srv/www"'
    ),
    "a command for a hook": Mistake(
        ("hooks are named here", 'hooks = ["nginx"]'), 12, www='hooks = ["service nginx reload"]'
    ),
    "a wildcard without DNS": Mistake(
        ("cannot be proved by http-01", "give it a dns-01 challenge"), 11, names='names = ["*.example.org"]'
    ),
    "terms not agreed to": Mistake(("defaults.agree_terms", "agree_terms = true"), 7, agreed=False),
}
WORLD = {
    "a webroot that is not there": Mistake(
        ("the webroot", "/nowhere does not exist", "make that directory, or correct `webroot`"),
        12,
        www='challenge = { type = "http-01", webroot = "{0}/nowhere" }',
    ),
    "no binding for zerossl": Mistake(
        (
            "certificate.www.authority",
            "external account binding",
            "[authority.zerossl] eab =",
            "app.zerossl.com",
        ),
        12,
        www='authority = "zerossl"',
    ),
    "no binding for google": Mistake(
        ("external account binding", "gcloud publicca"), 12, www='authorities = ["google"]'
    ),
    "a secret that is not there": Mistake(
        ("authority.x.eab.hmac", "cannot be read", "put the secret there"),
        16,
        www='authority = "x"',
        end='[authority.x]\ndirectory = "https://ca.example.org/"\nagree_terms = true\neab = { kid = "1", '
        'hmac = { file = "{0}/none" } }',
    ),
    "a secret for everybody": Mistake(
        ("hook.own.env.TOKEN", "everybody can read it", "chmod o-rwx"),
        15,
        www='hooks = ["own"]',
        end='[hook.own]\nrun = "{0}/own"\nenv = { TOKEN = { file = "{0}/token" } }',
        host=lambda at: (rights("own", 0o755, SCRIPT)(at), rights("token", 0o644, "x")(at)),
    ),
    "a name without a dot": Mistake(
        ("certificate.www.names[1]", "'localhost' has no dot", "no public authority takes it"),
        11,
        names='names = ["www.example.org", "localhost"]',
    ),
    "a name with an underscore": Mistake(
        ("'my_host.example.org' has an underscore",), 11, names='names = ["my_host.example.org"]'
    ),
    "a name of the own network": Mistake(
        ("ends in .internal", "an authority of your own"), 11, names='names = ["www.internal"]'
    ),
    "an address of the own network": Mistake(
        ("'10.0.0.7' is no public address",), 11, names='names = ["10.0.0.7"]'
    ),
    "an owner nobody knows": Mistake(
        ("certificate.www.copies[0].owner", "there is no user 'ngnix'", "correct `owner`"),
        12,
        www='copies = [{ fullchain = "{0}/www.pem", owner = "ngnix" }]',
    ),
    "a group nobody knows": Mistake(
        ("certificate.www.copies[0].group", "there is no group 'no-such'"),
        12,
        www='copies = [{ key = "{0}/www.key", group = "no-such" }]',
    ),
    "the agent's group": Mistake(
        ("agent.group", "there is no group 'ssl-certs'", "groupadd"), 5, agent='group = "ssl-certs"'
    ),
    "a copy into nowhere": Mistake(
        ("certificate.www.copies[0].fullchain", "its directory does not exist", "mkdir -p"),
        12,
        www='copies = [{ fullchain = "{0}/none/www.pem" }]',
    ),
    "a log that is a directory": Mistake(
        ("agent.log", "is a directory", "name a file in it"), 5, agent='log = "{0}/html"'
    ),
    "a log behind a stranger's link": Mistake(
        ("agent.log", "a symbolic link on the way"), 5, agent='log = "{0}/all/log/renewal.log"', host=link
    ),
    "a page into nowhere": Mistake(
        ("report.page", "its directory does not exist", "mkdir -p"),
        14,
        end='[report]\npage = "{0}/none/index.html"',
    ),
    "metrics into nowhere": Mistake(
        ("report.metrics", "mkdir -p"), 14, end='[report]\nmetrics = "{0}/none/renewer.prom"'
    ),
    "a hook that is not there": Mistake(
        ("hook.own.run", "does not exist"), 14, www='hooks = ["own"]', end='[hook.own]\nrun = "{0}/own"'
    ),
    "a hook that cannot be run": Mistake(
        ("hook.own.run", "chmod +x"),
        14,
        www='hooks = ["own"]',
        end='[hook.own]\nrun = "{0}/own"',
        host=rights("own", 0o644, SCRIPT),
    ),
    "a hook that all can change": Mistake(
        ("hook.own.run", "can be written to by everybody", "chmod go-w"),
        14,
        www='hooks = ["own"]',
        end='[hook.own]\nrun = "{0}/own"',
        host=rights("own", 0o777, SCRIPT),
    ),
    "roots that cannot be read": Mistake(
        ("authority.letsencrypt.roots", "cannot be used"),
        14,
        end='[authority.letsencrypt]\nroots = "{0}/none.pem"',
    ),
    "a bundle that cannot be read": Mistake(
        ("authority.letsencrypt.ca_bundle",), 14, end='[authority.letsencrypt]\nca_bundle = "{0}/none.pem"'
    ),
    "two with the same names": Mistake(
        ("www and other have the same names", "take one of them out"),
        end='[certificate.other]\nnames = ["www.example.org"]',
        code=0,
    ),
    "an authority for tests": Mistake(
        ("letsencrypt-staging is an authority for tests", 'authority = "letsencrypt"'),
        www='authority = "letsencrypt-staging"',
        code=0,
    ),
    "a hook that nobody names": Mistake(
        ("the hook nginx is named by no certificate", 'hooks = ["nginx"]'), end="[hook.nginx]", code=0
    ),
    "a heartbeat without its secret": Mistake(
        ("report.heartbeat", "cannot be read"), end='[report]\nheartbeat = { file = "{0}/none" }', code=0
    ),
    "an address without its profile": Mistake(
        ("9.9.9.9", 'profile = "shortlived"'), names='names = ["9.9.9.9"]', code=0
    ),
    "no certificate": Mistake(("there is no certificate in it", "[certificate.www]"), names="", code=0),
    "an include that matches nothing": Mistake(
        ("conf.d/*.toml matches no file",), top='include = ["{1}/*.toml"]', code=0
    ),
}
MISTAKES = TOML | KEYS | WORLD
NAMED = pytest.mark.parametrize("name", MISTAKES)


@NAMED
def test_a_mistake(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its file and line, words that matter, the way out, exit 2 (0 for what is merely odd), no traceback."""
    one = MISTAKES[name]
    for path in ("html", "conf.d"):
        (tmp_path / path).mkdir()
    one.host(tmp_path)
    text = config(tmp_path, one).replace("{0}", str(tmp_path)).replace("{1}", "conf.d")
    text = text.replace("[certificate.www]\n\n", "") if not one.names else text
    file = tmp_path / "config.toml"
    file.write_text(text)
    file.chmod(0o644)

    code = _run(["--config", str(file), "config", "check"])
    out, err = capsys.readouterr()

    said = out + err
    assert code == one.code, said
    assert "Traceback" not in said
    for words in one.said:
        assert words in said, said
    assert "→ " in said or one.code == 0
    if one.line is not None:
        assert f"{file}:{one.line}: " in err, said

    assert _run(["--config", str(file), "config", "check", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert ("error" in document) == (code == 2)


def test_there_are_many() -> None:
    """Forty at least are known by name."""
    assert len(MISTAKES) >= 40


def test_a_good_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What all of them were made from is fine."""
    (tmp_path / "html").mkdir()
    file = tmp_path / "config.toml"
    file.write_text(config(tmp_path, Mistake(())))
    assert _run(["--config", str(file), "config", "check"]) == 0
    assert capsys.readouterr().out == "1 certificate, 1 authority, 0 hooks: fine\n"


def test_the_line_is_that_of_the_included_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also of what only a look at the host shows."""
    (tmp_path / "html").mkdir()
    file, more = tmp_path / "config.toml", tmp_path / "more.toml"
    file.write_text(config(tmp_path, Mistake((), top='include = ["more.toml"]')))
    more.write_text('\n[certificate.x]\n# a comment\nnames = [\n  "x.example.org",\n  "localhost",\n]\n')
    assert _run(["--config", str(file), "config", "check"]) == 2
    assert f"{more}:6: certificate.x.names[1]: 'localhost' has no dot" in capsys.readouterr().err


def test_an_own_authority_takes_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only public ones are known to refuse."""
    (tmp_path / "html").mkdir()
    file = tmp_path / "config.toml"
    own = '[authority.own]\ndirectory = "https://ca.internal/acme"\nagree_terms = true'
    names = 'names = ["printer", "my_host.lan", "10.0.0.7"]\nauthority = "own"'
    file.write_text(config(tmp_path, Mistake((), names=names, end=own)))
    assert _run(["--config", str(file), "config", "check"]) == 0, capsys.readouterr()


def test_a_registered_account_needs_no_binding(tmp_path: Path) -> None:
    """Who has an account already is not told to bind one."""
    (tmp_path / "html").mkdir()
    home = tmp_path / "state" / "authorities" / "acme.zerossl.com" / "zerossl"
    home.mkdir(parents=True)
    for path in (home, *list(home.parents)[:3]):
        path.chmod(0o700)
    (home / "account.json").write_text('{"url": "https://acme.zerossl.com/v2/DV90/account/x"}')
    file = tmp_path / "config.toml"
    file.write_text(config(tmp_path, Mistake((), www='authority = "zerossl"')))
    assert _run(["--config", str(file), "config", "check"]) == 0
