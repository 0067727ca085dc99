"""What can be counted of the house from its source; what is found is listed, for people to judge."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

from tests.house.code import (
    ROOT,
    Function,
    Module,
    calls,
    functions,
    imports,
    length,
    modules,
    nodes,
    our_names,
)

# --- size ---------------------------------------------------------------------------------------------------


_DOOR = re.compile(
    r"renewer/network/(protocol|door|.*/messages|.*/duty|verify/looks)\.py|renewer/accounts/(door|permit)\.py"
)


def lines() -> int:
    """Lines of all modules, but for the door between main and its workers."""
    return sum(module.lines for module in modules() if not _DOOR.fullmatch(module.path))


def header(module: Module) -> int:
    """Lines of its docstring and of the imports that follow it, with the blank lines between."""
    last = 0
    for node in module.tree.body:
        words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (isinstance(node, ast.Import | ast.ImportFrom) or (words and not last)):
            break
        last = node.end_lineno or node.lineno
    return last


def header_share() -> float:
    """Of all lines, the part that is headers."""
    return sum(map(header, modules())) / lines()


def longest_modules(count: int = 3) -> list[tuple[int, str]]:
    """The longest ones and their lines."""
    return sorted(((module.lines, module.path) for module in modules()), reverse=True)[:count]


def longest_functions(count: int = 3) -> list[tuple[int, str]]:
    """The longest ones and their lines."""
    found = ((length(one), f"{module.path}:{one.name}") for module in modules() for one in functions(module))
    return sorted(found, reverse=True)[:count]


def longer_than(bound: int) -> list[str]:
    """Modules above a bound."""
    return [module.path for module in modules() if module.lines > bound]


# --- walls --------------------------------------------------------------------------------------------------


def levels() -> int:
    """Levels of the listing in docs/architecture.md, the ground counted."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    shown = re.search(r"```(?:layers|levels)\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    rows = [line.split(maxsplit=1) for line in shown[1].strip().splitlines()]
    return len([row for row in rows if row[0].isdigit() and row[1:] != ["__main__"]])


def _edges() -> dict[str, frozenset[str]]:
    """Which modules each needs when it runs: imports inside functions count, those for types do not."""
    return {
        module.name: frozenset(
            one.target
            for one in imports(module)
            if not one.for_types and one.target in our_names() and one.target != module.name
        )
        for module in modules()
    }


def circles() -> list[tuple[str, ...]]:
    """Groups of modules of which each needs every other, by whatever way round."""
    return strongly_connected(_edges())


def strongly_connected(edges: dict[str, frozenset[str]]) -> list[tuple[str, ...]]:
    """The groups of more than one node of a graph (Tarjan, 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[tuple[str, ...]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        path.append(node)
        for target in sorted(edges[node]):
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in path:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            group = path[path.index(node) :]
            del path[path.index(node) :]
            if len(group) > 1:
                found.append(tuple(sorted(group)))

    for node in sorted(edges):
        if node not in order:
            visit(node)
    return sorted(found)


def small_and_single(bound: int = 80) -> dict[str, str]:
    """Modules of fewer lines than the bound that one other module imports, and that module."""
    importers = defaultdict(set)
    for module in modules():
        for one in imports(module):
            if one.target != module.name:
                importers[one.target].add(module.path)
    return {
        module.path: next(iter(importers[module.name]))
        for module in modules()
        if module.lines < bound and not module.is_package and len(importers[module.name]) == 1
    }


# --- words --------------------------------------------------------------------------------------------------

UNTYPED = re.compile(r"\b(?:dict|Mapping|MutableMapping)\[str, Any\]")
_AT_JSONS_EDGE = (
    # the wire: what authorities and providers of DNS send and want
    *("renewer/network/acme/", "renewer/network/providers/", "renewer/network/protocol.py"),
    # account.json, and what is signed
    "renewer/accounts/",
    # the loader: TOML before it is checked
    "renewer/config/",
    # JSON's edge: octets to values and back
    "renewer/decoding.py",
)


def untyped() -> list[str]:
    """Annotations of functions and attributes that say `dict[str, Any]`, by any alias, away from JSON."""
    aliases = {
        (module.name, node.targets[0].id)
        for module in modules()
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and UNTYPED.search(ast.unparse(node.value))
    }
    return [
        f"{module.path}:{annotation.lineno}"
        for module in modules()
        if not module.path.startswith(_AT_JSONS_EDGE)
        for known in (_known(module, aliases),)
        for annotation in _annotations(module)
        if _names(annotation) & known or UNTYPED.search(ast.unparse(annotation))
    ]


def _known(module: Module, aliases: set[tuple[str, str]]) -> set[str]:
    own = {name for home, name in aliases if home == module.name}
    for node in nodes(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            own |= {one.asname or one.name for one in node.names if (node.module, one.name) in aliases}
    return own


def _names(annotation: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}


def _annotations(module: Module) -> Iterator[ast.expr]:
    for node in nodes(module):
        if isinstance(node, Function):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            extra = (one for one in (node.args.vararg, node.args.kwarg) if one)
            yield from (one.annotation for one in chain(arguments, extra) if one.annotation)
            if node.returns:
                yield node.returns
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


def indexed_by_string(*rooms: str) -> int:
    """How often these rooms take something out of a document by a string: `row["state"]`."""
    return sum(
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
        for module in modules()
        if module.room in rooms
        for node in nodes(module)
        if not isinstance(node, ast.Subscript) or ast.unparse(node.value) not in ("Literal", "ClassVar")
    )


def shared_class_names() -> dict[str, list[str]]:
    """Public names that classes of two or more modules bear."""
    homes = defaultdict(list)
    for module in modules():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module.path)
    return {name: paths for name, paths in sorted(homes.items()) if len(paths) > 1}


_OF_KEYS = ("desired", "challenges", "channels", "served", "dns_options")


def times_a_key_is_said() -> float:
    """Of a config key on average: a table's field, a value's field, and what carries one to the other."""
    tables = set(_fields("renewer/config/"))
    values = set(_fields(*(f"renewer/model/{name}" for name in _OF_KEYS)))
    carried = {
        keyword.arg
        for module in modules()
        if module.path.startswith("renewer/config/")
        for node in nodes(module)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    }
    keys = tables | values
    return sum((key in tables) + (key in values) + (key in carried) for key in keys) / len(keys)


def unset_keys() -> int:
    """Keys that are declared as `… | UnsetType = UNSET`, to be said again where they have a meaning."""
    return sum(
        isinstance(node, ast.AnnAssign) and node.value is not None and ast.unparse(node.value) == "UNSET"
        for module in modules()
        for node in nodes(module)
    )


def _fields(*paths: str) -> Iterator[str]:
    for module in modules():
        if module.path.startswith(paths):
            for node in nodes(module):
                if isinstance(node, ast.ClassDef) and node.bases:
                    for one in node.body:
                        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                            yield one.target.id


# --- the same thing done twice ------------------------------------------------------------------------------

_REQUEST_LINE = re.compile(r"^(?!HTTP/|CONNECT)\S* .*HTTP/1\.[01]\r\n", re.DOTALL)


def http_clients() -> list[str]:
    """Modules that speak HTTP/1.1 as clients: they write a request line, or open a connection."""
    return [
        module.path
        for module in modules()
        if any(_REQUEST_LINE.match(text) for text in _texts(module))
        or any(name in ("HTTPConnection", "HTTPSConnection") for _, name, _ in calls(module))
    ]


def _texts(module: Module) -> Iterator[str]:
    """Every string in it, what is filled in left out."""
    for node in nodes(module):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(one.value) for one in node.values if isinstance(one, ast.Constant))
        elif isinstance(node, ast.Constant):
            value = node.value
            yield value.decode("latin-1") if isinstance(value, bytes) else str(value)


def durable_writers() -> list[str]:
    """Modules that have a way of their own to make a file last: they sync it and rename or link it."""
    return [
        module.path
        for module in modules()
        if {"fsync", "fdatasync"} & (called := {name for _, name, _ in calls(module)})
        and called & {"replace", "rename", "renames", "link"}
    ]


def cleaners() -> list[str]:
    """Functions and patterns that take from a stranger's text what a terminal would act on."""
    return [
        f"{module.path}:{node.lineno}"
        for module in modules()
        for node in nodes(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _cleans(node, node.func)
    ]


def _cleans(node: ast.Call, called: ast.Attribute) -> bool:
    on, name = called.value, called.attr
    if name == "join" and isinstance(on, ast.Constant) and on.value == "":
        return ".isprintable()" in ast.unparse(node) or "category(" in ast.unparse(node)
    if name == "compile" and node.args and isinstance(node.args[0], ast.Constant):
        return bool(re.search(r"\\x00-\\x[01]", str(node.args[0].value)))
    return False


def zone_walkers() -> list[str]:
    """Functions that go up a name, label by label, to find where its zone begins.

    Who goes up with the resolver's checking on looks for where validation begins to fail.
    """
    return [
        f"{module.path}:{one.name}"
        for module in modules()
        if ".parent()" in module.text
        for one in functions(module)
        if any(isinstance(node, ast.While | ast.For) for node in ast.walk(one))
        and ".parent()" in (text := ast.unparse(one))
        and ("SOA" in text or "rdatatype.NS" in text)
        and "check=True" not in text
    ]
