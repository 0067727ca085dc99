"""Files elsewhere that follow a certificate."""

import os
from collections.abc import Iterator

from msgspec import UNSET

from renewer import ownership
from renewer.config import scalars
from renewer.config.agent import checked
from renewer.config.authorities import resolve_secret
from renewer.config.faults import Faults, Path, dotted
from renewer.config.schema import CopyTable
from renewer.model.desired import SEALED_PARTS, SECRET_PARTS, Copy, CopyPart, Encryption, Secret

_LONGEST_ALIAS = 64


class Copies:
    """Reads copies, and remembers whose each path is: two writers of one file would fight for ever."""

    def __init__(self, state: str, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._taken: dict[str, Path] = {}

    def resolve(self, table: CopyTable, at: Path, certificate: str, *, keyless: bool = False) -> Copy | None:
        """One entry of `copies`; None if that was a fault. `keyless` is whether the key is elsewhere."""
        asked = [part for part in CopyPart if getattr(table, part.value) is not UNSET]
        paths = []
        for part in asked:
            if keyless and part in SECRET_PARTS:
                text = "needs the key, which is not here: it is that of `csr`"
                self._faults.add((*at, part.value), text, "cert, chain, fullchain and der do not")
            path = checked(self._faults, (*at, part.value), getattr(table, part.value), scalars.absolute)
            if path and self._free((*at, part.value), path, certificate):
                paths.append((part, path))
        password = self._password(table, at, asked)
        if not asked:
            if not any(self._faults.spoilt((*at, part.value)) for part in CopyPart):
                self._faults.add(at, "names no file", 'as fullchain = "/etc/nginx/tls/www.pem"')
            return None
        keyed = any(part in SECRET_PARTS for part in asked)
        allowed, what = (0o640, "a key") if keyed else (0o644, "a file that servers trust")
        return Copy(
            paths=tuple(paths),
            owner=checked(self._faults, (*at, "owner"), table.owner, lambda text: scalars.word(text, "user")),
            group=checked(
                self._faults, (*at, "group"), table.group, lambda text: scalars.word(text, "group")
            ),
            mode=checked(
                self._faults, (*at, "mode"), table.mode, lambda text: scalars.mode(text, allowed, what)
            ),
            password=password,
            alias=self._alias(table, at, asked, certificate) if password or table.password == "" else "",
            unsealed=table.password == "",
            in_place=self._in_place(table, at, paths),
            encryption=self._encryption(table, at, asked),
        )

    def _password(self, table: CopyTable, at: Path, asked: list[CopyPart]) -> Secret | None:
        """What seals the keystores: needed for them, and for nothing else."""
        sealed = [part.value for part in asked if part in SEALED_PARTS]
        here = (*at, "password")
        if table.password is not UNSET:
            if (
                not sealed
                and asked
                and not any(self._faults.spoilt((*at, part.value)) for part in SEALED_PARTS)
            ):
                self._faults.add(here, "seals nothing here", "it goes with pkcs12 or jks")
            if isinstance(table.password, str):
                self._without_password(here, table.password, asked)
                return None
            return resolve_secret(here, table.password, self._faults)
        if sealed:
            hint = 'password = { file = "/etc/renewer/secrets/keystore" }'
            self._faults.add(here, f"is missing: {' and '.join(sealed)} cannot be written without one", hint)
        return None

    def _in_place(self, table: CopyTable, at: Path, paths: list[tuple[CopyPart, str]]) -> bool:
        """Whether it is written in place: no key where others could have put another file."""
        if table.in_place is not True:
            return False
        for part, path in paths:
            if part not in SECRET_PARTS:
                continue
            try:
                danger = ownership.danger(os.path.dirname(path))
            except OSError:  # told when it is written
                continue
            if danger is not None:
                text = f"writes a key into {path}, which others could replace: {danger.text}"
                self._faults.add((*at, "in_place"), text, f"{danger.hint}; or leave in_place out")
        return True

    def _without_password(self, here: Path, given: str, asked: list[CopyPart]) -> None:
        """A password never stands in the configuration; that there is none may be said."""
        if given:
            hint = 'put it into a file of its own: password = { file = "/etc/renewer/secrets/keystore" }'
            self._faults.add(here, "is a secret, and must not stand here", hint)
        elif CopyPart.JKS in asked:
            self._faults.add(
                here, "is empty, and keytool writes no jks without one", "use pkcs12, or name one"
            )

    def _alias(self, table: CopyTable, at: Path, asked: list[CopyPart], certificate: str) -> str:
        if table.alias is UNSET:
            return certificate
        if not table.alias or not table.alias.isprintable() or len(table.alias) > _LONGEST_ALIAS:
            self._faults.add((*at, "alias"), f"must be 1 to {_LONGEST_ALIAS} printable characters")
        elif CopyPart.JKS in asked and table.alias != table.alias.lower():
            hint = "write it so"
            self._faults.add((*at, "alias"), "has capitals, and a jks has small letters only", hint)
        return table.alias

    def _encryption(self, table: CopyTable, at: Path, asked: list[CopyPart]) -> Encryption:
        if table.alias is not UNSET and not any(part in asked for part in SEALED_PARTS):
            self._faults.add((*at, "alias"), "names nothing here", "it goes with pkcs12 or jks")
        if table.encryption is UNSET:
            return Encryption.MODERN
        if CopyPart.PKCS12 not in asked:
            self._faults.add((*at, "encryption"), "encrypts nothing here", "it goes with pkcs12")
        return table.encryption

    def _free(self, at: Path, path: str, certificate: str) -> bool:
        # Whatever links lead to its directory; one at the path itself is replaced, and leads nowhere
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if any(one == self._state or one.startswith(self._state + "/") for one in (path, real)) or any(
            os.path.realpath(self._state) == one for one in _above(real)
        ):
            self._faults.add(at, "lies inside the agent's state", "copy to the place where the server looks")
            return False
        if (other := self._taken.get(real)) is not None:
            if other == at:  # the same entry of [defaults], for another certificate
                text = f"{path} would be written by several certificates: '{certificate}' is the second"
                self._faults.add(at, text, "move it to the certificate it is for")
            else:
                self._faults.add(at, f"{path} is written by {dotted(other)} already", "give it another path")
            return False
        self._taken[real] = at
        return True


def _above(path: str) -> Iterator[str]:
    """A path, and every directory above it."""
    while True:
        yield path
        if path == (path := os.path.dirname(path)):
            return
