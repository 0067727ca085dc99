"""Answering by a program of the operator's: for CDNs, object stores and whatever else serves port 80.

It is called as `PROGRAM … present` and `PROGRAM … clean_up`, once for all the challenges of a certificate,
with one JSON document on stdin:

    {"schema": 1, "event": "present", "certificate": "www", "challenges": [
      {"identifier": "www.example.org", "token": "…", "path": "/.well-known/acme-challenge/…",
       "key_authorization": "…"}]}

Exit 0: done, the answer is served from now on. Anything else: failed; 75: not now. `clean_up` comes always,
also after a failed `present`; after a run that was killed it comes with empty key authorizations. What is not
there is no error. The rules of hooks hold: no shell, a scrubbed environment, a time limit, the whole process
group ended, and nobody else may be able to change the file.

`convention = "certbot"` calls scripts written for `--manual-auth-hook` and `--manual-cleanup-hook` as certbot
would: once a challenge, one after the other, without a document, told by CERTBOT_DOMAIN, CERTBOT_TOKEN,
CERTBOT_VALIDATION, CERTBOT_ALL_DOMAINS and CERTBOT_REMAINING_CHALLENGES; the other program also by
CERTBOT_AUTH_OUTPUT, what the first one wrote to stdout. Exit 0: done; anything else: failed.
"""

from collections.abc import Mapping, Sequence

import msgspec

from renewer import clock, ownership, proc
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model import token as tokens
from renewer.model.desired import Convention
from renewer.model.facts import Debris
from renewer.model.names import Identifier
from renewer.model.solver import HoldsNothing, OwnLook, Presented, Task
from renewer.model.value import Warn
from renewer.provisioning.conventions import Event

DEBRIS = "http-01 script"  # Debris.what; `where` is the program and the token, `detail` the identifier

SCHEMA = 1
LATER = 75
TIME_LIMIT = 120.0  # seconds for one call

_Told = Mapping[str, str]


