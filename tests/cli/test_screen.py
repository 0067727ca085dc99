"""What every command speaks with."""

import json

import pytest

from renewer.cli import screen


def test_half_characters_are_no_defect(capsys: pytest.CaptureFixture[str]) -> None:
    """What is no Unicode (a file's name, a hook's output) gets question marks, the rest stays as it is."""
    screen.emit({"path": "/srv/\udcff.pem", "names": ("bücher.example.org", "\ud800")})

    assert json.loads(capsys.readouterr().out) == {"path": "/srv/?.pem", "names": ["bücher.example.org", "?"]}
