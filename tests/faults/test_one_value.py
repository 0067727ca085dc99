"""A DNS provider that keeps one value a record: a name and its wildcard are proved one after the other."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.message
import pytest

from renewer.issue.proof import turns
from renewer.model.facts import OneValue
from renewer.network.dns import propagation
from tests.faults.conftest import HostFactory
from tests.faults.host import Host, authority, failed
from tests.servers.bendable import Bendable
from tests.servers.bends import Call
from tests.servers.ports import free_port
from tests.servers.scripted_dns import ScriptedDns

NAMES = ["d.example.org", "*.d.example.org"]
SCRIPT = """#!/bin/sh
# keeps the last value of each name, and forgets it with whatever value it is told to remove
file={records}/${{2%.}}
case "$1" in
  present) echo "$3" > "$file" ;;
  cleanup) rm -f "$file" ;;
esac
"""


class Provider:
    """Its records, as files; who asks for one is told what stands there."""

    def __init__(self, directory: Path) -> None:
        self.records = directory / "records"
        self.records.mkdir()
        self.script = directory / "provider.sh"
        self.script.write_text(SCRIPT.format(records=self.records))
        self.script.chmod(0o755)

    def value(self, record: str) -> str | None:
        """What stands there."""
        file = self.records / record
        return file.read_text().strip() if file.exists() else None

    def validates(self, name: str, _kind: str, _token: str, key_authorization: str) -> str | None:
        """As an authority looks."""
        digest = hashlib.sha256(key_authorization.encode()).digest()
        wanted = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return None if self.value(f"_acme-challenge.{name}") == wanted else "Incorrect TXT record found"

    def answers(self, query: dns.message.Message) -> dns.message.Message:
        """As a resolver."""
        answer = dns.message.make_response(query, recursion_available=True)
        name = query.question[0].name.to_text(omit_final_dot=True)
        if query.question[0].rdtype == dns.rdatatype.TXT and (value := self.value(name)):
            answer.answer = [dns.rrset.from_text(name + ".", 1, "IN", "TXT", f'"{value}"')]
        return answer


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    """A provider that keeps one value a record."""
    return Provider(tmp_path)


@pytest.fixture
def at(make_host: HostFactory, bent: Bendable, provider: Provider) -> Callable[..., Host]:
    """Makes a host that proves a name and its wildcard there."""
    bent.validate = provider.validates

    def make(propagation: dict[str, Any], **challenge: Any) -> Host:
        host = make_host(free_port(), {"bent": authority(bent)})
        options = {"convention": "lego", "run": str(provider.script)}
        host.certificates["www"] = {
            "names": NAMES,
            "challenge": {
                "type": "dns-01",
                "provider": "script",
                "options": options,
                "propagation": propagation,
                **challenge,
            },
        }
        host.write_config()
        return host

    return make


def test_one_at_a_time(at: Callable[..., Host], bent: Bendable) -> None:
    """The config says so: one order, every name proved by its own value, nothing left."""
    host = at({"check": "none", "wait": "0s"}, one_at_a_time=True)
    report = host.run()
    assert (report.exit, failed(report), bent.count(Call.NEW_ORDER)) == (0, [], 1)
    assert {str(name) for name in host.live().leaf.names} == set(NAMES)
    assert list((host.directory / "records").iterdir()) == []


def test_it_is_found_out_before_the_authority_is_asked(
    at: Callable[..., Host], bent: Bendable, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that was published is gone: the same order goes on in turns, and the next begins so."""
    monkeypatch.setattr(propagation, "LONE", 0.5)
    with ScriptedDns(provider.answers, port=free_port()) as resolver:
        host = at({"check": "resolvers", "resolvers": [resolver.place], "timeout": "60s"})
        report = host.run()
        assert (report.exit, failed(report), bent.count(Call.NEW_ORDER)) == (0, [], 1)
        with host.context(write=False) as context:
            assert len(context.ledger.load(OneValue, "www")) == 1
        told = [event.get("text", "") for event in host.events()]
        assert any("keeps one value only" in text for text in told)
        asked = len(resolver.asked)
        report = host.run(force=True)
        assert (report.exit, bent.count(Call.NEW_ORDER)) == (0, 2)
        assert sum("keeps one value only" in event.get("text", "") for event in host.events()) == 1
        assert len(resolver.asked) > asked


def test_it_is_learnt_from_the_authority(at: Callable[..., Host], bent: Bendable) -> None:
    """Nobody looked: one of the two names is refused, and the next order proves them in turns."""
    host = at({"check": "none", "wait": "0s"})
    assert host.run().exit != 0
    assert host.run_when_due().exit == 0
    assert bent.count(Call.NEW_ORDER) == 2


def test_turns() -> None:
    """As few as can be, never two of one record, and who shares none goes first."""
    assert turns(list("abcde"), ["x", "x", "", "y", "x"]) == [["a", "c", "d"], ["b"], ["e"]]
    assert turns(list("abc"), ["", "", ""]) == [["a", "b", "c"]]
    assert turns([], []) == []
