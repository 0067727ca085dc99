"""A run that is killed between sending and remembering: at most one repeat, never a loss."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from renewer import clock
from renewer.ledger.sqlite import SqliteLedger
from renewer.model.facts import Record
from renewer.model.told import Notice
from tests.command import renewer, start
from tests.tell.conftest import MakeMail
from tests.tell.host import Host
from tests.tell.post_office import PostOffice

DAY = timedelta(days=1)


@contextmanager
def killed(when: str) -> Iterator[None]:
    """In a run: its process is killed at a change of what was told, before or after it."""

    def kill(name: str) -> None:
        real = getattr(SqliteLedger, name)

        def changed(ledger: SqliteLedger, *records: Record) -> None:
            mine = [one for one in records if isinstance(one, Notice) and one.certificate]
            if mine and when == f"before {name}":
                os.kill(os.getpid(), signal.SIGKILL)
            real(ledger, *records)
            if mine and when == f"after {name}":
                os.kill(os.getpid(), signal.SIGKILL)

        setattr(SqliteLedger, name, changed)

    kill("save")
    kill("drop")
    yield


def run(host: Host, when: str) -> int:
    """One run in a process of its own; its exit code, negative if a signal ended it."""
    return renewer("--config", host.path, "run", around=(f"{__name__}:killed", when)).code


@pytest.mark.parametrize(("when", "times"), [("before save", 2), ("after save", 1)])
def test_killed_while_telling_of_trouble(
    host: Host, mail: MakeMail, office: PostOffice, when: str, times: int
) -> None:
    """Sent and not remembered: said again, once, under the same Message-ID. Remembered: said once."""
    host.configure(mail())
    end = clock.now() + 6 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    assert run(host, when) == -signal.SIGKILL
    assert len(office.mails) == 1
    assert run(host, "never") == 3
    assert run(host, "never") == 3

    assert office.subjects == ["www: expires in 5 days"] * times
    assert len({mail["Message-ID"] for mail in office.mails}) == 1


@pytest.mark.parametrize(("when", "times"), [("before drop", 2), ("after drop", 1)])
def test_killed_while_telling_that_it_is_well(
    host: Host, mail: MakeMail, office: PostOffice, when: str, times: int
) -> None:
    """The same for what ends a trouble."""
    host.configure(mail(on='["expiring", "recovered"]'))
    end = clock.now() + 6 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    assert run(host, "never") == 3
    host.install(not_before=clock.now() - DAY, not_after=clock.now() + 89 * DAY)
    assert run(host, when) == -signal.SIGKILL
    assert run(host, "never") == 0
    assert run(host, "never") == 0

    assert office.subjects == ["www: expires in 5 days", *["www: well again, good for 88 days"] * times]


@pytest.mark.parametrize("wait", [0.4, 0.7, 1.0])
def test_killed_at_any_moment(host: Host, mail: MakeMail, office: PostOffice, wait: float) -> None:
    """By the clock: whatever the run was at, in the end it was told once, or twice if it was just then."""
    host.configure(mail())
    end = clock.now() + 6 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    process = start("--config", host.path, "run")
    time.sleep(wait)
    process.kill()
    told = len(office.mails)
    assert run(host, "never") == 3
    assert run(host, "never") == 3

    assert told <= 1
    assert 1 <= len(office.mails) <= 2
    assert set(office.subjects) == {"www: expires in 5 days"}
