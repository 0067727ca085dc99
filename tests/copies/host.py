"""A host whose certificate is issued already: the real command copies and turns back, and asks nobody."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from renewer import certs, clock
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.facts import Version, Window
from renewer.store.disk import DiskStore, version_id
from renewer.store.lock import Lock
from tests.agent import Agent
from tests.copies.pairs import NAME, pair

ALL = ("key", "key_der", "cert", "chain", "fullchain", "combined", "der", "pkcs12", "jks")


class Host(Agent):
    """An agent with the certificate `www`, its copies in `place`, and a way to give it new versions."""

    @property
    def place(self) -> Path:
        """Where its copies lie."""
        return self.directory / "copies"

    def copies(self, *parts: str, **more: Any) -> None:
        """Let the config name these files, each called as its part."""
        table = {part: self.place / part for part in parts} | more
        if {"pkcs12", "jks"} & set(parts):
            table["password"] = {"file": self.directory / "password"}
        self.tables["certificate.www"]["copies"] = [table] if parts else []

    def give(self, days: int, name: str = "www") -> str:
        """A version that is valid for so many days, as if it had just been issued; its id."""
        material, state = pair(days), str(self.state)
        now = clock.now() + timedelta(seconds=days)  # newer than all before, whatever the second
        leaf = certs.leaf(material.cert)
        version = Version(
            id=version_id(now, leaf.serial), made_at=now, leaf=leaf, authority="test", account="https://a/1"
        )
        with Lock(state).acquire(0):
            DiskStore(state).put(name, version, material, key_mode=0o600)
            ledger = SqliteLedger.open(f"{state}/ledger.db")
            ledger.save(
                Window(
                    certificate=name,
                    serial=leaf.serial,
                    asked_at=clock.now(),
                    ask_again=clock.now() + timedelta(days=300),
                )
            )
            ledger.close()
        return version.id

    def hook(self, *lines: str) -> Path:
        """A hook of one's own, in sh."""
        path = self.directory / "hook.sh"
        path.write_text("\n".join(("#!/bin/sh", *lines, "")))
        path.chmod(0o755)
        self.tables["hook.mine"] = {"run": path}
        self.tables["certificate.www"]["hooks"] = ["mine"]
        return path

    def look(self) -> Any:
        """The certificate's part of the status, whatever its exit code."""
        return self.cli("status", "--json").document["certificates"][0]


def new_host(directory: Path) -> Host:
    """A host without any version yet."""
    (directory / "copies").mkdir(parents=True)
    return Host(
        directory,
        {
            "agent": {"log": directory / "renewal.log"},
            "authority.test": {"directory": "https://127.0.0.1:9/directory", "agree_terms": True},
            "certificate.www": {
                "names": [NAME],
                "authority": "test",
                "challenge": {"type": "http-01", "webroot": directory},
                "endpoints": [],
            },
        },
    )
