"""Which certificates, with which keys, lie in a certificate's copies: for who lost what he once wrote there.

Only files are read that root or we own, that nobody else may write to, and whose way is as safe: whoever
could have put a key there would choose what is served. Keys leave this module only together with a leaf that
they belong to.
"""

from collections.abc import Iterable, Sequence

from renewer import ownership
from renewer.copies import files
from renewer.copies.keystores import Scratch, Seal
from renewer.errors import RenewerError
from renewer.model.desired import Copy, CopyPart
from renewer.model.value import Value


class Pair(Value):
    """A leaf with what else its files hold of its chain, as PEM, and its key; `path` is the leaf's file.

    `privkey` is empty if no key there belongs to it. `why` says why it is not to be taken, if so. Its repr
    says nothing of the key.
    """

    path: str
    cert: bytes
    chain: bytes
    privkey: bytes = b""
    why: str = ""

    def __repr__(self) -> str:
        return f"Pair({self.path})"


class _Content(Value):
    """What one file holds."""

    path: str
    part: CopyPart
    keys: tuple[bytes, ...] = ()
    certificates: tuple[bytes, ...] = ()
    why: str = ""


def pairs(copies: Iterable[Copy], known: Sequence[bytes], scratch: Scratch) -> list[Pair]:
    """Every leaf that the copies of one certificate hold, each with its key; `known` are keys that we have.

    What cannot be read, or is no certificate, is as good as absent.
    """
    found = [one for copy in copies for one in _of(copy, scratch)]
    keys = {mark: (key, one.why) for one in found for key in one.keys if (mark := _mark(key))} | {
        mark: (key, "") for key in known if (mark := _mark(key))
    }
    rest = b"".join(pem for one in found for pem in one.certificates if not one.why)
    made: dict[bytes, Pair] = {}
    for one in found:
        if one.certificates and one.part is not CopyPart.CHAIN:
            pair = _pair(one, keys, rest)
            before = made.get(pair.cert)
            if before is None or (before.why and not pair.why):
                made[pair.cert] = pair
    return list(made.values())


def _pair(one: _Content, keys: dict[str, tuple[bytes, str]], rest: bytes) -> Pair:
    from renewer import certs

    leaf, *own = one.certificates
    key, why = keys.get(_spki(leaf), (b"", ""))
    return Pair(
        path=one.path,
        cert=leaf,
        chain=b"".join(own) or b"".join(dict.fromkeys(certs.certificates_in(rest))),
        privkey=key,
        why=one.why or why,
    )


def _of(copy: Copy, scratch: Scratch) -> list[_Content]:
    seal, found = Seal(copy, scratch), []
    for part, path in copy.paths:
        try:
            former = files.find(path)
            if former is None or former.link is not None:
                continue
            keys, certificates = _inside(part, former.content, seal)
            why = _untrusted(path, former)
        except (OSError, RenewerError, ValueError):
            continue
        found.append(_Content(path=path, part=part, keys=keys, certificates=certificates, why=why))
    return found


def _inside(part: CopyPart, content: bytes, seal: Seal) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The keys and certificates of one file, as PEM. Raises ValueError, GiveUp, RetryLater."""
    from renewer import certs, x509

    match part:
        case CopyPart.KEY:
            return x509.keys_in(content), ()
        case CopyPart.KEY_DER:
            return (x509.key_pem(content),), ()
        case CopyPart.DER:
            return (), (certs.pem(content),)
        case CopyPart.PKCS12 | CopyPart.JKS:
            return seal.opened(part, content)
        case _:
            return x509.keys_in(content), certs.certificates_in(content)


def _untrusted(path: str, former: files.Former) -> str:
    """Who else could have put there what lies at a path, as half a sentence; "" if only root and we could."""
    found = ownership.danger(path)
    if found is not None:
        return found.text
    return "" if former.guarded else f"others could have put {path} there"


def _mark(key: bytes) -> str:
    """What tells a key; "" of one that is none of ours."""
    from renewer import x509

    try:
        return x509.key_fingerprint(key)
    except ValueError:
        return ""


def _spki(leaf: bytes) -> str:
    from renewer import certs

    try:
        return certs.spki(leaf)
    except ValueError:
        return ""