class ScriptSolver(HoldsNothing):
    """Calls the program; its own look afterwards is that of every http-01 challenge."""

    type = "http-01"

    def __init__(
        self,
        argv: Sequence[str],
        *,
        preflight: OwnLook,
        convention: Convention = Convention.RENEWER,
        cleanup: Sequence[str] = (),
    ) -> None:
        self._argv = tuple(argv)
        self._certbot = convention is Convention.CERTBOT
        self._cleanup = tuple(cleanup)
        self._said: dict[str, str] = {}  # what certbot's kind of program wrote, by token
        self._preflight = preflight
        self._called: set[str] = set()  # tokens that it was told of

    def ready(self, names: Sequence[Identifier]) -> None:  # noqa: ARG002  it is the same for all
        """Whether the program is there and may be run."""
        self._check()

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Nothing is to be looked up."""

    def debris_of(self, task: Task) -> Debris | None:
        """Only the program knows what it leaves; it is asked to clean up this token."""
        nobody = self._certbot and not self._cleanup
        return self._debris(task) if tokens.well_formed(task.token) and not nobody else None

    def present(self, task: Task) -> Presented:
        """As `present_all`, for one."""
        return self.present_all([task])[0]

    def present_all(self, tasks: Sequence[Task]) -> list[Presented]:
        """One call for all. Raises RetryLater if it fails, GiveUp if it must not be run."""
        for task in tasks:
            tokens.check(task.token)
        self._check()
        self._called.update(task.token for task in tasks)
        self._call(Event.PRESENT, tasks)
        return [Presented(task=task, where=f"{self._argv[0]} for {task.identifier}") for task in tasks]

    def wait(self, presented: Sequence[Presented], warn: Warn) -> None:
        """Fetch every token ourselves, as the config's `preflight` demands."""
        self._preflight.look(presented, warn)

    def clean_up(self, task: Task) -> Debris | None:
        """As `clean_up_all`, for one."""
        return next(iter(self.clean_up_all([task])), None)

    def clean_up_all(self, tasks: Sequence[Task]) -> list[Debris]:
        """One call for all that it was told of; if it fails, all of them are left to the next run."""
        ours = [task for task in tasks if task.token in self._called]
        if not ours:
            return []
        self._called.difference_update(task.token for task in ours)
        try:
            self._check()
            self._call(Event.CLEAN_UP, ours)
        except RenewerError as error:
            return [self._debris(task, why=error.text) for task in ours]
        return []

    def sweep(self, debris: Debris) -> bool:
        """Have the config's program, and no other one, clean up a token of a killed run."""
        program, _, token = debris.where.rpartition(" ")
        if debris.what != DEBRIS or program != self._argv[0] or not tokens.well_formed(token):
            return True
        name = debris.detail.partition(": ")[0]
        try:
            self._check()
            self._run(Event.CLEAN_UP, debris.certificate, [_challenge(name, token, "")])
        except RenewerError:
            return False
        return True

    def close(self) -> None:
        """Nothing is open."""

    def _check(self) -> None:
        """Raises GiveUp if the program must not be run."""
        for key, argv in (("script", self._argv), ("cleanup", self._cleanup)):
            if argv and (fault := ownership.why_not_run(argv[0], f"`{key}` of the challenge")):
                text, _, hint = fault.partition("; ")
                raise GiveUp(f"the {key} of the challenge: {text}", hint=hint, kind="config")

    def _debris(self, task: Task, why: str = "") -> Debris:
        return Debris(
            certificate=task.certificate,
            what=DEBRIS,
            where=f"{self._argv[0]} {task.token}",
            at=clock.now(),
            detail=f"{task.identifier}: {why}" if why else str(task.identifier),
        )

    def _call(self, event: Event, tasks: Sequence[Task]) -> None:
        told = [_challenge(str(task.identifier), task.token, task.key_authorization) for task in tasks]
        self._run(event, tasks[0].certificate, told)

    def _run(self, event: Event, certificate: str, challenges: Sequence[_Told]) -> None:
        """Raises RetryLater if it fails, GiveUp if it cannot be started."""
        env = proc.scrubbed_environment() | {
            "RENEWER_EVENT": event.value,
            "RENEWER_CERTIFICATE": certificate,
        }
        if self._certbot:
            self._as_certbot(event, env, challenges)
            return
        document = {
            "schema": SCHEMA,
            "event": event,
            "certificate": certificate,
            "challenges": challenges,
        }
        self._start(event, (*self._argv, event.value), env, msgspec.json.encode(document))

    def _as_certbot(self, event: Event, env: Mapping[str, str], challenges: Sequence[_Told]) -> None:
        """One call a challenge; cleaning goes on after one that failed, and tells of the first."""
        cleaning = event is Event.CLEAN_UP
        argv = self._cleanup if cleaning else self._argv
        everybody = ",".join(one["identifier"] for one in challenges)
        failed: list[RenewerError] = []
        for number, one in enumerate(challenges if argv else (), 1):
            told = {
                "CERTBOT_DOMAIN": one["identifier"],
                "CERTBOT_TOKEN": one["token"],
                "CERTBOT_VALIDATION": one["key_authorization"],
                "CERTBOT_ALL_DOMAINS": everybody,
                "CERTBOT_REMAINING_CHALLENGES": str(len(challenges) - number),
            }
            if cleaning:
                told["CERTBOT_AUTH_OUTPUT"] = self._said.pop(one["token"], "")
            try:
                said = self._start(event, argv, {**env, **told}, b"")
            except RenewerError as error:
                if not cleaning:
                    raise
                failed.append(error)
            else:
                self._said.update({} if cleaning else {one["token"]: said.strip()})
        if failed:
            raise failed[0]

    def _start(self, event: Event, argv: Sequence[str], env: Mapping[str, str], stdin: bytes) -> str:
        """What it wrote. Raises RetryLater if it fails, GiveUp if it cannot be started."""
        try:
            ended = proc.run(argv, stdin=stdin, env=env, timeout=TIME_LIMIT, apart=self._certbot)
        except RenewerError as error:
            raise GiveUp(error.text, hint=error.hint, kind="config") from error
        if ended.code == 0:
            return ended.output
        line = proc.last_telling_line(ended.complaints if ended.complaints.strip() else ended.output)
        said = f": {line}" if line else ""
        how = f"failed (exit code {proc.exit_words(ended.code)})"
        if ended.code is None:
            how = f"did not end within {TIME_LIMIT:g} s and was ended"
        elif ended.code == LATER and not self._certbot:
            how = "asks to be called later"
        document = "" if self._certbot else ", with the document of docs/challenges.md on stdin"
        raise RetryLater(
            f"{argv[0]} {how} at {event}{said}",
            hint=f"run it by hand as the agent's user{document}",
            kind="script",
        )


def _challenge(identifier: str, token: str, key_authorization: str) -> dict[str, str]:
    return {
        "identifier": identifier,
        "token": token,
        "path": tokens.URL_PATH + token,
        "key_authorization": key_authorization,
    }
