"""The house stands as its plan says: layers, locks and doors, read from the imports of every module.

The table of layers here is the one in docs/architecture.md; a new room takes its place in both.
"""

import ast
import re
import sys
from collections.abc import Iterator

import pytest

from tests import marks
from tests.house import bounds
from tests.house.bounds import FUNCTION_LINES, LONGER_FUNCTIONS, LONGER_MODULES, MODULE_LINES, ROWS, Row
from tests.house.code import (
    ROOT,
    calls,
    functions,
    imports,
    length,
    modules,
    nodes,
    our_rooms_imported,
    source,
)
from tests.house.measures import strongly_connected

# A room imports its own level and lower ones; no modules import each other in a circle.
LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(level.split())
    for level in (
        "__init__ errors clock decoding threads model words certs",
        "policy",
        (
            "network provisioning store ledger copies hooks x509 proc ownership durable statedir secrets "
            "wakers logs config servers"
        ),
        "context inventory accounts",
        (
            "issue install deploy pre_post observe refresh questions lineage moving reclaim acceptance "
            "concerns revoke watches doctor notify report discover workers"
        ),
        "run reconcile rehearse",
        "cli __main__",
    )
)
LINE_OF = {room: line for line, rooms in enumerate(LAYERS) for room in rooms}

# What is read, asked and written stays ignorant of what is decided about it.
IGNORANT_OF_POLICY = frozenset().union(*LAYERS[: LINE_OF["context"] + 1]) - {"policy"}

# What speaks to strangers takes plain values and knows nothing else of this host; and no other room at its
# level speaks to them.
GROUND = LAYERS[0] | {"network"}

PURE = ("model", "policy")
IMPURE_MODULES = frozenset(
    (
        *("os", "pathlib", "shutil", "tempfile", "socket", "subprocess", "requests"),
        *("time", "random", "secrets", "logging", "threading"),
    )
)
CLOCK_CALLS = frozenset({"now", "utcnow", "today"})

# One door a library: module or package -> the rooms and modules that may import it.
DOORS: dict[str, tuple[str, ...]] = {
    "acme": ("renewer/accounts/key.py",),
    "josepy": ("renewer/accounts/key.py",),
    "requests": (),
    "urllib3": (),
    "OpenSSL": ("renewer/network/tls.py", "renewer/network/verify/polite.py"),
    "cryptography": ("renewer/certs.py", "renewer/x509.py", "renewer/accounts/key.py"),
    "dns": ("renewer/network/dns/", "renewer/network/providers/rfc2136.py"),
    "lexicon": ("renewer/network/providers/lexicon.py",),
    "subprocess": ("renewer/proc.py",),
    "time": ("renewer/clock.py",),
    "sqlite3": ("renewer/ledger/",),
    "psycopg": ("renewer/ledger/",),
    "click": ("renewer/cli/",),
    "rich": ("renewer/cli/",),
    "jinja2": ("renewer/notify/html.py",),
    "apprise": ("renewer/network/channels/services.py",),
}
# Who brings something to the disk or renames it besides `durable`, the one way to a durable file, and why.
OTHERWISE_DURABLE = {
    "renewer/logs/file.py": "a stream: lines are appended",
    "renewer/ledger/files.py": "SQLite writes its file; a damaged one is moved aside",
}
SSL_CONTEXT_MAKERS = frozenset({"SSLContext", "create_default_context", "_create_unverified_context"})
ENDINGS = frozenset({("", "print"), ("sys", "exit"), ("", "exit"), ("", "SystemExit"), ("os", "_exit")})


# --- layers -------------------------------------------------------------------------------------------------


def test_every_room_has_its_level() -> None:
    """A new room must be given a level: in LAYERS here and in docs/architecture.md."""
    assert sorted({module.room for module in modules()} - set(LINE_OF)) == []


def test_no_room_stands_twice() -> None:
    """A room has one level."""
    assert len(LINE_OF) == sum(len(line) for line in LAYERS)


def test_nobody_imports_from_above() -> None:
    """A room imports its own level and lower ones."""
    wrong = [
        f"{module.path}:{line} imports {room}"
        for module in modules()
        for room, line in our_rooms_imported(module)
        if LINE_OF.get(room, 0) > LINE_OF.get(module.room, 99)
    ]
    assert wrong == []


