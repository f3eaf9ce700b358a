"""The rooms of the house: imports run one way, effects stay at the edge, and `--help` is quick.

Every file under src/hinterland is parsed, never imported, so that imports inside functions count.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "hinterland"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# A room may import rooms of strictly lower layers, and itself. `record` stands below `training`:
# the training loop is handed a run folder and names its type.
LAYERS = (
    {"core"},
    {"nets", "domains", "learn"},
    {"influence", "rollout"},
    {"runtime"},
    {"record"},
    {"training"},
    {"report"},
    {"testing"},
    {"api"},
    {"cli"},
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
ALLOWED = {room: {r for r in LEVEL if LEVEL[r] < level} | {room} for room, level in LEVEL.items()}
# Shipped to people who write domains: it judges simulators and needs no trainer for that.
ALLOWED["testing"] = {"testing", "core", "domains", "rollout", "influence"}
# Two files, not rooms: the choices of a run. The rooms below get plain numbers instead.
ALLOWED["config"] = {"config", "core", "domains"}
ALLOWED["applies"] = {"applies", "config", "core", "domains"}
# A domain's own benchmarks stand above everything, wherever its other files lie.
ALLOWED["benches"] = {*LEVEL, "config", "benches"}
for reader in ("training", "report", "api", "cli"):
    ALLOWED[reader] |= {"config"}
for checker in ("api", "cli"):
    ALLOWED[checker] |= {"applies"}
ALLOWED["__main__"] = {"cli"}  # `python -m hinterland`
# The package's own __init__ names what users find there, and imports it when it is first used:
# whatever it imported at once, everybody would import.
ALLOWED["hinterland"] = {"api", "config", "core", "domains"}

PRINTERS = {"cli", "benches"}
PRINTING_FILES = {"api/display.py"}  # progress, for whoever asked for it
WRITERS = {"record", "report"}
WRITING_FILES = {
    "cli/study.py",  # lays out the folder of a study before any run of it exists
    # SUMO reads networks, routes and programs of lights from files, here in folders of our own
    # under the system's place for temporary files.
    "domains/traffic/city_domain.py",
    "domains/traffic/city_simulation.py",
    "domains/traffic/cutting.py",
    "domains/traffic/local_batch.py",
    "domains/traffic/local_simulation.py",
    "domains/traffic/network.py",
    "domains/traffic/simulation.py",
}
HEAVY = {"jax", "equinox", "optax", "matplotlib"}
LIGHT_ROOMS = {"cli", "record", "report", "benches"}

WRITE_CALLS = {"write_text", "write_bytes", "savefig", "save_file", "savez", "savez_compressed"}
WRITE_CALLS |= {"mkdir", "makedirs", "touch", "copytree", "copyfile"}
WRITE_MODE = re.compile(r"[wax][bt+]{0,2}|r[bt]?\+[bt]?")


def room_of(file: str) -> str:
    """The room of a path relative to the package: `core/keys.py` → core, `config.py` → config."""
    if re.fullmatch(r"domains/\w+/bench_\w+\.py", file):
        return "benches"
    first = PurePosixPath(file).parts[0].removesuffix(".py")
    return "hinterland" if first == "__init__" else first


def imported_modules(node: ast.AST, file: str) -> list[str]:
    """Absolute dotted names that one statement or call imports; empty for anything else."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = ("hinterland", *PurePosixPath(file).parent.parts)
            kept = package[: len(package) - node.level + 1]
            base = ".".join((*kept, node.module) if node.module else kept)
        # `from hinterland import core` names a room only in its last word
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        if name in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
            return [node.args[0].value]
    return []


def imported_room(module: str) -> str | None:
    """The room a dotted name leads to; None outside our package and for its dunder names."""
    parts = module.split(".")
    if parts[0] != "hinterland" or len(parts) == 1 or parts[1].startswith("__"):
        return None
    return room_of("/".join(parts[1:4]) + ".py") if parts[1] == "domains" else parts[1]


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported: no function bodies, no TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_import(child)


