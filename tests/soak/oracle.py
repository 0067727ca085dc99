"""What must hold, seen at ports and files, by none of the package's own code."""

import re
import socket
import ssl
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.servers.handshake import served_leaf
from tests.soak.runs import Ran
from tests.soak.times import at
from tests.soak.world import World

_DEFECT = re.compile(r"Traceback|\bdefect\b", re.IGNORECASE)
_KEY_TYPES = {"ecdsa-p256": 256, "ecdsa-p384": 384, "rsa-2048": 2048}
_STAMP = re.compile(r"(\d{8}T\d{6})Z")
FALSE_GREEN = 3  # so many completed runs in a row that call well what is not, and longer than `look_every`


class ViolationError(Exception):
    """Something that must never be was seen."""


@dataclass(slots=True)
class Sight:
    """What a port shows of a certificate at a moment, and whether it is what the configuration asks for."""

    certificate: str
    leaf: x509.Certificate | None
    wrong: str
    """Why it is not right, as a sentence; empty if it is."""

    @property
    def text(self) -> str:
        """In short."""
        if self.leaf is None:
            return self.wrong
        serial = f"{self.leaf.serial_number:x}"[:8]
        return f"{serial} until {self.leaf.not_valid_after_utc:%m-%d %H:%M:%S}" + (
            f" ({self.wrong})" if self.wrong else ""
        )


@dataclass(slots=True)
class Memory:
    """What the oracle remembers of a certificate."""

    hurt: datetime
    """The last moment at which a trouble concerned it."""
    helpless: datetime
    """The last moment at which one did that left it no authority, or was on this host."""
    runs: int = 0
    """Completed runs since it was hurt."""
    runs_helped: int = 0
    well: bool = False
    """Whether it was seen right, and has not been hurt since."""
    green: list[datetime] = field(default_factory=list)
    """Completed runs in a row that called it well while the port was wrong."""
    forgot: list[datetime] = field(default_factory=list)
    """When the agent may have lost what it knew of its orders."""
    desperate: list[datetime] = field(default_factory=list)
    """When nothing valid, or not much of it, was served."""


