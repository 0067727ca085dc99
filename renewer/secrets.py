"""Secrets, taken from where the config says at the moment they are needed, and kept nowhere.

Nothing here puts a secret into an error, a log or a repr; a program's complaints are dropped for that reason.
"""

import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from renewer import ownership
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Secret, SecretSource

LARGEST = 32 * 1024  # bytes
COMMAND_TIMEOUT = 30.0  # seconds; a password store that asks a person never answers here
# stderr may hold anything, also parts of the secret; no word of the operator's is ever read by the shell
_WITHOUT_STDERR = ("/bin/sh", "-c", 'exec "$@" 2>/dev/null', "sh")


class _Printed:
    """What came of a program; whoever comes while it runs waits for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.data: bytes | None = None
        self.error: RenewerError | None = None


_remembered: dict[tuple[str, ...], _Printed] | None = None


@contextmanager
def once() -> Iterator[None]:
    """Meanwhile a program that prints a secret is run once, however often and from wherever it is asked for.

    It may ask a vault, or hang: what came of it, a failure too, goes for all. Forgotten at the end.
    """
    global _remembered  # noqa: PLW0603  one for the process, since threads share it
    before, _remembered = _remembered, {} if _remembered is None else _remembered
    try:
        yield
    finally:
        _remembered = before


SHORTEST = 6  # characters; what is shorter is found by chance, and hiding it would hide words


def variables(given: Iterable[tuple[str, str | Secret]]) -> tuple[dict[str, str], tuple[str, ...]]:
    """A program's environment variables with its secrets in their places, and those secrets by themselves.

    Raises what `resolve` raises, with the variable's name.
    """
    env: dict[str, str] = {}
    found: list[str] = []
    for name, value in given:
        if isinstance(value, str):
            env[name] = value
            continue
        try:
            env[name] = resolve(value)
        except (GiveUp, RetryLater) as error:
            raise type(error)(f"{name}: {error.text}", hint=error.hint, kind=error.kind) from None
        if "\0" in env[name]:
            raise _refused(f"{name}: the secret holds a NUL character, which no environment can carry")
        found.append(env[name])
    return env, tuple(found)


def hidden(text: str, found: Iterable[str]) -> str:
    """A program's output without the secrets that it was given."""
    for secret in sorted(found, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, "…")
    return text


_CERTIFICATE = re.compile(
    rb"-----BEGIN (X509 |TRUSTED |)CERTIFICATE-----\s[A-Za-z0-9+/=\s]*-----END \1CERTIFICATE-----"
)


def roots(path: str) -> str:
    """The certificates in a PEM file, for who has to trust them and reads no files.

    Raises GiveUp if it cannot be read or has none. (No secret, but it is taken where these are, as they are.)
    """
    try:
        with open(path, "rb") as file:
            found = [one[0].decode("ascii") + "\n" for one in _CERTIFICATE.finditer(file.read())]
        why = "no certificate in PEM in it"
    except OSError as error:
        found, why = [], error.strerror or str(error)
    if not found:
        text, hint = f"the roots in {path} cannot be used: {why}", "name a PEM file of certificates"
        raise GiveUp(text, hint=hint, kind="roots")
    return "".join(found)


def proxy(given: str | Secret) -> str:
    """The URL of an HTTP proxy, which may hold user and password. Raises GiveUp or RetryLater, without it."""
    from urllib.parse import urlsplit

    url = given if isinstance(given, str) else resolve(given)
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        hint = "write it as http://user:password@host:port; special characters in it as %40 and the like"
        raise GiveUp("the secret `proxy` is no URL of an HTTP proxy", hint=hint, kind="secret")
    return url if "://" in url else f"http://{url}"


def resolve(secret: Secret) -> str:
    """The secret itself, without one newline at its end.

    Raises GiveUp if the operator must change something, RetryLater if a program failed to print it.
    """
    argument = secret.argument[0]
    match secret.source:
        case SecretSource.FILE:
            data = _file(argument)
        case SecretSource.CREDENTIAL:
            data = _file(_credential(argument))
        case SecretSource.ENV:
            if argument not in os.environ:
                hint = "set it for the agent, as by Environment= or EnvironmentFile= of its unit"
                raise _refused(f"the environment has no variable {argument}", hint)
            data = os.environ[argument].encode()
        case SecretSource.COMMAND:
            data = _printed(secret.argument)
    where = f"{secret.source.value} {argument}"
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _refused(f"the secret of {where} is not UTF-8 text") from None
    if not text:
        raise _refused(f"the secret of {where} is empty", "put the secret there")
    return text


def problem(secret: Secret) -> RenewerError | None:
    """Why a secret cannot be had, as far as that can be told without running anybody's program."""
    if secret.source is SecretSource.COMMAND:
        program = secret.argument[0]
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return None
        return _refused(f"{program} cannot be run for a secret", "correct its path, or make it executable")
    try:
        resolve(secret)
    except RenewerError as error:
        return error
    return None


def _file(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            entry = os.fstat(file.fileno())
            if not stat.S_ISREG(entry.st_mode):
                raise _refused(f"{path} is not a file", "a secret is read from a file")
            if found := ownership.danger(path):
                raise _refused(f"{path} is not used, since others could change it: {found.text}", found.hint)
            if entry.st_mode & stat.S_IROTH:
                raise _refused(f"{path} holds a secret, and everybody can read it", f"chmod o-rwx {path}")
            data = file.read(LARGEST + 1)
    except OSError as error:
        hint = "put the secret there, or correct the path in the configuration"
        raise _refused(f"the secret in {path} cannot be read: {error.strerror}", hint) from None
    if len(data) > LARGEST:
        raise _refused(f"{path} is larger than {LARGEST >> 10} KiB", "is it the right file?")
    return data


def _credential(name: str) -> str:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        hint = f"give it to the unit: LoadCredential={name}:/path"
        raise _refused(f"systemd gave us no credentials, so there is no '{name}'", hint)
    if "/" in name or name in ("", ".", ".."):
        raise _refused(f"'{name}' is not a credential's name", "it holds no /")
    return f"{directory}/{name}"


def _printed(argv: tuple[str, ...]) -> bytes:
    """What the program prints; run once while `once` is in force."""
    known = _remembered
    if known is None:
        return _command(argv)
    found = known.setdefault(argv, _Printed())
    with found.lock:
        if found.data is None and found.error is None:
            try:
                found.data = _command(argv)
            except RenewerError as error:
                found.error = error
    if found.data is None:
        why = found.error or RetryLater("there is no secret")
        raise type(why)(why.text, hint=why.hint, kind=why.kind)
    return found.data


def _command(argv: tuple[str, ...]) -> bytes:
    from renewer import proc

    env = proc.scrubbed_environment()
    try:
        result = proc.run([*_WITHOUT_STDERR, *argv], env=env, timeout=COMMAND_TIMEOUT)
    except RenewerError as error:
        raise RetryLater(f"{argv[0]} cannot be run for a secret: {error.text}", kind="secret") from None
    hint = "run it as the agent's user to see what it says"
    if result.timed_out:
        raise RetryLater(f"{argv[0]} gave no secret in {COMMAND_TIMEOUT:g} s", hint=hint, kind="secret")
    if result.code != 0:
        raise RetryLater(f"{argv[0]} gave no secret: exit {result.code}", hint=hint, kind="secret")
    data = result.output.encode()
    if len(data) > LARGEST:
        raise _refused(f"{argv[0]} prints more than {LARGEST >> 10} KiB", "it must print the secret only")
    return data


def _refused(text: str, hint: str = "") -> GiveUp:
    return GiveUp(text, hint=hint, kind="secret")
