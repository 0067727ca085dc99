"""What each kind of trouble does to the world, whom it concerns, and how it is mended."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests import toml
from tests.servers import bends
from tests.servers.bendable import Bendable, last_third
from tests.servers.bends import Answer, Call
from tests.soak.schedule import CALLS, CERTIFICATES, WAYS, Trouble
from tests.soak.world import DOMAIN, World

ALL = frozenset(CERTIFICATES)
Mend = Callable[[], None]


@dataclass(slots=True)
class Begun:
    """A trouble in the world: what was done in words, whom it concerns, how it ends.

    `authority` is the one that it is at, if it is an authority's; certificates that may be had elsewhere are
    then not helpless. `state` is whether something on the agent's disk was changed by it: its order budget
    may have been forgotten.
    """

    trouble: Trouble
    text: str
    concerns: frozenset[str]
    mend: Mend
    authority: str = ""
    state: bool = False
    until: int = 0
    """The turn before which it ends; set by who counts turns."""


@dataclass(slots=True)
class Troubles:
    """Begins and ends troubles; `active` are those that go on."""

    world: World
    active: list[Begun] = field(default_factory=list)
    backup: Path | None = None

    def begin(self, trouble: Trouble, turn: int) -> Begun:
        """Let it happen."""
        begun = _KINDS[trouble.kind](self, trouble)
        begun.until = turn + trouble.turns
        self.active.append(begun)
        if trouble.kind in _BENDS:
            self.bent()
        return begun

    def end(self, turn: int | None = None) -> list[Begun]:
        """End those whose time has come; all of them without a turn."""
        over = [one for one in self.active if turn is None or one.until <= turn]
        for one in over:
            self.active.remove(one)
            one.mend()
        if over:
            self.bent()
        return over

    def bent(self) -> None:
        """Bend the authorities as the active troubles want, the newest first."""
        for name, authority in self.world.authorities.items():
            authority.mend()
            for one in reversed(self.active):
                if one.authority == name and one.trouble.kind in _BENDS:
                    _BENDS[one.trouble.kind](authority, one.trouble)

    def reaching(self, authority: str) -> frozenset[str]:
        """The certificates that may come from an authority."""
        return frozenset(name for name, wish in self.world.wishes.items() if authority in wish.authorities)

    def by_authority(self, trouble: Trouble, text: str) -> Begun:
        """A trouble of an authority that is nothing but bent answers."""
        name = _side(trouble)
        return Begun(trouble, f"authority {name}: {text}", self.reaching(name), _nothing, authority=name)


def _nothing() -> None:
    pass


def _side(trouble: Trouble) -> str:
    return trouble.pick(0, ("a", "b"))


# --- authorities ------------------------------------------------------------------------------------------


def _answer(troubles: Troubles, trouble: Trouble) -> Begun:
    call, way = trouble.pick(1, CALLS), trouble.pick(2, WAYS)
    often = " a few times" if trouble.dice[3] < 0.4 else ""
    return troubles.by_authority(trouble, f"{call} → {way}{often}")


def _bend_answer(authority: Bendable, trouble: Trouble) -> None:
    call, way = Call(trouble.pick(1, CALLS)), trouble.pick(2, WAYS)
    times = 1 + int(trouble.dice[4] * 3) if trouble.dice[3] < 0.4 else None
    if way == "hang" and times is None:
        times = 4  # each costs seconds of our own
    authority.bend(call, _WAYS[way], times=times)


_WAYS: dict[str, bends.Bend] = {
    "foreign type": bends.problem("urn:vendor:error:odd", 400),
    "404 problem": bends.problem("malformed", 404),
    "404 page": bends.html(404),
    "500": bends.error(500),
    "page": bends.html(200),
    "thin": bends.thin(),
    "cut": bends.cut(),
    "lost": bends.lost,
    "dropped": bends.dropped,
    "429": bends.problem("rateLimited", 429, retry_after="90"),
    "503": bends.error(503, retry_after="30"),
    "unauthorized": bends.problem("unauthorized", 403),
    "hang": bends.hang,
}


def _away(troubles: Troubles, trouble: Trouble) -> Begun:
    return troubles.by_authority(trouble, "away")


def _bend_away(authority: Bendable, trouble: Trouble) -> None:
    authority.bend((), bends.dropped if trouble.dice[1] < 0.5 else bends.error(503))


def _stuck(troubles: Troubles, trouble: Trouble) -> Begun:
    return troubles.by_authority(trouble, "orders stay processing")


def _bend_stuck(authority: Bendable, _: Trouble) -> None:
    authority.bend((Call.FINALIZE, Call.ORDER_POLL), bends.stays("processing", retry_after="30"))


def _forgets(troubles: Troubles, trouble: Trouble) -> Begun:
    name = _side(trouble)
    troubles.world.authorities[name].forget_accounts()
    return Begun(trouble, f"authority {name} has lost its accounts", troubles.reaching(name), _nothing, name)


def _window(troubles: Troubles, trouble: Trouble) -> Begun:
    name, way = _side(trouble), trouble.pick(1, ("past", "future", "backwards", "none"))
    authority, life = troubles.world.authorities[name], troubles.world.pace.lives[0]
    usual = troubles.world.windows[name]

    def bent(leaf: Any, now: Any) -> Any:
        start, end = last_third(leaf, now)
        shifted = {
            "past": (now - life, now - life / 2),
            "future": (start + life * 9, end + life * 9),
            "backwards": (end, start),
        }
        return shifted.get(way)

    authority.window = bent

    def mend() -> None:
        authority.window = usual

    return Begun(trouble, f"authority {name}: windows are {way}", troubles.reaching(name), mend, name)


def _chain(troubles: Troubles, trouble: Trouble) -> Begun:
    return troubles.by_authority(trouble, f"chains are {trouble.pick(1, tuple(_CHAINS))}")


def _bend_chain(authority: Bendable, trouble: Trouble) -> None:
    change = _CHAINS[trouble.pick(1, tuple(_CHAINS))]

    def bend(request: Any) -> Answer:
        usual: Answer = request.usual()
        if usual.status != 200:
            return usual
        import dataclasses

        return dataclasses.replace(usual, body=change(usual.body))

    authority.bend(Call.CERTIFICATE, bend)


_BEGIN = b"-----BEGIN CERTIFICATE-----"


def _blocks(body: bytes) -> list[bytes]:
    return [_BEGIN + block for block in body.split(_BEGIN)[1:]]


_CHAINS: dict[str, Callable[[bytes], bytes]] = {
    "doubled": lambda body: body + _blocks(body)[-1],
    "with text": lambda body: b"".join(b"subject=whoever\n" + block for block in _blocks(body)),
    "reversed": lambda body: b"".join(reversed(_blocks(body))),
    "with a BOM": lambda body: b"\xef\xbb\xbf" + body.replace(b"\n", b"\r\n"),
}

FORGETFUL = frozenset({"ledger", "restored", "byte"})
"""Kinds after which the ledger may not know of challenges that a killed run left behind."""

_BENDS: dict[str, Callable[[Bendable, Trouble], None]] = {
    "answer": _bend_answer,
    "away": _bend_away,
    "stuck": _bend_stuck,
    "chain": _bend_chain,
}


# --- this host --------------------------------------------------------------------------------------------


def _webroot(troubles: Troubles, trouble: Trouble) -> Begun:
    world = troubles.world
    concerned = frozenset(name for name, wish in world.wishes.items() if wish.solver == "web")
    if trouble.dice[0] < 0.5:
        root = world.nginx.webroot
        aside = root.with_name("webroot-aside")
        if aside.exists():
            return Begun(trouble, "the webroot is missing still", concerned, _nothing)
        root.rename(aside)

        def back() -> None:
            if root.exists():
                shutil.rmtree(root)
            aside.rename(root)

        return Begun(trouble, "the webroot is missing", concerned, back)
    world.web_broken = True

    def mend() -> None:
        world.web_broken = False

    return Begun(trouble, "port 80 leads elsewhere", concerned, mend)


def _dns(troubles: Troubles, trouble: Trouble) -> Begun:
    world, way = troubles.world, trouble.pick(0, ("silence", "servfail", "nothing", "provider"))
    concerned = frozenset(name for name, wish in world.wishes.items() if wish.solver == "dns")
    flag = world.directory / "publish-fails"
    if way == "provider":
        flag.touch()
        return Begun(trouble, "DNS: the provider fails", concerned, lambda: flag.unlink(missing_ok=True))
    world.dns_says = way

    def mend() -> None:
        world.dns_says = ""

    return Begun(trouble, f"DNS: {way}", concerned, mend)


def _hook(troubles: Troubles, trouble: Trouble) -> Begun:
    way = trouble.pick(0, ("fails", "hangs"))
    flag = troubles.world.directory / f"tally-{way}"
    flag.touch()
    return Begun(trouble, f"the hook tally {way}", frozenset({"api"}), lambda: flag.unlink(missing_ok=True))


def _server(troubles: Troubles, trouble: Trouble) -> Begun:
    nginx = troubles.world.nginx
    # A key that is lost while the server is down, which answers the challenges as well, needs a person
    if trouble.dice[0] < 0.5 and nginx.test().returncode == 0:
        nginx.kill()

        def up() -> None:
            if not nginx.alive and nginx.test().returncode == 0:
                nginx.start()

        return Begun(trouble, "the web server is down", ALL, up)
    nginx.extra = ("no such directive;",)
    nginx.write_config()

    def mend() -> None:
        nginx.extra = ()
        nginx.write_config()

    return Begun(trouble, "the web server's configuration is broken", ALL, mend)


def _full(troubles: Troubles, trouble: Trouble) -> Begun:
    world = troubles.world
    if not world.mounted or world.ballast.exists():
        return Begun(trouble, "the disk cannot be filled", frozenset(), _nothing)
    left = int(trouble.dice[0] ** 3 * 300_000)
    with world.ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
        file.truncate(max(file.tell() - left, 0))
    return Begun(
        trouble,
        f"the disk is full but for {left} bytes",
        ALL,
        lambda: world.ballast.unlink(missing_ok=True),
        state=True,
    )


def _ledger(troubles: Troubles, trouble: Trouble) -> Begun:
    state, way = troubles.world.state, trouble.pick(0, ("lost", "emptied", "cut", "scrawled"))
    path = state / "ledger.db"
    if way == "lost":
        for one in state.glob("ledger.db*"):
            one.unlink()
    elif path.exists():
        data = bytearray(path.read_bytes())
        if way == "emptied":
            data.clear()
        elif way == "cut":
            del data[int(trouble.dice[1] * len(data)) :]
        else:
            start, end = int(trouble.dice[1] * len(data)), len(data)
            data[start : start + 200] = bytes([int(trouble.dice[2] * 256)] * min(200, end - start))
        path.write_bytes(data)
    return Begun(trouble, f"the ledger is {way}", ALL, _nothing, state=True)


def _emptied(troubles: Troubles, trouble: Trouble) -> Begun:
    name = trouble.pick(0, CERTIFICATES)
    file = trouble.pick(1, ("fullchain.pem", "chain.pem", "cert.pem", "privkey.pem", "version.json"))
    if file == "privkey.pem" and not troubles.world.nginx.alive:
        file = "cert.pem"
    path = troubles.world.live(name) / file
    if path.exists():
        path.write_bytes(b"")
    # A neighbour's renewal goes through the same web server, whose test fails as long as this is so
    return Begun(trouble, f"{name}/live/{file} is empty", ALL, _nothing, state=True)


def _byte(troubles: Troubles, trouble: Trouble) -> Begun:
    state = troubles.world.state
    files = sorted(
        path
        for path in state.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and "authorities" not in path.parts
        and path.stat().st_size
    )
    if not troubles.world.nginx.alive:
        files = [path for path in files if path.name != "privkey.pem"]
    path = files[int(trouble.dice[0] * len(files))]
    data = bytearray(path.read_bytes())
    place = int(trouble.dice[1] * len(data))
    data[place] ^= 1 << int(trouble.dice[2] * 8)
    path.write_bytes(data)
    text = f"byte {place} of {path.relative_to(state)} is another"
    return Begun(trouble, text, ALL, _nothing, state=True)


def _copy(troubles: Troubles, trouble: Trouble) -> Begun:
    path = troubles.world.copies / trouble.pick(0, ("shop.pem", "shop.key"))
    way = trouble.pick(1, ("removed", "emptied"))
    if path.exists():
        path.unlink()
    if way == "emptied":
        path.touch(mode=0o600)
    return Begun(trouble, f"the copy {path.name} is {way}", ALL, _nothing)


def _restored(troubles: Troubles, trouble: Trouble) -> Begun:
    if troubles.backup is None:
        return Begun(trouble, "there is no backup yet", frozenset(), _nothing)
    troubles.world.ballast.unlink(missing_ok=True)  # who restores makes room first
    what = trouble.pick(0, ("all", "all", "the ledger", "the certificates"))
    troubles.world.restore(troubles.backup, what)
    return Begun(trouble, f"a backup was restored: {what}", ALL, _nothing, state=True)


def _link(troubles: Troubles, trouble: Trouble) -> Begun:
    name, way = trouble.pick(0, CERTIFICATES), trouble.pick(1, ("removed", "turned back", "a directory"))
    live = troubles.world.live(name)
    aside = live.with_name(f"live.restored-{trouble.dice[2]}")

    def away() -> None:
        """As the agent's hint says."""
        if not live.is_symlink() and live.is_dir():
            live.rename(aside)

    if live.is_symlink():
        holds = live.resolve()
        live.unlink()
        if way == "turned back":
            older = min(path.name for path in (live.parent / "versions").iterdir())
            live.symlink_to(f"versions/{older}")
        elif way == "a directory":
            with suppress(OSError):  # the disk may be full by then: it has what found room
                shutil.copytree(holds, live)
    return Begun(trouble, f"{name}/live is {way}", ALL, away, state=True)