def test_the_page_of_the_house_has_the_same_layers() -> None:
    """docs/architecture.md shows the very table that is enforced."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    shown = re.search(r"```layers\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    rows = [line.split(maxsplit=1)[1] for line in shown[1].strip().splitlines()]
    present = {module.room for module in modules()}
    expected = [sorted(line & present - {"__init__"}) for line in LAYERS]
    assert [sorted(set(row.split()) & present) for row in reversed(rows)] == expected


def test_doors_know_nothing_of_policy() -> None:
    """What reads, asks and writes does not import what decides."""
    wrong = [
        f"{module.path}:{line}"
        for module in modules()
        for room, line in our_rooms_imported(module)
        if room == "policy" and module.room in IGNORANT_OF_POLICY
    ]
    assert wrong == []


def test_who_speaks_to_strangers_needs_no_rights() -> None:
    """`network/` imports no config, store, ledger, hooks, keys or programs: values are given to it."""
    wrong = [
        f"{module.path}:{line} imports {room}"
        for module in modules()
        for room, line in our_rooms_imported(module)
        if module.room == "network" and room not in GROUND
    ]
    assert wrong == []


def test_who_has_rights_speaks_to_no_stranger() -> None:
    """Of the rooms beside `network/` and of what gathers, `accounts` alone imports it, before its door."""
    beside = (LAYERS[LINE_OF["network"]] | LAYERS[LINE_OF["context"]]) - {"network", "accounts"}
    wrong = [
        f"{module.path}:{line}"
        for module in modules()
        for room, line in our_rooms_imported(module)
        if room == "network" and module.room in beside
    ]
    assert wrong == []


# What main may know of `network/`: doors, what is said at them, and what an authority's answers are read as.
DOORS_AND_MESSAGES = re.compile(
    r"renewer\.network\.(door|protocol|channels|dns|verify|providers|challenges|(\w+\.)messages|acme\.(resources|lost|problems))"
)


BESIDE_THE_DOORS = {  # what else of it, and why
    ("workers", "confine", "channel", "duties", "line", "nursery"): "main's side of the processes",
    ("acceptance", "tls", "verify.in_memory"): "a handshake in memory, with our own key: nobody is spoken to",
    ("reclaim", "verify.in_memory"): "the same",
    ("cli", "confine"): "main closes itself to others",
}


def test_all_ask_through_doors() -> None:
    """Whoever is not `network/` imports of it the doors and what is said at them."""
    allowed = {(room, f"renewer.network.{one}") for room, *several in BESIDE_THE_DOORS for one in several}
    found = {
        (module.room, target)
        for module in modules()
        if module.room != "network"
        for target, _, _ in imports(module)
        if target.startswith("renewer.network.") and not DOORS_AND_MESSAGES.fullmatch(target)
    }
    assert found == allowed


def test_one_module_below_cli_knows_the_story() -> None:
    """Only cli imports run, only run imports reconcile: the order of things is known in one place."""
    told = {
        (room, module.room)
        for module in modules()
        for room, _ in our_rooms_imported(module)
        if room in ("run", "reconcile")
    }
    assert told == {("run", "cli"), ("reconcile", "run")}


# --- locks --------------------------------------------------------------------------------------------------


def test_model_and_policy_import_nothing_that_acts() -> None:
    """No clock, disk, network, log or randomness where decisions are made."""
    wrong = [
        f"{module.path}:{line} imports {target}"
        for module in modules()
        if module.room in PURE
        for target, line, _ in imports(module)
        if target.split(".")[0] in IMPURE_MODULES or target == "renewer.clock"
    ]
    assert wrong == []


def test_model_and_policy_ask_no_clock() -> None:
    """The moment comes in as a fact."""
    wrong = [
        f"{module.path}:{line} calls {name}()"
        for module in modules()
        if module.room in PURE
        for _, name, line in calls(module)
        if name in CLOCK_CALLS
    ]
    assert wrong == []


@pytest.mark.parametrize("library", sorted(DOORS))
def test_a_library_has_one_door(library: str) -> None:
    """Foreign types stop at the door of the room that speaks to them."""
    wrong = [
        f"{module.path}:{line}"
        for module in modules()
        for target, line, _ in imports(module)
        if target.split(".")[0] == library and not module.path.startswith(DOORS[library])
    ]
    assert wrong == []


def test_http_is_spoken_by_one_client() -> None:
    """Deadlines, sizes and proxies cannot be forgotten where no request is written."""
    wrong = [
        f"{module.path}:{line}"
        for module in modules()
        for target, line, _ in imports(module)
        if target in ("http.client", "urllib.request") and module.path != "renewer/network/http.py"
    ]
    assert [one for one in wrong if not one.startswith("renewer/network/acme/transport.py")] == []


def test_the_time_comes_from_the_one_clock() -> None:
    """now(), today() and sleep() of the system are called in clock.py only."""
    wrong = [
        f"{module.path}:{line} calls {owner}.{name}()"
        for module in modules()
        for owner, name, line in calls(module)
        if name in CLOCK_CALLS | {"sleep"} and owner != "clock" and module.path != "renewer/clock.py"
    ]
    assert wrong == []


def test_tls_contexts_are_made_in_one_place() -> None:
    """Verification cannot be forgotten where no context is made."""
    wrong = [
        f"{module.path}:{line}"
        for module in modules()
        for _, name, line in calls(module)
        if name in SSL_CONTEXT_MAKERS and module.path != "renewer/network/tls.py"
    ]
    assert wrong == []


def test_html_is_made_from_templates() -> None:
    """What is shown is escaped by them; nobody joins tags and other people's words by hand."""
    wrong = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        for node in nodes(module)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"<(html|head|body|table|tr|td|th|p|ul|ol|li|div|span|h1)[ >]", node.value)
    ]
    assert wrong == []


