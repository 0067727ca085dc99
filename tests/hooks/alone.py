"""One shipped hook by itself, called as the agent calls it, for certificates laid out as by the store."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from renewer import certs, hooks
from renewer.hooks import HookCertificate, HookResult
from renewer.model.desired import Hook, HookEvent
from tests.servers.certificates import ServerRoot

DIRECTORY = Path(__file__).resolve().parents[2] / "hooks"
TEST, DEPLOY, ROLLBACK = HookEvent.TEST, HookEvent.DEPLOY, HookEvent.ROLLBACK
FILES = ("privkey.pem", "cert.pem", "chain.pem", "fullchain.pem")


class Shelf:
    """Certificates below a state directory: `certificates/<name>/live -> versions/<number>`."""

    limit = 30.0
    """Seconds for a call."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "state" / "certificates"
        self.root = ServerRoot()
        self._made = 0

    def put(self, name: str = "www") -> Path:
        """Make a new version of a certificate for `<name>.example.org` live; its `live`."""
        self._made += 1
        live = self.directory / name / "live"
        version = live.parent / "versions" / str(self._made)
        version.mkdir(parents=True, mode=0o700)
        pair = self.root.issue(version, f"{name.replace('_', '-')}.example.org", stem="leaf")
        cert = pair.cert.read_bytes()
        pair.key.rename(version / "privkey.pem")
        pair.cert.unlink()
        for file, content in (
            ("cert.pem", cert),
            ("chain.pem", self.root.pem),
            ("fullchain.pem", cert + self.root.pem),
        ):
            (version / file).write_bytes(content)
        turned = live.parent / "turned"
        turned.symlink_to(f"versions/{version.name}")
        turned.rename(live)
        return live

    def told(self, name: str) -> HookCertificate:
        """What a hook is told of a certificate."""
        live = self.directory / name / "live"
        leaf = certs.leaf((live / "cert.pem").read_bytes())
        return HookCertificate(
            name=name,
            names=tuple(str(one) for one in leaf.names),
            version=live.readlink().name,
            live=str(live),
            privkey=f"{live}/privkey.pem",
            cert=f"{live}/cert.pem",
            chain=f"{live}/chain.pem",
            fullchain=f"{live}/fullchain.pem",
            previous=None,
            not_after=datetime(2027, 2, 20, 9, 33, tzinfo=UTC),
            serial=leaf.serial,
        )

    def files(self, name: str = "www") -> dict[str, bytes]:
        """What lies at a certificate's `live` now."""
        return {file: (self.directory / name / "live" / file).read_bytes() for file in FILES}

    def call(self, hook: str, event: HookEvent, names: Sequence[str] = ("www",), **env: str) -> HookResult:
        """Run a shipped hook for these certificates, with `env` as in its table."""
        called = Hook(
            name=hook,
            run=str(DIRECTORY / hook),
            shipped=True,
            events=(TEST, DEPLOY, ROLLBACK),
            timeout=self.limit,
            env=tuple(env.items()),
        )
        told = [self.told(name) for name in names]
        (result,) = hooks.run(called, event, told, host="web-1", run_id="r")
        return result
