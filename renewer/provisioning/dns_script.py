"""People's own scripts as a provider: run as the client they were written for would run them.

A scrubbed environment plus what the config gives (secrets are resolved now, and never stand in an argument),
a time limit, the whole process group ended at it, and the checks of hooks: nobody else can change the file.
Scripts of other clients were never called twice at once, so neither are they here.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import ClassVar

from renewer import ownership, secrets
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model.desired import Dns01, Secret
from renewer.model.dns_options import BUILT_IN, Rules, time_limit
from renewer.model.dns_provider import TxtRecord, each, untouched
from renewer.provisioning.conventions import LATER, Call, Event, Job, calls, programs

TIME_LIMIT = 120.0  # seconds for one call, unless the config says otherwise
_SHORTEST = 4  # a secret shorter than that is no secret, and blotting it out would spoil every text

_locks: dict[str, threading.Lock] = {}
_guard = threading.Lock()


class ScriptProvider:
    """Runs the script for each record, or for all, as its convention says."""

    rules: ClassVar[Rules] = BUILT_IN["script"]
    needs_zone = False

    def __init__(self, challenge: Dns01) -> None:
        self._options = dict(challenge.options)
        self._given = dict(challenge.env)
        self._ours = self._options.get("convention", "renewer") == "renewer"
        self._limit = time_limit(self._options, TIME_LIMIT)
        self._said: dict[tuple[str, str], str] = {}
        self._path = programs(self._options)[0][1]
        with _guard:
            self._turn = _locks.setdefault(self._path, threading.Lock())

    def ready(self, names: Sequence[str]) -> None:  # noqa: ARG002  it is the same for all
        """Whether the programs may be run, and the secrets of their environment are there."""
        self._check()
        self._environment()

    def add(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Every call in order; the first that fails ends it."""
        with untouched():
            self._check()
            env = self._environment()
        with self._turn:
            for call in self._calls(Event.PRESENT, zone, records):
                said = self._run(Event.PRESENT, zone, call, env)
                for record in call.records:
                    self._said[record.name, record.value] = said.strip()

    def remove(self, zone: str, records: Sequence[TxtRecord]) -> None:
        """Every call, also after one that failed."""
        env = self._environment()
        with self._turn:
            planned = self._calls(Event.CLEAN_UP, zone, records)
            each(planned, lambda call: self._run(Event.CLEAN_UP, zone, call, env))

    def close(self) -> None:
        """Nothing is open."""

    def _check(self) -> None:
        """Raises GiveUp if one of the programs must not be run."""
        for option, path, executable in programs(self._options):
            key = f"the option {option} of the provider script"
            if fault := ownership.why_not_run(path, key, executable=executable):
                text, _, hint = fault.partition("; ")
                raise GiveUp(f"the script of the provider script: {text}", hint=hint, kind="config")

    def _calls(self, event: Event, zone: str, records: Sequence[TxtRecord]) -> Sequence[Call]:
        self._check()
        job = Job(event=event, zone=zone, records=tuple(records), options=self._options, said=self._said)
        return calls(job)

    def _environment(self) -> dict[str, str]:
        """What the config gives, its secrets resolved."""
        return {
            name: secrets.resolve(value) if isinstance(value, Secret) else value
            for name, value in self._given.items()
        }

    def _run(self, event: Event, zone: str, call: Call, given: dict[str, str]) -> str:
        """What it wrote to stdout. Raises RetryLater if it failed."""
        from renewer import proc

        first = call.records[0]
        told = {"RENEWER_EVENT": event.value, "RENEWER_ZONE": zone, "RENEWER_NAME": first.name}
        env = proc.scrubbed_environment() | told | dict(call.env) | given
        try:
            ended = proc.run(call.argv, stdin=call.stdin, env=env, timeout=self._limit, apart=True)
        except RenewerError as error:
            raise GiveUp(error.text, hint=error.hint, kind="config") from error
        if ended.code == 0:
            return ended.output
        what = "publish" if event is Event.PRESENT else "remove"
        names = ", ".join(dict.fromkeys(record.name for record in call.records))
        output = ended.complaints if ended.complaints.strip() else ended.output
        line = self._blotted(proc.last_telling_line(output), given)
        said = f": {line}" if line else ""
        text = f"{self._path} failed to {what} {names} (exit code {proc.exit_words(ended.code)}){said}"
        hint = "run it by hand as the agent's user, with this environment and no other, to see more"
        if ended.code is None:
            text = f"{self._path} did not {what} {names} within {self._limit:g} s and was ended{said}"
            hint = (
                "if it waits for the record to be seen, that is done here: take it out; else a longer timeout"
            )
        elif ended.code == LATER and self._ours:
            text, hint = f"{self._path} asks to be called later{said}", ""
        raise RetryLater(text, hint=hint, kind="script")

    def _blotted(self, text: str, given: Mapping[str, str]) -> str:
        """A line of its output without the secrets that it was given."""
        for name, value in self._given.items():
            secret = given[name]
            if isinstance(value, Secret) and len(secret) >= _SHORTEST:
                text = text.replace(secret, "…")
        return text