def test_durable_files_are_written_in_one_way() -> None:
    """Whoever renames or syncs files by hand has a reason that is said."""
    wrong = {
        module.path
        for module in modules()
        for owner, name, _ in calls(module)
        if owner == "os" and name in ("rename", "replace", "fsync", "fdatasync", "mkstemp")
    }
    assert wrong - {"renewer/durable.py"} == set(OTHERWISE_DURABLE)


def test_what_failed_is_told_where_it_is_an_outcome() -> None:
    """`Outcome.failed` alone tells the renewal log of a failure and makes what the run's report says of it.

    Of a hook's failure its own event tells.
    """
    by_its_hook = {
        "renewer/pre_post.py",
        "renewer/rehearse.py",  # which tells on the screen alone
        "renewer/deploy/publishing.py",
        "renewer/deploy/transaction.py",
    }
    told, made = set(), set()
    for module in modules():
        for node in nodes(module):
            if not isinstance(node, ast.Call):
                continue
            given = [*node.args, *(word.value for word in node.keywords)]
            if node.args and _said(node.args[0]) == "EventName.FAILED":
                told.add(module.path)
            if "Result.FAILED" in map(_said, given):
                made.add(module.path)

    assert told == {"renewer/model/decision.py"}
    assert made <= {"renewer/model/decision.py", *by_its_hook}


def _said(node: ast.expr) -> str:
    """An attribute of a name as it is written; "" for anything else."""
    named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    return ast.unparse(node) if named else ""


def test_only_the_command_line_prints_and_exits() -> None:
    """Everybody else returns a value or raises."""
    wrong = [
        f"{module.path}:{line} calls {name}()"
        for module in modules()
        if module.room not in ("cli", "__main__") and module.path != "renewer/network/nursery.py"  # forks
        for owner, name, line in calls(module)
        if (owner, name) in ENDINGS
    ]
    assert wrong == []


def test_foreign_imports_are_declared() -> None:
    """Everything imported is the standard library, ourselves, or a dependency of pyproject.toml."""
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    declared = {name.lower() for name in re.findall(r'^ +"([A-Za-z0-9_-]+)[\[<>=,.]', project, re.MULTILINE)}
    declared |= {name.lower() for name in re.findall(r'^\w+ = \["([A-Za-z0-9_-]+)', project, re.MULTILINE)}
    declared |= {"dns", "lexicon", "OpenSSL"}  # the modules of dnspython, dns-lexicon and pyOpenSSL
    declared |= {"typing_extensions"}  # types alone
    foreign = {
        target.split(".")[0]
        for module in modules()
        for target, _, _ in imports(module)
        if target.split(".")[0] not in sys.stdlib_module_names | {"renewer"}
    }
    assert sorted(foreign - declared) == []


def test_tables_over_an_enum_name_each_of_its_members() -> None:
    """A new member is missed by no table that is written out; what is said of a few is a `match`."""
    members: dict[str, list[set[str]]] = {}
    for module in modules():
        for made in module.tree.body:
            if isinstance(made, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in made.bases):
                names = {ast.unparse(one.targets[0]) for one in made.body if isinstance(one, ast.Assign)}
                members.setdefault(made.name, []).append(names)
    wrong = []
    for module in modules():
        for node in nodes(module):
            if not isinstance(node, ast.Dict) or len(node.keys) < 2:
                continue
            keys = [ast.unparse(key).rpartition(".") if key else ("", "", "") for key in node.keys]
            (of, *others) = {owner.rpartition(".")[2] for owner, _, _ in keys}
            named = {name for _, _, name in keys}
            if of in members and not others and named not in members[of]:
                wrong.append(f"{module.path}:{node.lineno} is a table over {of}")
    assert wrong == []


# --- size and words -----------------------------------------------------------------------------------------


def test_modules_are_short() -> None:
    """A room is split when it grows too long: by noun, never by layer."""
    wrong = [
        f"{module.path} has {module.lines} lines"
        for module in modules()
        if module.lines > LONGER_MODULES.get(module.path, (MODULE_LINES, ""))[0]
    ]
    assert wrong == []


