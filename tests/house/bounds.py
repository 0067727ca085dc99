"""The table of the house: each measure with where it stood, what it must not go beyond, and its aim.

`at_most` is a ratchet: `tests/test_architecture.py` holds it, so it goes down with what it measures and never
up. A measure above its aim says why.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.house import measures
from tests.house.code import modules

MODULE_LINES, FUNCTION_LINES = 500, 40
LONGER_MODULES = {  # with its own limit, and why it is one piece
    "renewer/model/facts.py": (660, "nouns only: the list is the vocabulary"),
}
LONGER_FUNCTIONS: dict[str, tuple[int, str]] = {}

# Modules of fewer than 80 lines with one importer: why each is not a part of it.
STAND_ALONE: dict[str, str] = {
    "renewer/config/requests.py": "read where a certificate has a request, which opens x509: 75 ms",
    "renewer/accounts/brought.py": "touches keys of accounts, which is for the room of accounts",
    "renewer/moving/clients.py": "the door of the room: also for who only wants to know who renews what",
    "renewer/moving/sound.py": "needs no config: asked by takeover, too",
    "renewer/moving/uacme.py": "a client is a module",
    "renewer/moving/writing.py": "texts of TOML: pure",
    "renewer/network/acme/hints.py": "a table of words: what to do about each problem (RFC 8555 §6.7)",
    "renewer/network/providers/advice.py": "a table of words: what to do about each code",
    "renewer/network/providers/httpreq.py": "a provider is a module",
    "renewer/network/channels/duty.py": "a duty is a module: what a worker loads",
    "renewer/network/channels/post.py": "one way to deliver, as mail is another",
    "renewer/notify/apprise.py": "loaded by who has such a channel: it brings processes",
    "renewer/policy/readiness.py": "a policy is a module: facts of a host in, findings out",
}

_WHEN_THE_HOUSE_WAS_PLANNED_ANEW = 43_169  # lines


class Row(NamedTuple):
    """One measure: its name, what counts it, where it stood, its ratchet, its aim, and why it is above that.

    `found` names what was counted, where people can do something about it.
    """

    name: str
    today: Callable[[], float]
    stood: float
    at_most: float
    aim: float
    why: str = ""
    found: Callable[[], Sequence[str]] = list


def unexplained() -> list[str]:
    """Small modules with one importer that no reason keeps apart."""
    return sorted(path for path in measures.small_and_single() if path not in STAND_ALONE)


def _circles() -> list[str]:
    return [" ↔ ".join(group) for group in measures.circles()]


def _shared_names() -> list[str]:
    return [f"{name}: {', '.join(paths)}" for name, paths in measures.shared_class_names().items()]


def _counted(found: Callable[[], Sequence[str]]) -> Callable[[], int]:
    return lambda: len(found())


ROWS = (
    Row(
        "modules",
        lambda: len(modules()),
        336,
        354,
        225,
        "the door came with the walls; a module a client moved from or a server read, or a command",
    ),
    Row(
        *("lines", measures.lines, _WHEN_THE_HOUSE_WAS_PLANNED_ANEW, 57_500),
        *(
            round(_WHEN_THE_HOUSE_WAS_PLANNED_ANEW * 0.92),
            "older states, DANE, signing by kind, looks that end, moving in, the host",
        ),
    ),
    Row(
        "header lines, per cent",
        lambda: round(100 * measures.header_share(), 1),
        9.6,
        9.3,
        9.0,
        "modules are many still",
    ),
    Row("module circles", _counted(_circles), 2, 0, 0, "", _circles),
    Row("levels", measures.levels, 13, 7, 7),
    Row(
        "modules under 80 lines with one importer, unexplained",
        _counted(unexplained),
        39,
        0,
        0,
        "",
        unexplained,
    ),
    Row(
        "annotations dict[str, Any] away from JSON",
        _counted(measures.untyped),
        143,
        0,
        0,
        "",
        measures.untyped,
    ),
    Row(
        "indexed by a string in cli, report, tell",
        lambda: measures.indexed_by_string("cli", "tell", "report", "notify"),
        471,
        42,
        0,
        "headers of mails, and events of the renewal log, which have details of any kind",
    ),
    Row(
        "longest module",
        lambda: measures.longest_modules(1)[0][0],
        640,
        660,
        MODULE_LINES,
        "facts: one vocabulary",
    ),
    Row(
        "longest function",
        lambda: measures.longest_functions(1)[0][0],
        53,
        FUNCTION_LINES,
        FUNCTION_LINES,
    ),
    Row(
        "clients of HTTP/1.1",
        _counted(measures.http_clients),
        3,
        1,
        1,
        "",
        measures.http_clients,
    ),
    Row(
        "ways to write a durable file",
        _counted(measures.durable_writers),
        7,
        1,
        1,
        "",
        measures.durable_writers,
    ),
    Row("cleaners of strangers' text", _counted(measures.cleaners), 8, 1, 1, "", measures.cleaners),
    Row("walkers of zone cuts", _counted(measures.zone_walkers), 3, 1, 1, "", measures.zone_walkers),
    Row(
        "times a config key is said",
        lambda: round(measures.times_a_key_is_said(), 2),
        2.58,
        1.4,
        1,
        "what a rule completes is named there, too",
    ),
    Row("keys that are first UNSET", measures.unset_keys, 142, 0, 0),
    Row(
        "class names borne by two modules or more",
        _counted(_shared_names),
        23,
        0,
        0,
        "",
        _shared_names,
    ),
)