# --- the configuration ------------------------------------------------------------------------------------


def _edited(troubles: Troubles, trouble: Trouble, text: str, *concerned: str) -> Begun:
    troubles.world.write_config()
    return Begun(trouble, f"configuration: {text}", frozenset(concerned), _nothing)


def _names(troubles: Troubles, trouble: Trouble) -> Begun:
    name = trouble.pick(0, ("www", "api", "shop"))
    wish = troubles.world.wishes[name]
    more = f"{trouble.pick(1, ('x', 'y'))}.{name}.{DOMAIN}"
    if more in wish.names:
        wish.names.remove(more)
        return _edited(troubles, trouble, f"{name} without {more}", name)
    wish.names.append(more)
    return _edited(troubles, trouble, f"{name} with {more}", name)


def _key(troubles: Troubles, trouble: Trouble) -> Begun:
    name = trouble.pick(0, CERTIFICATES)
    wish = troubles.world.wishes[name]
    others = tuple({"ecdsa-p256", "ecdsa-p384", "rsa-2048"} - {wish.key})
    wish.key = trouble.pick(1, tuple(sorted(others)))
    return _edited(troubles, trouble, f"{name} with a key {wish.key}", name)


def _switched(troubles: Troubles, trouble: Trouble) -> Begun:
    name = trouble.pick(0, CERTIFICATES)
    wish = troubles.world.wishes[name]
    if len(wish.authorities) > 1:
        wish.authorities.reverse()
    else:
        wish.authorities[:] = ["a" if wish.authorities == ["b"] else "b"]
    return _edited(troubles, trouble, f"{name} from {', '.join(wish.authorities)}", name)