def is_print(node: ast.Call) -> bool:
    return ast.unparse(node.func) in {"print", "sys.stdout.write", "sys.stderr.write"}


def opens_for_writing(node: ast.Call) -> bool:
    name = getattr(node.func, "attr", getattr(node.func, "id", None))
    if ast.unparse(node.func) in {"np.save", "jnp.save", "numpy.save"}:
        return True
    if name != "open":
        return name in WRITE_CALLS
    # open(path, mode), path.open(mode), gzip.open(path, mode): a word that can only be a mode
    words = [*node.args, *(k.value for k in node.keywords if k.arg == "mode")]
    modes = [w.value for w in words if isinstance(w, ast.Constant) and isinstance(w.value, str)]
    return any(WRITE_MODE.fullmatch(mode) for mode in modes)


def violations(source: str, file: str) -> list[str]:
    """What one file does against the rules; `file` is its path relative to the package."""
    room, tree, found = room_of(file), ast.parse(source), []
    if room not in ALLOWED:
        return [f"{file}: room '{room}' is in no layer; add it to LAYERS in {Path(__file__).name}"]

    def complain(node: ast.AST, what: str) -> None:
        found.append(f"{file}:{node.lineno}: {what}")

    for node in ast.walk(tree):
        for target in filter(None, map(imported_room, imported_modules(node, file))):
            if target not in ALLOWED[room]:
                complain(node, f"{room} must not import {target}")
        if isinstance(node, ast.Call):
            if is_print(node) and room not in PRINTERS and file not in PRINTING_FILES:
                complain(node, "only cli prints")
            if opens_for_writing(node) and room not in WRITERS and file not in WRITING_FILES:
                complain(node, "only record and report write files")
    if room == "hinterland":
        for node in at_import(tree):
            for target in filter(None, map(imported_room, imported_modules(node, file))):
                complain(node, f"hinterland imports {target} inside functions only")
    if room in LIGHT_ROOMS:
        for node in at_import(tree):
            for heavy in {name.split(".")[0] for name in imported_modules(node, file)} & HEAVY:
                complain(node, f"{room} imports {heavy} inside functions only")
    return found


def test_there_are_files_to_check() -> None:
    assert "core/types.py" in FILES


@pytest.mark.parametrize("file", FILES)
def test_file_keeps_the_rules(file: str) -> None:
    assert violations((PACKAGE / file).read_text(encoding="utf-8"), file) == []


