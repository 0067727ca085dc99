"""`renewer ack` and `renewer notify test`, as a person types them."""

import json
import os
import pwd
from datetime import timedelta

import pytest

from renewer import clock
from renewer.model.told import Ack
from tests import command
from tests.command import Ended
from tests.tell.conftest import Clock, MakeMail
from tests.tell.host import Host
from tests.tell.post_office import PASSWORD, PostOffice, body

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def renewer(host: Host, *arguments: str) -> Ended:
    """The command in a process of its own."""
    return command.renewer("--config", host.path, *arguments, without={"SUDO_USER"})


def failing(host: Host, days: float) -> None:
    """A certificate that is overdue, by the real clock."""
    end = clock.now() + days * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)


def test_an_ack_silences_with_name_and_reason_in_the_log(
    host: Host, mail: MakeMail, office: PostOffice
) -> None:
    """Nobody is told; the log says who said so, why, and until when."""
    host.configure(mail())
    failing(host, 6)
    done = renewer(host, "ack", "www", "--until", "2d", "--reason", "DNS moves on Friday")
    assert (done.code, done.err) == (0, ""), done
    assert done.out.startswith("www: no notices until 20")
    renewer(host, "run")
    user = pwd.getpwuid(os.getuid()).pw_name
    (line,) = [one for one in host.log("notice") if one["text"].startswith("acknowledged")]
    assert (line["certificate"], line["by"], line["reason"]) == ("www", user, "DNS moves on Friday")
    assert line["text"] == f"acknowledged by {user}: DNS moves on Friday"
    assert "until" in line
    assert office.mails == []

    assert renewer(host, "ack", "www", "--withdraw").code == 0
    renewer(host, "run")
    assert office.subjects == ["www: expires in 5 days"]


def test_there_is_nothing_to_know_of_what_is_well(host: Host) -> None:
    """Refused, with what to do: else the trouble that comes next would be silenced in advance."""
    host.configure()
    failing(host, 80)
    done = renewer(host, "ack", "www")
    assert (done.code, done.out) == (2, "")
    assert "www is well: there is no trouble to know of" in done.err
    assert "--until" in done.err
    assert renewer(host, "ack", "www", "--until", "2d").code == 0
    assert renewer(host, "ack", "www", "--withdraw").code == 0


def test_an_ack_ends_with_the_trouble(host: Host, time: Clock, mail: MakeMail, office: PostOffice) -> None:
    """What comes after it is told again."""
    host.configure(mail())
    end = time.moment + 6 * DAY
    host.install(not_before=end - 90 * DAY, not_after=end)
    ledger = host.ledger()
    ledger.save(Ack(certificate="www", at=time.moment, by="ops"))
    host.run()
    assert office.subjects == []
    host.install(not_before=time.moment, not_after=time.moment + 90 * DAY)
    host.run()
    assert ledger.load(Ack) == []
    ledger.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ack", "nobody"), "there is no certificate 'nobody'"),
        (("ack", "www", "--until", "soon"), "neither a duration nor a date"),
        (("ack", "www", "--until", "2001-01-01"), "has passed already"),
        (("ack", "www", "--reason", "a\nb"), "one line"),
        (("notify", "test"), "there is no channel"),
        (("notify", "test", "nobody"), "there is no channel 'nobody'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_refused(host: Host, arguments: tuple[str, ...], said: str) -> None:
    """Exit 2, and what to write instead."""
    host.configure()
    done = renewer(host, *arguments)
    assert (done.code, said in done.err, "→" in done.err or "one line" in said) == (2, True, True)


def test_a_sample_through_every_channel(host: Host, mail: MakeMail, office: PostOffice) -> None:
    """One works, one does not: both are told of, and the exit code is 1."""
    wrong = host.secret("password", PASSWORD)
    broken = mail("broken", server='"127.0.0.1:9"', username='"x"', password=wrong)
    host.configure(mail(), broken)
    done = renewer(host, "notify", "test", "--json")
    rows = {row["channel"]: row for row in json.loads(done.out)["channels"]}

    assert done.code == 1
    assert (rows["ops"]["taken"], rows["broken"]["taken"]) == (True, False)
    assert rows["broken"]["text"] == "the mail server 127.0.0.1:9 cannot be reached: connection refused"
    assert office.subjects == ["a sample, nothing is wrong"]
    assert "This is a sample: " in body(office.mails[0])
    assert PASSWORD not in done.out + done.err
    alone = renewer(host, "notify", "test", "ops")
    assert (alone.code, alone.out) == (0, "✓ ops: took the sample\n")


def test_config_check_looks_at_programs_that_tell(host: Host) -> None:
    """A program that is not there, or that others may change, is told before anybody needs it."""
    loose = host.root / "loose"
    loose.write_text("#!/bin/sh\n")
    loose.chmod(0o777)
    host.configure(
        f'[notify.a]\ntype = "command"\nrun = ["{loose}"]\n',
        '[notify.b]\ntype = "email"\nto = ["a@b.c"]\nfrom = "a@b.c"\nsendmail = "/nowhere/sendmail"\n',
    )
    done = renewer(host, "config", "check")
    assert done.code == 2
    assert "notify.a.run: " in done.err
    assert "notify.b.sendmail: /nowhere/sendmail does not exist" in done.err