def _unhooked(troubles: Troubles, trouble: Trouble) -> Begun:
    hooks = troubles.world.wishes["api"].hooks
    if "tally" in hooks:
        hooks.remove("tally")
        return _edited(troubles, trouble, "api without the hook tally", "api")
    hooks.append("tally")
    return _edited(troubles, trouble, "api with the hook tally", "api")


def _config(troubles: Troubles, trouble: Trouble) -> Begun:
    world, way = troubles.world, trouble.pick(0, ("emptied", "cut"))
    text = world.config.read_text()
    # Nothing but where the state lies: that is not at the usual place here
    state = f"[agent]\nstate = {toml.value(world.state)}\n"
    world.config_text = state if way == "emptied" else text[: len(text) // 2] + "\n[["
    world.write_config()

    def mend() -> None:
        world.config_text = None
        world.write_config()

    return Begun(trouble, f"the configuration is {way}", ALL, mend)


def _clock(troubles: Troubles, trouble: Trouble) -> Begun:
    world, hours = troubles.world, (-400, -30, -1, 1, 30, 400, 1500)[int(trouble.dice[0] * 7)]
    world.skew = timedelta(hours=hours)

    def mend() -> None:
        world.skew = timedelta(0)

    return Begun(trouble, f"the agent's clock is {hours} hours ahead", ALL, mend, state=True)


_KINDS: dict[str, Callable[[Troubles, Trouble], Begun]] = {
    "answer": _answer,
    "away": _away,
    "stuck": _stuck,
    "forgets": _forgets,
    "window": _window,
    "chain": _chain,
    "webroot": _webroot,
    "dns": _dns,
    "hook": _hook,
    "server": _server,
    "disk full": _full,
    "ledger": _ledger,
    "emptied": _emptied,
    "byte": _byte,
    "copy": _copy,
    "restored": _restored,
    "link": _link,
    "names": _names,
    "key": _key,
    "switched": _switched,
    "unhooked": _unhooked,
    "config": _config,
    "clock": _clock,
}
