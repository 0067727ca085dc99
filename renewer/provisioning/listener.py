"""Answering by listening ourselves: for hosts without a web server on port 80."""

import shutil
import threading
from collections.abc import Iterable, Sequence

from renewer import clock, proc
from renewer.errors import GiveUp, RenewerError, RetryLater
from renewer.model import token as tokens
from renewer.model.facts import Debris
from renewer.model.names import Identifier
from renewer.model.solver import OneByOne, OwnLook, Presented, Task
from renewer.model.value import Warn
from renewer.provisioning import sockets
from renewer.provisioning.sockets import Serve, Serving

DEBRIS = "http-01 after"  # Debris.what: a killed run did not run `after`; `where` is the address
COMMAND_TIMEOUT = 60.0  # seconds for `before` and for `after`
_EXCERPT = 200  # characters of a command's output in a message


# One server an address for the whole process, with the number of solvers that use it: several
# certificates may name the same address with other settings.
_servers: dict[str, tuple[Serving, int]] = {}
_servers_lock = threading.Lock()


class ListenSolver(OneByOne):
    """Has the tokens in hand served on `listen`, from the first `present` until `close`.

    `before` runs once ahead of listening and `after` once when it is over, also when `before` or the
    listening failed. If it cannot listen, it says so to everybody and does not try again: the port is
    not asked for by a hundred certificates in turn.
    """

    type = "http-01"

    def __init__(
        self,
        listen: str,
        *,
        serve: Serve,
        preflight: OwnLook,
        before: Sequence[str] = (),
        after: Sequence[str] = (),
    ) -> None:
        self._listen = listen
        self._serve = serve
        self._preflight = preflight
        self._before = tuple(before)
        self._after = tuple(after)
        self._lock = threading.Lock()
        self._server: Serving | None = None
        self._failure: RenewerError | None = None
        self._after_owed = False
        self._unsettled: str | None = None

    def ready(self, names: Sequence[Identifier]) -> None:  # noqa: ARG002  it is the same for all
        """Whether the address is one, and the commands around listening are there."""
        sockets.split(self._listen)
        for key, argv in (("before", self._before), ("after", self._after)):
            if argv and not shutil.which(argv[0], path=proc.scrubbed_environment().get("PATH")):
                raise GiveUp(
                    f"`{key}` of the challenge cannot be run: {argv[0]} is not there, or not executable",
                    hint=f"correct {key}, or put the program there (chmod +x)",
                    kind="config",
                )

    def held_by(self, certificate: str) -> Debris | None:
        """A listener ends with its process; only `after` can be left undone."""
        if not self._after:
            return None
        return Debris(certificate=certificate, what=DEBRIS, where=self._listen, at=clock.now())

    def open(self) -> None:
        """Run `before`, and listen."""
        self._started()

    def debris_of(self, task: Task) -> Debris | None:
        """As `held_by`."""
        return self.held_by(task.certificate)

    def present(self, task: Task) -> Presented:
        """Serve the token; starts to listen if nobody does yet.

        Raises OurFault for a token that is none; RetryLater or GiveUp if listening is not possible.
        """
        tokens.check(task.token)
        self._started().show(_path(task), task.key_authorization.encode())
        return Presented(task=task, where=self._listen)

    def wait(self, presented: Sequence[Presented], warn: Warn) -> None:
        """Fetch every token ourselves, as the config's `preflight` demands."""
        self._preflight.look(presented, warn)

    def clean_up(self, task: Task) -> Debris | None:
        """Forget the token; the listening goes on for the others. `after` is owed until `close`."""
        if self._server is not None:
            self._server.hide(_path(task))
        return None

    def sweep(self, debris: Debris) -> bool:
        """Run the `after` that a killed run owes: the config's, never one out of a record."""
        if debris.what != DEBRIS or debris.where != self._listen or not self._after:
            return True
        return _run(self._after) is None

    def close(self) -> str | None:
        """Stop listening if nobody else uses the address, then run `after` if `before`'s time had come.

        A failing `after` may leave a port open in a firewall: its sentence is returned.
        """
        with self._lock:
            if self._server is not None:
                self._server = None
                _release(self._listen)
            self._settle()
            return self._unsettled

    def _started(self) -> Serving:
        with self._lock:
            if self._failure is not None:
                raise _again(self._failure)
            if self._server is None:
                try:
                    self._server = self._start()
                except RenewerError as error:
                    self._failure = error
                    self._settle()
                    raise
            return self._server

    def _start(self) -> Serving:
        sockets.split(self._listen)  # a typing error is found before anything runs
        self._after_owed = bool(self._after)
        if self._before and (fault := _run(self._before)) is not None:
            raise RetryLater(
                f"`before` failed, so nothing listens on {self._listen}: {fault}",
                hint=f"run it by hand: {' '.join(self._before)}",
                kind="before",
            )
        return _acquire(self._listen, self._serve)

    def _settle(self) -> None:
        """Run `after` if it is owed; not twice in a run, the next one sweeps."""
        if self._after_owed:
            self._after_owed = False
            if (fault := _run(self._after)) is not None:
                self._unsettled = (
                    f"`after` failed, what `before` did on {self._listen} may still be so: {fault}"
                )


def _path(task: Task) -> str:
    return tokens.URL_PATH + task.token


def _acquire(listen: str, serve: Serve) -> Serving:
    with _servers_lock:
        server, users = _servers.get(listen) or (serve(sockets.open_for(listen)), 0)
        _servers[listen] = (server, users + 1)
        return server


def _release(listen: str) -> None:
    with _servers_lock:
        server, users = _servers.pop(listen)
        if users > 1:
            _servers[listen] = (server, users - 1)
        else:
            server.stop()


def _run(argv: Iterable[str]) -> str | None:
    """Run a command of the operator's: None if it went well, else what went wrong."""
    words = list(argv)
    try:
        result = proc.run(words, env=proc.scrubbed_environment(), timeout=COMMAND_TIMEOUT)
    except RenewerError as error:
        return error.text
    if result.code == 0:
        return None
    how = f"no end after {COMMAND_TIMEOUT:.0f} s" if result.timed_out else f"exit code {result.code}"
    said = " ".join(result.output.split())[-_EXCERPT:]
    return f"{words[0]}: {how}" + (f", it said: {said}" if said else "")


def _again(error: RenewerError) -> RenewerError:
    """The same error anew: one instance must not be raised by several threads."""
    return type(error)(error.text, hint=error.hint, kind=error.kind)
