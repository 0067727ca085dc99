import os
from pathlib import Path

import pytest

from renewer import secrets
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Secret, SecretSource

VALUE = "hunter2"


def _secret(source: SecretSource, *argument: object) -> Secret:
    return Secret(source=source, argument=tuple(str(part) for part in argument))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A secret's file as it should be."""
    path = tmp_path / "secret"
    path.write_text(VALUE + "\n")
    path.chmod(0o640)
    return path


def test_each_source(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret comes from a file, a variable, a systemd credential or a program, without its last newline."""
    monkeypatch.setenv("RENEWER_TEST_SECRET", VALUE)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(file.parent))
    for secret in (
        _secret(SecretSource.FILE, file),
        _secret(SecretSource.ENV, "RENEWER_TEST_SECRET"),
        _secret(SecretSource.CREDENTIAL, "secret"),
        _secret(SecretSource.COMMAND, "/bin/echo", VALUE),
        _secret(SecretSource.COMMAND, "/bin/sh", "-c", f"echo noise >&2; echo '{VALUE}'"),
    ):
        assert secrets.resolve(secret) == VALUE
        assert VALUE not in repr(secret) or secret.source is SecretSource.COMMAND


@pytest.mark.parametrize(("raw", "value"), [("a\n\n", "a\n"), ("a\r\n", "a"), (" a ", " a "), ("ü", "ü")])
def test_only_one_newline_is_taken_off(file: Path, raw: str, value: str) -> None:
    """What else stands at the ends belongs to the secret."""
    file.write_bytes(raw.encode())
    assert secrets.resolve(_secret(SecretSource.FILE, file)) == value


@pytest.mark.parametrize(
    ("mode", "said"),
    [(0o644, "everybody can read it"), (0o620, "others could change it"), (0o602, "others could change it")],
)
def test_careless_files_are_refused(file: Path, mode: int, said: str) -> None:
    """A secret that everybody can read, or others can write, is not used; the hint mends it."""
    file.chmod(mode)
    with pytest.raises(GiveUp, match=said) as refusal:
        secrets.resolve(_secret(SecretSource.FILE, file))
    assert refusal.value.hint.startswith("chmod")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "not UTF-8"), (b"x" * 33000, "32 KiB")],
)
def test_odd_contents_are_refused(file: Path, content: bytes, said: str) -> None:
    """What cannot be a secret is told without being shown."""
    file.write_bytes(content)
    with pytest.raises(GiveUp, match=said):
        secrets.resolve(_secret(SecretSource.FILE, file))


@pytest.mark.parametrize(
    ("secret", "error", "said"),
    [
        (_secret(SecretSource.FILE, "/nowhere/x"), GiveUp, "No such file"),
        (_secret(SecretSource.FILE, "/etc"), GiveUp, "/etc"),
        (_secret(SecretSource.ENV, "RENEWER_NOT_SET"), GiveUp, "no variable RENEWER_NOT_SET"),
        (_secret(SecretSource.CREDENTIAL, "x"), GiveUp, "systemd gave us no credentials"),
        (_secret(SecretSource.COMMAND, "/bin/sh", "-c", f"echo {VALUE} >&2; exit 3"), RetryLater, "exit 3"),
        (_secret(SecretSource.COMMAND, "/nowhere/x"), RetryLater, "exit 127"),
        (_secret(SecretSource.COMMAND, "/bin/true"), GiveUp, "is empty"),
    ],
)
def test_secrets_that_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, secret: Secret, error: type[RenewerError], said: str
) -> None:
    """What is missing is told with a hint; a program may work later; its complaints are not repeated."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(error, match=said) as refusal:
        secrets.resolve(secret)
    assert VALUE not in str(refusal.value) + refusal.value.hint


def test_credentials_stay_in_their_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A credential's name is a name, not a path."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(GiveUp, match="not a credential's name"):
        secrets.resolve(_secret(SecretSource.CREDENTIAL, "../x"))


def test_a_program_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password store that asks a person is ended at the time limit."""
    monkeypatch.setattr(secrets, "COMMAND_TIMEOUT", 0.05)
    with pytest.raises(RetryLater, match=r"no secret in 0\.05 s"):
        secrets.resolve(_secret(SecretSource.COMMAND, "/bin/sleep", "60"))


def test_a_program_sees_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is scrubbed."""
    monkeypatch.setenv("PYTHONPATH", "/x")
    secret = _secret(SecretSource.COMMAND, "/bin/sh", "-c", 'echo "${PYTHONPATH-none}"')
    assert secrets.resolve(secret) == "none"
    assert "PYTHONPATH" in os.environ