WRONG = [
    ("core/a.py", "import hinterland.nets", "core must not import nets"),
    ("core/a.py", "from hinterland import learn", "core must not import learn"),
    ("core/a.py", "def f():\n    from hinterland.cli import main", "a.py:2: core must not"),
    ("domains/toy/a.py", "from ...learn import gae", "domains must not import learn"),
    ("domains/__init__.py", "from ..nets import GRU", "domains must not import nets"),
    ("rollout/a.py", "from hinterland.influence.fit import fit", "rollout must not import influ"),
    ("record/a.py", "from hinterland.training import dials", "record must not import training"),
    ("runtime/a.py", "from hinterland.config import Config", "runtime must not import config"),
    ("testing/a.py", "from hinterland.learn import gae", "testing must not import learn"),
    ("config.py", "from hinterland.record import RunFolder", "config must not import record"),
    ("__init__.py", "from hinterland.core import Step", "hinterland imports core inside"),
    (
        "__init__.py",
        "if TYPE_CHECKING:\n    from hinterland.nets import GRU",
        "must not import nets",
    ),
    ("api/a.py", "from hinterland.cli import main", "api must not import cli"),
    ("api/runs.py", "def f():\n    print(1)", "runs.py:2: only cli prints"),
    ("core/a.py", "import_module('hinterland.cli')", "core must not import cli"),
    ("training/a.py", "from hinterland import atlas", "training must not import atlas"),
    ("atlas/a.py", "", "room 'atlas' is in no layer"),
    ("learn/a.py", "def f():\n    print(1)", "a.py:2: only cli prints"),
    ("report/a.py", "sys.stdout.write('x')", "only cli prints"),
    ("training/a.py", "open(path, 'w')", "only record and report write"),
    ("training/a.py", "open(path, mode='a')", "only record and report write"),
    ("training/a.py", "path.open('r+b')", "only record and report write"),
    ("training/a.py", "path.write_text('x')", "only record and report write"),
    ("cli/train.py", "np.save(path, x)", "only record and report write"),
    ("cli/a.py", "import jax.numpy as jnp", "cli imports jax inside"),
    ("report/a.py", "try:\n    from matplotlib import pyplot\nfinally:\n    pass", "matplotlib"),
    ("record/a.py", "class A:\n    import equinox", "record imports equinox inside"),
]
RIGHT = [
    ("core/a.py", "import jax\nfrom hinterland.core.spec import AgentSpec\nfrom . import types"),
    (
        "training/a.py",
        "from hinterland import __version__\nfrom hinterland.record import RunFolder",
    ),
    (
        "training/a.py",
        "from hinterland.config import Config\nopen(path)\nopen('wax')\nf.open('rb')",
    ),
    ("domains/toy/a.py", "from ...core import Step\nfrom .state import State\nimport hinterland"),
    ("testing/a.py", "from hinterland.domains.corridor import make"),
    ("report/a.py", "def f():\n    import jax\n    open(path, 'w')"),
    ("record/a.py", "if TYPE_CHECKING:\n    import jax\n"),
    ("cli/a.py", "from hinterland.report import page\nprint('done')"),
    ("cli/study.py", "path.mkdir()"),
    ("cli/a.py", "from hinterland.api.runs import begin"),
    ("api/display.py", "print('12 %', file=sys.stderr)"),
    ("__init__.py", "if TYPE_CHECKING:\n    from hinterland.core import Step"),
]


@pytest.mark.parametrize(("file", "source", "message"), WRONG)
def test_the_checker_sees_a_wrong_file(file: str, source: str, message: str) -> None:
    assert any(message in line for line in violations(source, file)), violations(source, file)


@pytest.mark.parametrize(("file", "source"), RIGHT)
def test_the_checker_lets_a_right_file_pass(file: str, source: str) -> None:
    assert violations(source, file) == []


DOMAINS = {"traffic", "lux", "warehouse", "combat", "smax", "colony", "corridor", "pettingzoo"}
NAMING = {
    "cli/arguments.py": {"warehouse"},  # the domain of examples, said there and nowhere else
}


def domains_named(source: str) -> set[str]:
    """The domains of ours that the code of a file names; its docstrings and comments may."""
    tree = ast.parse(source)
    said = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    words: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            words |= set(re.findall(r"[a-z]+", node.value))
        words |= {part for name in imported_modules(node, "x.py") for part in name.split(".")}
    return words & DOMAINS


@pytest.mark.parametrize("file", [x for x in FILES if not x.startswith(("domains/", "testing/"))])
def test_no_domain_is_named_outside_of_its_folder(file: str) -> None:
    named = domains_named((PACKAGE / file).read_text(encoding="utf-8"))
    assert named <= NAMING.get(file, set()), f"{file}: a domain declares what is its own"


@pytest.mark.parametrize(
    "source",
    [
        "if config.domain == 'traffic': pass",
        "from hinterland.domains.lux import seconds",
        "NOTE = 'combat: units of a side'",
    ],
)
def test_the_scan_sees_a_domain_named(source: str) -> None:
    assert domains_named(source)
    assert not domains_named('"""As the warehouse."""\nx = 1  # combat')


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["train", "traffic", "--help"]])
def test_help_needs_no_heavy_import(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from hinterland.cli import main\n"
        f"sys.argv = ['hinterland', *{words!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"loaded = sorted({HEAVY} & sys.modules.keys())\n"
        "sys.exit(f'imported: {loaded}' if loaded else 0)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "train" in run.stdout
