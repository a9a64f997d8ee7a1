"""What pyproject.toml and setup.py say about the tree, and what ``import irsql`` promises."""

from __future__ import annotations

import importlib
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINKED = ("dialects", "passes", "tools")


@pytest.fixture
def setup_arguments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py hands to setuptools."""
    arguments: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", arguments.update)
    monkeypatch.chdir(ROOT)  # find_packages looks in the working directory
    runpy.run_path("setup.py")
    return arguments


def test_every_folder_with_python_is_a_package(setup_arguments: dict[str, Any]) -> None:
    tree = set()
    for package, folder in setup_arguments["package_dir"].items():
        for file in (ROOT / folder).rglob("*.py"):
            parts = file.parent.relative_to(ROOT / folder).parts
            if not (folder == "irsql" and parts[:1] and parts[0] in LINKED):
                tree.add(".".join([package, *parts]))
    packages = setup_arguments["packages"]
    assert sorted(tree - set(packages)) == [], "folders with Python files but without __init__.py"
    assert sorted(packages) == sorted(tree)


@pytest.mark.parametrize("folder", LINKED)
def test_links_lead_to_the_root_folders(folder: str, setup_arguments: dict[str, Any]) -> None:
    link = ROOT / "irsql" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / folder
    assert setup_arguments["package_dir"][f"irsql.{folder}"] == folder


def test_setup_makes_the_links_and_mends_a_checkout_that_lost_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "irsql").mkdir()
    for folder in LINKED:
        (tmp_path / folder).mkdir()
    (tmp_path / "irsql" / "passes").write_text("../passes")  # what a patch makes of a committed link
    (tmp_path / "irsql" / "tools").symlink_to(tmp_path / "elsewhere")
    shutil.copy(ROOT / "setup.py", tmp_path)
    monkeypatch.setattr("setuptools.setup", lambda **arguments: None)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        runpy.run_path("setup.py")
        links = {folder: (tmp_path / "irsql" / folder).readlink() for folder in LINKED}
        assert links == {folder: Path("..") / folder for folder in LINKED}


def test_links_are_not_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert [folder for folder in LINKED if f"/irsql/{folder}" not in ignored] == []


@pytest.mark.parametrize("target", PYPROJECT["project"]["scripts"].values())
def test_commands_exist(target: str) -> None:
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# `irsql.compile` names a module and a function. A stand-in for the module keeps the test about the package alone.
STAND_IN = """
import importlib.abc, importlib.util, sys

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, self) if name == "irsql.compile" else None
    def exec_module(self, module):
        exec("def compile(x, *, target='duckdb'): return (x, target)\\nclass Program: pass", vars(module))

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    "use",
    [
        "import irsql; print(irsql.compile(1, target='sqlite'))",
        "import irsql.compile; print(irsql.compile(1, target='sqlite'))",
        "from irsql import compile; print(compile(1, target='sqlite'))",
        "from irsql.compile import compile, Program; print(compile(1, target='sqlite'))",
        "import irsql; from irsql.compile import Program; print(irsql.compile(1, target='sqlite'))",
        "import irsql; irsql.compile(0); from irsql.compile import Program; print(irsql.compile(1, target='sqlite'))",
    ],
)
def test_compile_is_a_function_and_a_module(use: str) -> None:
    assert run_python(STAND_IN + use) == "(1, 'sqlite')\n"


def test_unknown_attribute_is_an_attribute_error() -> None:
    import irsql

    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        _ = irsql.frobnicate  # type: ignore[attr-defined, unused-ignore]


def test_import_irsql_loads_no_library() -> None:
    heavy = {"torch", "transformers", "duckdb", "sqlglot", "numpy", "networkx"}
    assert run_python(f"import irsql, sys; print({heavy!r} & set(sys.modules))") == "set()\n"


def test_constraints_pin_torch_within_the_lower_bound() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert pins == ["torch==2.13.0"]
    assert "torch>=2.13" in PYPROJECT["project"]["dependencies"]
