"""Every format, read back by other people's programs; what cannot be made or opened; whose it is."""

import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from renewer import certs, copies, proc, x509
from renewer.copies import keystores
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import (
    SEALED_PARTS,
    Copy,
    CopyPart,
    Encryption,
    KeyType,
    Secret,
    SecretSource,
)
from renewer.store.contract import Material
from tests.builders import NOW
from tests.copies.pairs import NAME, PASSWORD, content, copy_of, pair, password_file

WITH_CERTIFICATE = [part for part in CopyPart if part not in (CopyPart.KEY, CopyPart.KEY_DER, CopyPart.CHAIN)]


def told(*argv: str | Path, password: str = PASSWORD) -> bytes:
    """What a program prints that ends well; it finds the password in its environment."""
    env = {"PATH": os.environ["PATH"], "P": password}
    return subprocess.run(argv, env=env, check=True, capture_output=True, timeout=60).stdout


def public_key(*argv: str | Path) -> bytes:
    """The public half of a private key, by openssl."""
    return told("openssl", "pkey", *argv, "-pubout", "-outform", "DER")


def blocks(pem: bytes) -> list[bytes]:
    """The blocks of a PEM, without the words that openssl writes between them."""
    return [
        found[0] for found in re.finditer(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", pem, re.DOTALL)
    ]


def ours(done: list[copies.Written]) -> dict[str, str]:
    """What the ledger would know."""
    return {one.path: one.sha256 for one in done}


@pytest.mark.parametrize("kind", [KeyType.ECDSA_P256, KeyType.RSA_2048])
def test_keystore_by_openssl(place: Path, kind: KeyType) -> None:
    """OpenSSL 3 opens the PKCS#12 with its default provider alone: key, leaf and chain are the very ones."""
    key = x509.new_key(kind)
    own = Material(privkey=key, cert=x509.placeholder(certs.leaf(pair().cert).names, key, NOW), chain=b"")
    for material in (own, pair()):
        copies.put(copy_of(place, CopyPart.PKCS12), material, {})
        path = place / "pkcs12"

        chain = told("openssl", "pkcs12", "-in", path, "-passin", "env:P", "-nokeys")
        private = told("openssl", "pkcs12", "-in", path, "-passin", "env:P", "-nocerts", "-noenc")

        assert blocks(chain) == [pem.strip() for pem in certs.split_chain(material.fullchain)]
        assert [x509.key_der(pem) for pem in blocks(private)] == [x509.key_der(material.privkey)]
        assert b"friendlyName: www" in chain


def test_keystore_is_sealed_as_today(place: Path) -> None:
    """AES-256 and HMAC-SHA-256 for key, certificates and MAC: no RC2, no 3DES, no SHA-1."""
    copies.put(copy_of(place, CopyPart.PKCS12), pair(), {})
    done = subprocess.run(  # what is asked for comes on stderr
        ["/usr/bin/openssl", "pkcs12", "-in", place / "pkcs12", "-passin", "env:P", "-info", "-noout"],
        env={"PATH": os.environ["PATH"], "P": PASSWORD},
        check=True,
        capture_output=True,
        text=True,
    )
    said = [line.split(", Iteration")[0] for line in done.stderr.splitlines()]
    assert said.count("MAC: sha256") == 1
    assert [line.split(": ")[1] for line in said if "PBES2" in line] == ["PBES2, PBKDF2, AES-256-CBC"] * 2
    assert done.stderr.count("PRF hmacWithSHA256") == 2


@pytest.mark.parametrize("part", SEALED_PARTS)
def test_keystore_by_java(place: Path, part: CopyPart) -> None:
    """Java lists one key under the certificate's name, with its whole chain, in a store of the right kind."""
    copies.put(copy_of(place, part), pair(), {})

    said = told("keytool", "-list", "-v", "-keystore", place / part, "-storepass:env", "P").decode()

    digest = hashlib.sha256(certs.der(pair().cert)).hexdigest().upper()
    assert f"Keystore type: {part.upper()}" in said
    assert "Alias name: www" in said
    assert "Entry type: PrivateKeyEntry" in said
    assert "Certificate chain length: 2" in said
    assert "SHA256: " + ":".join(digest[i : i + 2] for i in range(0, 64, 2)) in said


@pytest.mark.parametrize("part", SEALED_PARTS)
def test_java_gets_the_key(place: Path, tmp_path: Path, part: CopyPart) -> None:
    """The key inside opens with the same password, as servers expect: Java signs with it, for our leaf."""
    copies.put(copy_of(place, part), pair(), {})
    request = tmp_path / "request.pem"

    told(
        *("keytool", "-certreq", "-alias", "www", "-keystore", place / part),
        *("-storepass:env", "P", "-file", request),
    )

    signed = told("openssl", "req", "-in", request, "-verify", "-pubkey", "-noout")
    assert b"".join(signed.splitlines()[1:-1]) == b"".join(
        told("openssl", "x509", "-in", write(tmp_path, pair().cert), "-pubkey", "-noout").splitlines()[1:-1]
    )


def write(directory: Path, data: bytes) -> Path:
    """A file with this in it."""
    path = directory / "given"
    path.write_bytes(data)
    return path


def test_der_and_pem(place: Path, tmp_path: Path) -> None:
    """DER by openssl; PEM files hold what their names say; combined is leaf, chain, key."""
    material = pair()
    copies.put(copy_of(place), material, {})
    found = content(place)

    assert told("openssl", "x509", "-inform", "DER", "-in", place / "der") == material.cert
    assert public_key("-inform", "DER", "-in", place / "key_der") == public_key(
        "-in", write(tmp_path, material.privkey)
    )
    assert (found["key"], found["cert"], found["chain"]) == (material.privkey, material.cert, material.chain)
    assert found["fullchain"] == material.cert + material.chain
    assert found["combined"] == material.cert + material.chain + material.privkey


def test_nothing_is_written_twice(place: Path) -> None:
    """A keystore that holds the very pair stays, though sealing it anew would give other bytes."""
    copies.put(copy_of(place), pair(), {})
    before = {path.name: path.stat().st_ino for path in place.iterdir()}

    again = copies.put(copy_of(place), pair(), {})  # {}: not even the ledger knows that they are ours

    assert [one.path for one in again if not one.unchanged] == []
    assert {path.name: path.stat().st_ino for path in place.iterdir()} == before


def test_undo_of_every_format(place: Path) -> None:
    """Turning back gives the previous bytes, to the last salt; again and again."""
    first = copies.put(copy_of(place), pair(), {})
    before = content(place)
    second = copies.put(copy_of(place), pair(91), ours(first))
    unchanged = [name for name, data in content(place).items() if before[name] == data]

    assert copies.undo(second)[1] == []

    assert content(place) == before
    assert unchanged == ["chain"]


def test_another_password(place: Path, tmp_path: Path) -> None:
    """With a new password keystores are sealed anew, open with nothing else, and leave no old ones beside."""
    wish = copy_of(place, *SEALED_PARTS)
    first = copies.put(wish, pair(), {})
    wishes = [one.wish for one in first]
    password_file(tmp_path, "another one")

    second = copies.put(wish, pair(), ours(first))

    assert [one.unchanged for one in second] == [False, False]
    assert all(new.wish != old for new, old in zip(second, wishes, strict=True))
    for part in SEALED_PARTS:
        told("keytool", "-list", "-keystore", place / part, "-storepass:env", "P", password="another one")
        with pytest.raises(subprocess.CalledProcessError):
            told("keytool", "-list", "-keystore", place / part, "-storepass:env", "P")
    assert sorted(content(place)) == ["jks", "pkcs12"]


@pytest.mark.parametrize(
    ("password", "part", "text"),
    [
        ("grün", CopyPart.PKCS12, "something else than printable ASCII"),
        ("a\nb", CopyPart.PKCS12, "something else than printable ASCII"),
        ("12345", CopyPart.JKS, "fewer than 6 characters"),
        ("", CopyPart.PKCS12, "is empty"),
    ],
)
def test_password_that_will_not_do(
    place: Path, tmp_path: Path, password: str, part: CopyPart, text: str
) -> None:
    """It is said what is wrong with it, not what it is; no file is written, not even the key beside it."""
    password_file(tmp_path, password)
    with pytest.raises(GiveUp, match=text) as caught:
        copies.put(copy_of(place, CopyPart.KEY, part), pair(), {})
    assert caught.value.hint
    assert not password or password not in caught.value.text + caught.value.hint
    assert content(place) == {}


def test_password_from_nowhere(place: Path) -> None:
    """A reference that leads nowhere is told before anything is written."""
    secret = Secret(source=SecretSource.ENV, argument=("NO_SUCH_VARIABLE",))
    wish = Copy(paths=((CopyPart.PKCS12, str(place / "x")),), password=secret, alias="www")
    with pytest.raises(GiveUp, match="NO_SUCH_VARIABLE"):
        copies.put(wish, pair(), {})
    assert content(place) == {}


def test_no_keytool(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java it is said what to install; PKCS#12 needs none."""
    monkeypatch.setattr(proc, "_PATH", str(tmp_path))
    with pytest.raises(GiveUp, match="there is no keytool") as caught:
        copies.put(copy_of(place, CopyPart.JKS), pair(), {})
    assert "default-jre-headless" in caught.value.hint
    copies.put(copy_of(place, CopyPart.PKCS12), pair(), {})
    assert list(content(place)) == ["pkcs12"]


@pytest.fixture
def keytool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a keytool of our own in the place of Java's; it writes down its arguments first."""

    def make(line: str) -> Path:
        directory = tmp_path / "bin"
        directory.mkdir()
        tool = directory / "keytool"
        tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/argv\n{line}\n')
        tool.chmod(0o755)
        monkeypatch.setattr(proc, "_PATH", f"{directory}:/usr/bin:/bin")
        return tmp_path / "argv"

    return make


def test_keytool_that_fails(place: Path, keytool: Callable[[str], Path]) -> None:
    """Its first line is told, but for the password; that stands in no argument either."""
    argv = keytool('echo "error with $RENEWER_KEYSTORE"; exit 1')
    with pytest.raises(RetryLater, match="error with …") as caught:
        copies.put(copy_of(place, CopyPart.KEY, CopyPart.JKS), pair(), {})
    assert PASSWORD not in str(caught.value)
    assert "-deststorepass:env\nRENEWER_KEYSTORE\n" in argv.read_text()
    assert PASSWORD not in argv.read_text()
    assert content(place) == {}


def test_keytool_that_hangs(
    place: Path, keytool: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a time limit."""
    keytool("sleep 600")
    monkeypatch.setattr(keystores, "KEYTOOL", 0.2)
    with pytest.raises(RetryLater, match=r"made no keystore in 0\.2 s"):
        copies.put(copy_of(place, CopyPart.JKS), pair(), {})


def test_keytool_that_writes_nothing(place: Path, keytool: Callable[[str], Path]) -> None:
    """Exit code 0 is not believed without a file."""
    keytool("exit 0")
    with pytest.raises(RetryLater, match="no keystore can be made: No such file"):
        copies.put(copy_of(place, CopyPart.JKS), pair(), {})


@pytest.mark.parametrize("part", WITH_CERTIFICATE)
def test_later_one_of_somebody_else(place: Path, part: CopyPart) -> None:
    """In every format: a certificate that ends later than ours is left alone, with its key, and told."""
    copies.put(copy_of(place, CopyPart.KEY, part), pair(200), {})
    theirs = content(place)

    done = copies.put(copy_of(place, CopyPart.KEY, part), pair(), {})

    assert {one.note for one in done} == {
        f"{place / part} holds a certificate that ends later than ours: this copy is left alone"
    }
    assert content(place) == theirs


@pytest.mark.parametrize("part", WITH_CERTIFICATE)
def test_later_one_of_ours(place: Path, part: CopyPart) -> None:
    """In every format: a later version of ours is replaced, though nobody remembers who wrote it."""
    copies.put(copy_of(place, CopyPart.KEY, part), pair(200), {})

    versions = {certs.leaf(pair(200).cert).fingerprint}
    done = copies.put(copy_of(place, CopyPart.KEY, part), pair(), {}, versions=versions)

    assert {one.note for one in done} == {""}
    assert (place / CopyPart.KEY).read_bytes() == pair().privkey


def keeper(kept: dict[str, bytes]) -> Callable[[str, bytes, str | None], str]:
    """Takes what stood at a path before us."""

    def keep(path: str, found: bytes, link: str | None) -> str:
        assert link is None
        kept[path] = found
        return f"kept/{path}"

    return keep


@pytest.mark.parametrize("part", WITH_CERTIFICATE)
def test_earlier_one_of_somebody_else(place: Path, part: CopyPart) -> None:
    """In every format: one that ends earlier is handed over to be kept, and replaced."""
    copies.put(copy_of(place, part), pair(10), {})
    theirs = content(place)[part]
    kept: dict[str, bytes] = {}

    copies.put(copy_of(place, part), pair(), {}, keep=keeper(kept))

    assert kept == {str(place / part): theirs}
    assert content(place).keys() == {part}  # nothing that a server might load lies beside it
    assert content(place)[part] != theirs


@pytest.mark.parametrize("part", list(CopyPart))
@pytest.mark.parametrize("junk", [b"-----BEGIN CERTIFICATE-----\nx", b"\x30\x82\xff\xff"])
def test_junk_is_replaced(place: Path, part: CopyPart, junk: bytes) -> None:
    """Whatever lies there, it is handed over to be kept, and ours is written."""
    (place / part).write_bytes(junk)
    kept: dict[str, bytes] = {}
    copies.put(copy_of(place, part), pair(), {}, keep=keeper(kept))
    assert kept == {str(place / part): junk}
    assert content(place)[part] not in (junk, b"")


def test_keystore_that_takes_for_ever(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's keystore says itself how long it takes to open: it gets its time, and no more."""
    given = write(tmp_path, pair().fullchain + pair().privkey)
    told(
        *("openssl", "pkcs12", "-export", "-in", given, "-out", place / "pkcs12", "-name", "www"),
        *("-passout", "env:P", "-iter", "4000000", "-nomac"),
    )
    monkeypatch.setattr(keystores, "OPENING", 0.5)

    kept: dict[str, bytes] = {}
    (done,) = copies.put(copy_of(place, CopyPart.PKCS12), pair(), {}, keep=keeper(kept))

    assert (done.unchanged, done.note) == (False, "")
    assert (list(content(place)), list(kept)) == (["pkcs12"], [str(place / "pkcs12")])


def test_what_the_child_cannot_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the process that opens keystores breaks down, the keystore counts as unknown, and is written."""
    first = copies.put(copy_of(place, CopyPart.PKCS12), pair(), {})
    monkeypatch.setattr("sys.executable", "/bin/false")

    (done,) = copies.put(copy_of(place, CopyPart.PKCS12), pair(), ours(first))

    assert not done.unchanged
    told("openssl", "pkcs12", "-in", place / "pkcs12", "-passin", "env:P", "-noout")


def test_nothing_is_left_in_the_scratch_directory(place: Path, tmp_path: Path) -> None:
    """What keytool was given is gone afterwards, also if it failed."""
    monkey = tmp_path / "scratch"
    monkey.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(monkey))
        patch.setattr("tempfile.tempdir", None)
        copies.put(copy_of(place, CopyPart.JKS), pair(), {})
        patch.setattr(proc, "_PATH", str(tmp_path))
        with pytest.raises(RenewerError):
            copies.put(copy_of(place, CopyPart.JKS), pair(91), {})
    patch.undo()
    assert list(monkey.iterdir()) == []


def test_names_inside(place: Path) -> None:
    """The leaf in a keystore is the one for our name (its subject may be empty, as authorities send it)."""
    copies.put(copy_of(place, CopyPart.PKCS12), pair(), {})
    alias, _, certificates = x509.open_keystore((place / "pkcs12").read_bytes(), PASSWORD)
    assert (alias, [str(name) for name in certs.leaf_from_der(certificates[0]).names]) == ("www", [NAME])


LEGACY = [False, True]


@pytest.mark.parametrize("legacy", LEGACY, ids=["modern", "legacy"])
@pytest.mark.parametrize("password", [PASSWORD, ""], ids=["sealed", "unsealed"])
def test_keystores_for_old_consumers(place: Path, password: str, *, legacy: bool) -> None:
    """As OpenSSL reads it: the encryption that was asked for, the alias, and a password, or the empty one."""
    how = Encryption.LEGACY if legacy else Encryption.MODERN
    copy = replace(copy_of(place, CopyPart.PKCS12), encryption=how, alias="Server 1", unsealed=not password)
    if not password:
        copy = replace(copy, password=None)
    done = copies.put(copy, pair(), {})
    argv = (
        "openssl",
        "pkcs12",
        "-in",
        place / "pkcs12",
        "-passin",
        "env:P",
        *(("-legacy",) if legacy else ()),
    )
    everything = told(*argv, "-noenc", password=password)
    assert b"friendlyName: Server 1" in everything
    assert len(blocks(everything)) == 3
    shown = subprocess.run(
        [*argv, "-info", "-noout"],
        env={"PATH": os.environ["PATH"], "P": password},
        check=True,
        capture_output=True,
        timeout=60,
    ).stderr.decode()
    assert ("pbeWithSHA1And3-KeyTripleDES-CBC" in shown, "MAC: sha1," in shown) == (legacy, legacy)
    again = copies.put(copy, pair(), ours(done))
    assert [one.unchanged for one in again] == [True]


def test_another_encryption_is_written_anew(place: Path) -> None:
    """What was written by the other one holds the very same, and is replaced; so with the empty password."""
    copy = copy_of(place, CopyPart.PKCS12)
    changes = [
        copy,
        replace(copy, encryption=Encryption.LEGACY),
        replace(copy, encryption=Encryption.LEGACY, password=None, unsealed=True),
        copy,
    ]
    known: dict[str, str] = {}
    for one in changes:
        (done,) = copies.put(one, pair(), known)
        assert not done.unchanged
        known = ours([done])
    assert len({copies.fingerprint(one, CopyPart.PKCS12) for one in changes}) == 3