def test_the_story_fits_on_a_page() -> None:
    """run.py alone knows the order; who reads it has read the flow."""
    (story,) = (module for module in modules() if module.path == "renewer/run.py")
    assert story.lines <= 190


def test_functions_are_short() -> None:
    """A function is read at one look."""
    wrong = [
        f"{module.path}:{one.name} has {length(one)} lines"
        for module in modules()
        for one in functions(module)
        if length(one) > LONGER_FUNCTIONS.get(f"{module.path}:{one.name}", (FUNCTION_LINES, ""))[0]
    ]
    assert wrong == []


def _public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, f"{prefix}{node.name}.")


def test_what_is_public_says_what_it_is() -> None:
    """Every module, and every public class and function in it, has a docstring."""
    wrong = [module.path for module in modules() if not ast.get_docstring(module.tree)]
    wrong += [
        f"{module.path}:{name}"
        for module in modules()
        for name, node in _public(module.tree.body)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not ast.get_docstring(node)
    ]
    assert wrong == []


def test_every_test_says_what_it_proves() -> None:
    """A test without a sentence is a test nobody can judge."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for top in ast.parse(path.read_text("utf-8")).body
        for node in (top.body if isinstance(top, ast.ClassDef) else [top])
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert wrong == []


# --- measures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_the_house_gets_no_worse(row: Row) -> None:
    """Each measure stays within what it was brought to; `python -m tests.house -v` shows them all."""
    today = row.today()
    assert today <= row.at_most, f"{row.name}: {today}, not more than {row.at_most}; {list(row.found())}"
    assert row.aim <= row.at_most


def test_every_exception_is_one() -> None:
    """The lists of what may be longer, and of what stands alone, get shorter with the house."""
    paths = {module.path for module in modules()}
    longer = {f"{module.path}:{one.name}" for module in modules() for one in functions(module)}
    assert sorted(set(LONGER_MODULES) - paths) == []
    assert sorted(set(LONGER_FUNCTIONS) - longer) == []
    assert [path for path, (limit, _) in LONGER_MODULES.items() if limit <= MODULE_LINES] == []
    assert sorted(set(bounds.STAND_ALONE) - paths) == []
    marked = {*marks.REAL_FILES, *marks.SLOW_FILES, *marks.REAL_DIRECTORIES, *marks.SLOW_DIRECTORIES}
    assert sorted(one for one in marked if not (ROOT / "tests" / one).exists()) == []


def test_make_check_leaves_out_what_the_marks_say() -> None:
    """By the very expression for which whole directories are not even read."""
    assert f"-m '{marks.CHECK}'" in (ROOT / "Makefile").read_text("utf-8")
    assert marks.passed_over(ROOT / "tests/e2e", marks.CHECK)
    assert not marks.passed_over(ROOT / "tests/e2e", "real")


def test_circles_are_found() -> None:
    """By whatever way round; a tree has none, and who only hangs on a circle is not part of it."""
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}, "f": {"g"}, "g": {"f"}}
    frozen = {name: frozenset(targets) for name, targets in edges.items()}
    assert strongly_connected(frozen) == [("a", "b", "c"), ("f", "g")]
    assert strongly_connected({"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}) == []


# --- the reader of imports itself ---------------------------------------------------------------------------


def test_what_is_for_types_alone_is_known() -> None:
    """An import for a type checker makes no circle."""
    text = "if TYPE_CHECKING:\n    from renewer import clock\nelse:\n    from renewer.network import tls"
    assert [(one.target, one.for_types) for one in imports(source(text))] == [
        ("renewer.clock", True),
        ("renewer.network.tls", False),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("import renewer.clock", "renewer.clock", id="a plain import"),
        pytest.param("from renewer import clock", "renewer.clock", id="a module from the package"),
        pytest.param("from renewer import __version__", "renewer", id="a value from the package"),
        pytest.param("from renewer.clock import now", "renewer.clock", id="a name from a module"),
        pytest.param("from .. import clock", "renewer.clock", id="two dots"),
        pytest.param("from ..clock import now", "renewer.clock", id="two dots and a name"),
        pytest.param("from . import window", "renewer.policy.window", id="one dot"),
        pytest.param("def f():\n    from renewer import clock", "renewer.clock", id="inside a function"),
        pytest.param("if TYPE_CHECKING:\n    import renewer.clock", "renewer.clock", id="for types alone"),
        pytest.param("try:\n    import os.path\nfinally:\n    pass", "os.path", id="inside a try"),
    ],
)
def test_no_way_to_import_is_overlooked(text: str, expected: str) -> None:
    """The reader sees each way in which a module can be imported."""
    assert [found.target for found in imports(source(text))] == [expected]
