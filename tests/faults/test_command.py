"""The same by the command: what a person or a timer sees of an authority that fails."""

import pytest

from tests.command import Ended, renewer
from tests.faults.host import Host
from tests.servers import faultproxy as faults
from tests.servers.faultproxy import Fault, FaultProxy

PAUSED = faults.problem("rateLimited", 429, "This account is paused: see https://portal.example.org/unpause.")


def command(host: Host, *arguments: str) -> Ended:
    """Run the real CLI to its end."""
    return renewer("--config", host.directory / "config.toml", *arguments)


def told_to_cron(said: str, code: int) -> bool:
    """Where nobody looks at stdout, stderr has what a person must know, and nothing else."""
    return "a person must act" in said if code == 3 else not said


@pytest.mark.parametrize(
    ("fault", "path", "code", "said"),
    [
        (faults.Refuse(), faults.DIRECTORY, 1, "cannot be reached: Connection refused"),
        (faults.Reset(), faults.NEW_ORDER, 1, "broke"),
        (faults.html(), faults.NEW_NONCE, 1, "without a nonce"),
        (faults.html(), faults.CHALLENGE, 1, "not a JSON object"),
        (faults.unavailable(retry_after="7200"), faults.FINALIZE, 1, "refused to issue the certificate"),
        (faults.problem("invalidContact", 400, "no such domain"), faults.NEW_ACCOUNT, 3, "no such domain"),
        (PAUSED, faults.NEW_ORDER, 3, "https://portal.example.org/unpause"),
    ],
    ids=["refused", "reset", "nonce-page", "page", "unavailable", "contact", "paused"],
)
def test_a_fault_is_told_in_words(  # noqa: PLR0917  the case
    host: Host, proxy: FaultProxy, fault: Fault, path: str, code: int, said: str
) -> None:
    """A sentence and an exit code, by `run` and by `status`; no trace; and `run` again finds its way."""
    proxy.inject(fault, path=path, times=None)
    ended = command(host, "run", "--json")
    assert ended.code == code
    assert not ended.err  # the document says it all
    document = ended.document
    (outcome,) = document["outcomes"]
    assert (document["exit"], outcome["result"]) == (code, "failed")
    assert said in outcome["detail"]
    shown = command(host, "status")
    assert shown.code == code
    assert said in command(host, "status", "--json").out

    proxy.clear()
    proxy.listen()
    waiting = command(host, "run")
    assert waiting.code == code
    assert told_to_cron(waiting.err, code)
    assert "waits until" in waiting.out
    forced = command(host, "run", "--force")
    held = fault is PAUSED or path == faults.FINALIZE
    assert forced.code == (code if held else 0), forced.out
    assert host.challenge_files() == []