class Oracle:
    """Looks after each turn, and raises ViolationError."""

    def __init__(self, world: World) -> None:
        """Nothing is known yet, nothing expected."""
        self.world = world
        now = world.clock.now()
        self.memory = {name: Memory(hurt=now, helpless=now, forgot=[now]) for name in world.wishes}
        self._judged: dict[tuple[str, str], int] = {}

    # --- what is told to it -----------------------------------------------------------------------------

    def hurt(self, names: Collection[str], *, helpless: bool, forgets: bool) -> None:
        """These are concerned by a trouble at this moment."""
        now = self.world.clock.now()
        for name in names:
            one = self.memory[name]
            one.hurt, one.runs, one.well = now, 0, False
            one.green.clear()
            if helpless:
                one.helpless, one.runs_helped = now, 0
            if forgets:
                one.forgot.append(now)

    def completed(self) -> None:
        """A run came to its end."""
        for one in self.memory.values():
            one.runs += 1
            one.runs_helped += 1

    # --- what it looks at -------------------------------------------------------------------------------

    def runs(self, ran: Collection[Ran], *, broken_config: bool) -> None:
        """How runs ended and what they said."""
        for one in ran:
            said = one.out + one.err
            words = " ".join(one.arguments[2:])
            if one.hung:
                raise ViolationError(f"{words} did not end in {one.took:.0f} s")
            if _DEFECT.search(said):
                raise ViolationError(f"{words} tells of a defect:\n{said}")
            allowed = {0, 1, 3} | ({75} if len(ran) > 1 else set()) | ({2} if broken_config else set())
            if one.code == 0 and self.world.config_text is not None:
                raise ViolationError(f"{words} exits 0 without a certificate in its configuration")
            if not one.killed and one.code not in allowed:
                raise ViolationError(f"{words} exits {one.code}:\n{said}")
        if len(ran) > 1 and all(one.code == 75 for one in ran):
            raise ViolationError("of two runs at once neither got the lock")

    def files(self) -> None:
        """No private key is readable by others."""
        for root in (self.world.state, self.world.copies):
            for path in root.rglob("*"):
                if path.is_symlink() or not path.is_file() or path.name.startswith("renewal.log"):
                    continue
                mode = path.stat().st_mode & 0o777
                if mode & 0o077 and b"PRIVATE KEY" in path.read_bytes():
                    raise ViolationError(f"{path} holds a private key, and its mode is {mode:o}")

    def look(self, name: str) -> Sight:
        """What is served for a certificate."""
        world, wish, now = self.world, self.world.wishes[name], self.world.clock.now()
        try:
            leaf = served_leaf(world.nginx.port, wish.first, timeout=20)
        except OSError as error:
            return Sight(name, None, f"no handshake: {error}")
        faults = "; ".join(self._faults(name, leaf, now))
        return Sight(name, leaf, faults or self._distrust(wish.first))

    def _distrust(self, server_name: str) -> str:
        """Why a client that knows both authorities does not trust what is served; empty if it does."""
        context = ssl.create_default_context()
        for server in self.world.authorities.values():
            context.load_verify_locations(server.workdir / "bendable-root-0.pem")
        at(context, self.world.clock.now())
        try:
            with (
                socket.create_connection(("127.0.0.1", self.world.nginx.port), timeout=20) as plain,
                context.wrap_socket(plain, server_hostname=server_name),
            ):
                return ""
        except OSError as error:
            return f"not trusted: {error}"

    def _faults(self, name: str, leaf: x509.Certificate, now: datetime) -> Iterator[str]:
        wish = self.world.wishes[name]
        if leaf.not_valid_after_utc <= now:
            yield f"expired at {leaf.not_valid_after_utc:%m-%d %H:%M:%S}"
        issuers = [
            authority
            for authority, server in self.world.authorities.items()
            if any(one.certificate.serial_number == leaf.serial_number for one in server.issued)
        ]
        if not issuers:
            yield "none of an authority's"
        elif not set(issuers) & set(wish.authorities):
            yield f"from authority {issuers[0]}"
        if issuers and _names(leaf) != set(wish.names):
            yield f"for the names {', '.join(sorted(_names(leaf)))}"
        if _bits(leaf) != _KEY_TYPES[wish.key]:
            yield f"its key has {_bits(leaf)} bits"

    def overdue(self, name: str, sight: Sight) -> str:
        """Why a certificate that is right should have been renewed by now; empty if not."""
        assert sight.leaf is not None
        left = sight.leaf.not_valid_after_utc - self.world.clock.now()
        life = self._life(name)
        return f"it should have been renewed: {left} left of {life}" if left < life / 8 else ""

    def unfit(self, name: str) -> str:
        """What is wrong with key and chain at `live`; empty if they fit each other."""
        live = self.world.live(name)
        try:
            key = load_pem_private_key((live / "privkey.pem").read_bytes(), None)
            leaf = x509.load_pem_x509_certificate((live / "fullchain.pem").read_bytes())
        except (OSError, ValueError) as error:
            return f"what lies at live cannot be read: {error}"
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        fits = key.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form)
        return "" if fits else "key and chain at live do not fit each other"

    def green(self, name: str, sight: Sight, row: Any, code: int) -> None:
        """What is called well is well at the port; a wrong port may go unseen until the next look."""
        one, now = self.memory[name], self.world.clock.now()
        called_well = code == 0 or (row is not None and row["healthy"])
        if not sight.wrong or not called_well:
            one.green.clear()
            return
        one.green.append(now)
        pace = self.world.pace
        if len(one.green) > FALSE_GREEN and now - one.green[0] > pace.look + pace.wake * 2:
            often = f"called well by {len(one.green)} runs (exit {code})"
            raise ViolationError(f"{name}: false green: {often}, and the port: {sight.text}")

    def neighbours(self, name: str, sight: Sight) -> None:
        """What was right and was not hurt since is still right."""
        if sight.wrong and self.memory[name].well:
            raise ViolationError(f"{name}: was well, nothing concerned it, and now: {sight.text}")

    def expired(self, name: str, sight: Sight) -> None:
        """Nothing expired is served though an authority would have issued for long enough."""
        one, pace = self.memory[name], self.world.pace
        self._desperate(name, sight)
        helped = self.world.clock.now() - one.helpless
        if sight.wrong and helped > pace.settled * 2 and one.runs_helped > pace.runs * 2:
            raise ViolationError(
                f"{name}: an authority would have issued for {helped}, and it is: {sight.text}"
            )

    def _desperate(self, name: str, sight: Sight) -> None:
        now, life = self.world.clock.now(), self._life(name)
        emergency = min(max(life / 20, timedelta(days=1)), life / 4, timedelta(days=5)) + self.world.pace.wake
        if sight.leaf is None or sight.leaf.not_valid_after_utc - now < emergency:
            self.memory[name].desperate.append(now)

    def orders(self) -> None:
        """No certificate orders more than its budget, at any authority, in any span."""
        for authority, server in self.world.authorities.items():
            for name in self.world.wishes:
                first = self.world.wishes[name].first
                times = [order.at for order in server.orders if first in order.names]
                if len(times) != self._judged.get((authority, name), 0):
                    self._judged[authority, name] = len(times)
                    self._budget(authority, name, times)

    def _budget(self, authority: str, name: str, times: list[datetime]) -> None:
        life, one = self._life(name), self.memory[name]
        span = min(timedelta(days=7), life * 0.7)
        end = times[-1]
        within = [at for at in times if end - at <= span]
        desperate = any(end - at <= span * 1.5 for at in one.desperate)
        allowed = 10 + (int(span / min(timedelta(hours=6), life / 20)) if desperate else 0)
        allowed += 4 * sum(end - at <= span * 1.5 for at in one.forgot)
        if len(within) > allowed:
            raise ViolationError(
                f"{name}: {len(within)} orders at {authority} within {span}, {allowed} are in the budget"
            )

    def debris(self) -> None:
        """Nothing is left of what was under way, once all is well."""
        world = self.world
        left = [str(path) for path in (world.state / "tmp").glob("*")]
        left += [str(path) for path in world.nginx.webroot.rglob("*") if path.is_file()]
        left += [str(path) for path in world.copies.iterdir() if path.name.startswith(".")]
        left += [str(path) for path in world.records.iterdir()]
        for path in world.state.glob("certificates/*/pending/*"):
            begun = _moment(path.name)
            # An order whose CSR was sent may still be finished: its key is kept until it expires
            if begun is None or world.clock.now() - begun > self._order_life + world.pace.wake * 3:
                left.append(str(path))
        left += [
            f"{path}: {count} versions"
            for path in world.state.glob("certificates/*/versions")
            if (count := len(list(path.iterdir()))) > 12
        ]
        if left:
            raise ViolationError("left behind after all was mended: " + ", ".join(left))

    @property
    def _order_life(self) -> timedelta:
        return max(server.order_life for server in self.world.authorities.values())

    def _life(self, name: str) -> timedelta:
        profiles = next(iter(self.world.authorities.values())).profiles
        return profiles[self.world.wishes[name].profile]


def _names(leaf: x509.Certificate) -> set[str]:
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(san.get_values_for_type(x509.DNSName))


def _bits(leaf: x509.Certificate) -> int:
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    return key.key_size


def _moment(text: str) -> datetime | None:
    found = _STAMP.match(text)
    return datetime.strptime(f"{found[1]}+0000", "%Y%m%dT%H%M%S%z") if found else None
