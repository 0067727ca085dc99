"""Requests of the operator's in the config: what nobody could order with is told before anything is done."""

import base64
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.conftest import HEAD, Faulty

MINE = '[certificate.www]\nnames = ["www.example.org"]\n'


def _request(
    path: Path, names: str, *, how: tuple[str, ...] = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
) -> Path:
    """A request made by OpenSSL, as people make theirs."""
    argv = ["openssl", "req", "-new", "-nodes", "-newkey", *how, "-keyout", f"{path}.key", "-out", str(path)]
    argv += ["-subj", "/", "-addext", f"subjectAltName={names}"]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    path.chmod(0o644)
    return path


def _changed(path: Path) -> Path:
    """The same with another signature."""
    lines = path.read_text().splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[-5] ^= 1
    path.write_text("\n".join((lines[0], base64.b64encode(der).decode(), lines[-1], "")))
    return path


REQUESTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, "cannot be read: No such file"),
    "a directory": (Path.mkdir, "Is a directory"),
    "a pipe": (os.mkfifo, "is not a file"),
    "too large": (lambda path: path.write_bytes(bytes(64 * 1024 + 1)), "is larger than 64 KiB"),
    "empty": (Path.touch, "is no certificate signing request"),
    "a key": (
        lambda path: path.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        "is no certificate signing request",
    ),
    "cut off": (
        lambda path: path.write_bytes(_request(path, "DNS:www.example.org").read_bytes()[:200]),
        "is no certificate signing request",
    ),
    "other names": (
        lambda path: _request(path, "DNS:evil.example.org"),
        "is also for evil.example.org and is not for www.example.org",
    ),
    "more names": (
        lambda path: _request(path, "DNS:www.example.org,DNS:b.example.org"),
        "is also for b.example.org",
    ),
    "a mailbox": (
        lambda path: _request(path, "DNS:www.example.org,email:a@example.org"),
        "neither of hosts nor addresses",
    ),
    "a bad name": (lambda path: _request(path, "DNS:www.example.org,DNS:-x_y"), "cannot be read"),
    "weak": (
        lambda path: _request(path, "DNS:www.example.org", how=("rsa:1024",)),
        "has a key that authorities do not take",
    ),
    "a strange curve": (
        lambda path: _request(
            path, "DNS:www.example.org", how=("ec", "-pkeyopt", "ec_paramgen_curve:secp256k1")
        ),
        "has a key that authorities do not take",
    ),
    "Ed25519": (
        lambda path: _request(path, "DNS:www.example.org", how=("ed25519",)),
        "has a key that authorities do not take",
    ),
    "changed": (lambda path: _changed(_request(path, "DNS:www.example.org")), "is not signed by its own key"),
    "anybody's": (lambda path: _request(path, "DNS:www.example.org").chmod(0o666), "others could change it"),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_that_nobody_could_order_with(faults: Faulty, tmp_path: Path, case: str) -> None:
    """One fault, at its key, that says why and names the file."""
    make, said = REQUESTS[case]
    path = tmp_path / "www.csr"
    make(path)
    (fault,) = faults(HEAD + MINE + f'csr = "{path}"\n')
    assert fault.path == "certificate.www.csr"
    assert said in fault.text
    assert str(path) in fault.text
    assert fault.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [("key", '"rsa-2048"'), ("reuse_key", "true"), ("placeholder", "true"), ("key_mode", '"0640"')],
)
def test_what_does_not_go_with_a_request(faults: Faulty, tmp_path: Path, key: str, value: str) -> None:
    """Whatever needs a key of ours is refused; false is what it is anyhow."""
    path = _request(tmp_path / "www.csr", "DNS:www.example.org")
    (fault,) = faults(HEAD + MINE + f'csr = "{path}"\n{key} = {value}\n')
    assert (fault.path, "does not go with csr" in fault.text) == (f"certificate.www.{key}", True)


@pytest.mark.parametrize("part", ["key", "key_der", "combined", "pkcs12", "jks"])
def test_copies_that_need_the_key_of_a_request(faults: Faulty, tmp_path: Path, part: str) -> None:
    """They cannot be written, wherever they are asked for."""
    path = _request(tmp_path / "www.csr", "DNS:www.example.org")
    sealed = ', password = { env = "P" }' if part in ("pkcs12", "jks") else ""
    copies = f'copies = [{{ {part} = "{tmp_path}/x"{sealed} }}]\n'
    (fault,) = faults(HEAD + MINE + f'csr = "{path}"\n{copies}')
    assert (fault.path, "which is not here" in fault.text) == (f"certificate.www.copies[0].{part}", True)


def test_neither_names_nor_a_request(faults: Faulty) -> None:
    """One of them says what the certificate is for."""
    (fault,) = faults(HEAD + "[certificate.www]\n")
    assert (fault.path, fault.text) == ("certificate.www.names", "is missing")
