"""Keystores: key and chain in one file under a password. PKCS#12 by ourselves, JKS by Java's keytool.

The password goes to other programs by stdin and environment, never by argv, and stands in no error. What lies
at a copy's path may be anybody's, and a PKCS#12 says itself how many rounds of hashing it takes to open: that
is done by a process of its own, up to a time limit.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property

import msgspec

from renewer import proc, secrets
from renewer.decoding import UndecodableError, decode
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Copy, CopyPart, Encryption
from renewer.model.value import Value
from renewer.store.contract import Material

Scratch = Callable[[], AbstractContextManager[str]]
"""Gives the path of a private directory that goes away by itself."""

OPENING = 10.0  # seconds; what we write ourselves opens in a tenth of one
KEYTOOL = 60.0  # seconds; a busy host takes some to start Java
_SHORTEST = 6  # characters that keytool asks of a password
_ENV = "RENEWER_KEYSTORE"
_JAVA = ("-J-XX:-UsePerfData", "-J-XX:TieredStopAtLevel=1")  # no traces in /tmp; a quick start
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_INSTALL = "install a Java runtime (Debian: apt install default-jre-headless), or use pkcs12 instead of jks"


class Inside(Value):
    """What a keystore holds, as SHA-256: its key (PKCS#8 DER) and certificates (DER), the key's first."""

    alias: str
    key: str
    certificates: tuple[str, ...]
    not_after: datetime


class Seal:
    """Makes and opens the keystores of one copy. Its password is taken from its place when first needed."""

    def __init__(self, copy: Copy, scratch: Scratch) -> None:
        self._copy = copy
        self._scratch = scratch

    @cached_property
    def _password(self) -> str:
        if self._copy.unsealed:
            return ""
        if self._copy.password is None:
            raise GiveUp("a keystore is to be written without a password", hint="name one: password = { … }")
        password = secrets.resolve(self._copy.password)
        if not (password.isascii() and password.isprintable()):
            text = "the password of a keystore holds something else than printable ASCII"
            raise GiveUp(text, hint="choose another: programs disagree on how such a password is written")
        return password

    @property
    def _is_legacy(self) -> bool:
        return self._copy.encryption is Encryption.LEGACY

    def make(self, part: CopyPart, material: Material) -> bytes:
        """A keystore. Raises GiveUp or RetryLater."""
        from renewer import x509

        try:
            data = x509.keystore(
                material.privkey,
                material.fullchain,
                self._copy.alias,
                self._password,
                legacy=part is CopyPart.PKCS12 and self._is_legacy,
            )
        except ValueError as error:
            raise GiveUp(f"no keystore can be made: {error}") from None
        return data if part is CopyPart.PKCS12 else self._converted(data, "PKCS12", "JKS")

    def holds(self, part: CopyPart, data: bytes, material: Material) -> bool:
        """Whether a keystore opens with the password and holds this very pair."""
        from renewer import certs, x509

        if part is CopyPart.PKCS12 and x509.is_legacy(data) is not self._is_legacy:
            return False
        inside = self.inside(part, data)
        if inside is None:
            return False
        leaf, *chain = [_sha256(certs.der(pem)) for pem in certs.split_chain(material.fullchain)]
        return (inside.alias, inside.key, inside.certificates[0], sorted(inside.certificates[1:])) == (
            self._copy.alias,
            _sha256(x509.key_der(material.privkey)),
            leaf,
            sorted(chain),
        )

    def opened(self, part: CopyPart, data: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """The key of a keystore and its certificates, the key's first, as PEM.

        Raises ValueError if the password does not open it, or not in time; GiveUp or RetryLater.
        """
        from renewer import certs, x509

        if part is CopyPart.JKS:
            data = self._converted(data, "JKS", "PKCS12")
        if self.inside(CopyPart.PKCS12, data) is None:  # in a process of its own: it opens soon enough
            raise ValueError("the keystore cannot be opened")
        _, key, certificates = x509.open_keystore(data, self._password)
        return (x509.key_pem(key),), tuple(certs.pem(one) for one in certificates)

    def inside(self, part: CopyPart, data: bytes) -> Inside | None:
        """What is in a keystore; None if the password does not open it, or not in time."""
        if part is CopyPart.JKS:
            try:
                data = self._converted(data, "JKS", "PKCS12")
            except (GiveUp, RetryLater):
                return None  # whether keytool works at all is found out by making one
        job = msgspec.json.encode({"data": data, "password": self._password})
        argv = [sys.executable, "-m", "renewer.copies.keystore_child"]
        ended = proc.run(
            argv, stdin=job, env=proc.scrubbed_environment(), timeout=OPENING, cwd=_ROOT, apart=True
        )
        try:
            found: Inside | None = decode(ended.output, Inside | None)
        except UndecodableError:
            return None
        return found

    def _converted(self, data: bytes, kind: str, to: str) -> bytes:
        """A keystore as another kind of keystore, everything under the same password."""
        import shutil

        tool = shutil.which("keytool", path=proc.scrubbed_environment()["PATH"])
        if tool is None:
            raise GiveUp("there is no keytool to write a JKS keystore with", hint=_INSTALL, kind="program")
        if len(self._password) < _SHORTEST:
            text = f"keytool takes no password of fewer than {_SHORTEST} characters"
            raise GiveUp(text, hint="choose a longer one, or use pkcs12 instead of jks")
        try:
            with self._scratch() as directory:
                given, made = f"{directory}/given", f"{directory}/made"
                with open(given, "xb") as file:
                    file.write(data)
                argv = [tool, "-importkeystore", "-noprompt", *_JAVA]
                argv += ["-srckeystore", given, "-srcstoretype", kind, "-srcstorepass:env", _ENV]
                argv += ["-destkeystore", made, "-deststoretype", to, "-deststorepass:env", _ENV]
                self._run(argv, {**proc.scrubbed_environment(), _ENV: self._password})
                with open(made, "rb") as file:
                    return file.read()
        except OSError as error:
            raise RetryLater(f"no keystore can be made: {error.strerror}", hint="make room: df -h") from None

    def _run(self, argv: list[str], env: Mapping[str, str]) -> None:
        try:
            ended = proc.run(argv, env=env, timeout=KEYTOOL)
        except RenewerError as error:
            raise GiveUp(error.text, hint=_INSTALL, kind="program") from None
        if ended.timed_out:
            raise RetryLater(f"keytool made no keystore in {KEYTOOL:g} s", kind="program")
        if ended.code != 0:
            said = ended.output.replace(self._password, "…").strip().splitlines() or [""]
            hint = "look whether Java works: keytool -help"
            raise RetryLater(f"keytool made no keystore: {said[0][:200]}", hint=hint, kind="program")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
