"""The import fence: which room of irsql may import which, and who may import torch and sqlglot.

Every import statement counts, also inside functions and under ``TYPE_CHECKING``. What a program loads at run time is
checked in fresh interpreters.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Modules directly under irsql/ (compile.py, api.py, ...) form the room "top".
ALLOWED_ROOMS = {
    "ir": {"ir"},
    "dialects": {"dialects", "ir"},
    "passes": {"passes", "dialects", "ir"},
    "frontend": {"frontend", "dialects", "ir"},
    "targets": {"targets", "dialects", "ir"},
    "runtime": {"runtime", "targets", "ir"},
    "top": {"top", "ir", "dialects", "passes", "frontend", "targets", "runtime"},
    "tools": {"tools", "top", "ir", "dialects", "passes", "frontend", "targets", "runtime"},
}

# Libraries that only some rooms may import.
LIBRARY_ROOMS = {
    "torch": {"frontend", "top", "tools"},
    "transformers": {"frontend", "top", "tools"},
    "sqlglot": {"targets"},
    "jaxlib": set[str](),
    "xdsl": set[str](),
}

ROOM_FOLDERS = {"dialects": "dialects", "passes": "passes", "tools": "tools"}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module's dotted name and file; the links inside irsql/ are not followed."""
    for prefix, folder in {"irsql": "irsql", **{f"irsql.{room}": f for room, f in ROOM_FOLDERS.items()}}.items():
        base = ROOT / folder
        for file in sorted(base.rglob("*.py")):
            parts = file.relative_to(base).with_suffix("").parts
            if folder == "irsql" and parts[0] in ROOM_FOLDERS:
                continue
            yield ".".join([prefix, *(part for part in parts if part != "__init__")]), file


MODULES = dict(modules())


def room_of(module: str) -> str:
    parts = module.split(".")
    if len(parts) == 1:
        return "top"
    if parts[1] in ALLOWED_ROOMS:
        return parts[1]
    if len(parts) == 2 and MODULES.get(module, Path("x.py")).name != "__init__.py":
        return "top"
    return parts[1]


def imported_modules(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Dotted names that the import statements of a file load, with their line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                # `from irsql import ir` and `from irsql.passes import tir` load modules, other names do not.
                yield (name if name in MODULES or node.module == "irsql" else node.module), node.lineno


def violations(module: str, source: str) -> list[str]:
    room = room_of(module)
    assert room in ALLOWED_ROOMS, f"{module}: room {room!r} has no entry in ALLOWED_ROOMS"
    found = []
    for name, line in imported_modules(ast.parse(source)):
        library = name.partition(".")[0]
        if library in ROOM_FOLDERS:
            found.append(f"line {line}: {name} must be imported as irsql.{name}")
        elif library in LIBRARY_ROOMS and room not in LIBRARY_ROOMS[library]:
            found.append(f"line {line}: {room} must not import {name}")
        elif library == "irsql" and name != "irsql.__version__" and room_of(name) not in ALLOWED_ROOMS[room]:
            found.append(f"line {line}: {room} must not import {name}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_module_stays_inside_its_fence(module: str) -> None:
    assert violations(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("irsql.ir.core", "import irsql.dialects.tir"),
        ("irsql.ir.core", "import torch"),
        ("irsql.ir.core", "from irsql import compile"),
        ("irsql.dialects.tir", "from irsql.passes import tir"),
        ("irsql.passes.tir.cse", "from irsql.targets import duckdb"),
        ("irsql.passes.tir.cse", "import sqlglot.expressions as exp"),
        ("irsql.passes.tir.cse", "def f():\n    from torch import nn"),
        ("irsql.passes.tir.cse", "from passes.tir import cse"),
        ("irsql.targets.duckdb", "from irsql.runtime import driver"),
        ("irsql.runtime.driver", "from irsql.passes.sql import inline"),
        ("irsql.runtime.driver", "import transformers"),
        ("irsql.runtime.driver", "from irsql import load"),
        ("irsql.frontend", "from irsql.tools import cli"),
    ],
)
def test_fence_reports_what_it_forbids(module: str, statement: str) -> None:
    assert len(violations(module, statement)) == 1


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("room", ["ir", "dialects", "passes", "targets", "runtime"])
def test_room_loads_without_torch(room: str) -> None:
    names = ["irsql", *(name for name in MODULES if room_of(name) == room)]
    code = "\n".join(f"import {name}" for name in names)
    assert run_python(f"{code}\nimport sys\nprint({{'torch', 'transformers'}} & set(sys.modules))") == "set()\n"


COMMANDS = [f"irsql.tools.{name}" for name in ("cli", "irsql_opt", "irsql_reduce") if f"irsql.tools.{name}" in MODULES]


@pytest.mark.parametrize("module", COMMANDS)
def test_help_loads_no_torch(module: str) -> None:
    out = run_python(
        f"""
import sys
from {module} import main
sys.argv = ["command", "--help"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print({{"torch", "transformers"}} & set(sys.modules))
"""
    )
    assert "--" in out, "no help was printed"
    assert out.endswith("\nset()\n")


@pytest.mark.parametrize("folder", ["passes", "dialects", "tools"])
def test_root_folder_refuses_its_bare_name(folder: str) -> None:
    code = f"try:\n    import {folder}\nexcept ImportError as error:\n    print(error)"
    assert run_python(code) == f"import irsql.{folder}, not {folder}\n"
