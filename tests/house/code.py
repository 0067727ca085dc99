"""The package's source as syntax trees, each file parsed once: modules, what they import, what they call."""

import ast
import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "renewer"

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """A source file: its path below the repository, its dotted name, its syntax tree and its text."""

    path: str
    name: str
    is_package: bool
    tree: ast.Module
    text: str

    @property
    def room(self) -> str:
        """The part of the house it belongs to: its first name below the package."""
        return [*self.name.split("."), "__init__"][1]

    @property
    def lines(self) -> int:
        """How long it is."""
        return self.text.count("\n")


class Import(NamedTuple):
    """One imported module, as a full dotted name, with the line that says so."""

    target: str
    line: int
    for_types: bool
    """Whether only a type checker imports it."""


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    gc.disable()
    try:
        return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))
    finally:
        gc.freeze()  # half a million nodes that stay: looking through them again and again takes seconds
        gc.enable()


def _read(path: Path) -> Module:
    relative = path.relative_to(ROOT)
    parts = list(relative.with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    text = path.read_text("utf-8")
    return Module(str(relative), name, is_package, ast.parse(text, str(path)), text)


def source(text: str, path: str = "renewer/policy/sample.py") -> Module:
    """A module that is in no file."""
    name = path.removesuffix(".py").replace("/", ".")
    return Module(path, name, False, ast.parse(text), text)


@cache
def nodes(module: Module) -> tuple[ast.AST, ...]:
    """Its whole tree in a row."""
    return tuple(ast.walk(module.tree))


@cache
def functions(module: Module) -> tuple[Function, ...]:
    """Every function and method in it."""
    return tuple(node for node in nodes(module) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines from its `def` to its end."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


@cache
def our_names() -> frozenset[str]:
    """The dotted names of all our modules."""
    return frozenset(module.name for module in modules())


@cache
def imports(module: Module) -> tuple[Import, ...]:
    """Everything a module imports: inside functions and for types alone, too."""
    return tuple(_imports(module))


def _imports(module: Module) -> Iterator[Import]:
    for_types = {
        id(below)
        for node in nodes(module)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in node.body
        for below in ast.walk(statement)
    }
    for node in nodes(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, id(node) in for_types)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                below = f"{base}.{alias.name}"
                # `from renewer import clock` takes a module, `from renewer import __version__` a value
                yield Import(below if below in our_names() else base, node.lineno, id(node) in for_types)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def our_rooms_imported(module: Module) -> Iterator[tuple[str, int]]:
    """The other rooms that a module imports."""
    for target, line, _ in imports(module):
        if target == "renewer" or target.startswith("renewer."):
            room = [*target.split("."), "__init__"][1]
            if room != module.room:
                yield room, line


@cache
def calls(module: Module) -> tuple[tuple[str, str, int], ...]:
    """Every call by name: (what it is called on or '', the name, line)."""
    return tuple(_calls(module))


def _calls(module: Module) -> Iterator[tuple[str, str, int]]:
    for node in nodes(module):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name):
                yield "", function.id, node.lineno
            elif isinstance(function, ast.Attribute):
                owner = function.value.id if isinstance(function.value, ast.Name) else "…"
                yield owner, function.attr, node.lineno
