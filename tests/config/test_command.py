import json
from pathlib import Path

import pytest

from renewer.cli import app, screen
from tests.config.conftest import HEAD, WWW, Write


def _run(*argv: object) -> int:
    return app._run([str(part) for part in argv])


@pytest.mark.real  # root alone may write to /var/www/html
def test_check_of_a_right_config(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what there is and that it is fine."""
    path = write(HEAD + WWW + 'hooks = ["nginx"]\n')
    assert _run("--config", path, "config", "check") == screen.OK
    assert capsys.readouterr() == ("1 certificate, 1 authority, 1 hook: fine\n", "")
    assert _run("--config", path, "config", "check", "--json") == screen.OK
    document = json.loads(capsys.readouterr().out)
    assert document == {"schema": 1, "path": str(path), "certificates": 1, "authorities": 1, "hooks": 1}


def test_check_of_a_wrong_config(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and each fault with its place and what to do; as one document with --json."""
    path = write("agnet = 1\n" + HEAD + WWW)
    assert _run("--config", path, "config", "check") == screen.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert f"  {path}:1: agnet: is not a known key\n    → did you mean 'agent'?\n" in err
    assert _run("--config", path, "config", "check", "--json") == screen.USAGE
    (fault,) = json.loads(capsys.readouterr().out)["error"]["faults"]
    assert (fault["path"], fault["line"], fault["file"]) == ("agnet", 1, str(path))


def test_check_looks_at_hooks(write: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A hook that is missing or that others can change is found before it is needed."""
    text = HEAD + WWW + 'hooks = ["own"]\n[hook.own]\nrun = "./own"\n'
    assert _run("--config", write(text), "config", "check") == screen.USAGE
    assert f"hook.own.run: {tmp_path}/own does not exist" in capsys.readouterr().err
    write("#!/bin/sh\n", "own").chmod(0o777)
    assert _run("--config", write(text), "config", "check") == screen.USAGE
    assert "can be written to by everybody" in capsys.readouterr().err


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """The schema is JSON Schema 2020-12 with the top-level tables, and needs no config."""
    assert _run("--config", "/nowhere", "config", "schema") == screen.OK
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    tables = schema["$defs"]["Document"]["properties"]
    assert set(tables) == {
        *("include", "agent", "defaults", "authority", "challenge", "certificate", "hook"),
        *("watch", "notify", "report"),
    }


@pytest.mark.real  # likewise
@pytest.mark.parametrize(("key", "notes"), [("ecdsa-p384", 1), ("rsa-2048", 0)])
def test_check_tells_of_two_for_one_place(
    write: Write, capsys: pytest.CaptureFixture[str], key: str, notes: int
) -> None:
    """Of two certificates with keys of one kind a server shows one; of two kinds it shows both."""
    ports = 'endpoints = ["www.example.org:443"]\n'
    other = WWW.replace("certificate.www", "certificate.other") + ports + f'key = "{key}"\n'
    path = write(HEAD + WWW + ports + other)
    assert _run("--config", path, "config", "check", "--json") == screen.OK
    found = [
        one for one in json.loads(capsys.readouterr().out).get("notes", []) if "www and other both" in one
    ]
    assert len(found) == notes
