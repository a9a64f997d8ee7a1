"""Which passes exist, without importing them.

A pass lives in ``irsql/passes/<stage>/<name with _ for ->.py`` (or in a folder of that name); the class is found by
reading the file's text. Other distributions add passes with the entry point group ``irsql.passes``::

    [project.entry-points."irsql.passes"]
    my-pass = "my_package.my_pass:MyPass"

and a session adds its own with :func:`register`. All three kinds are equal; two passes of one name are an error.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import attrs

from irsql.ir.passes import Pass, PassT

STAGE_FOLDERS = ("tir", "rel", "sql", "conversion")
ENTRY_POINT_GROUP = "irsql.passes"

_NAME_LINE = re.compile(r"""^[ \t]+name(?:\s*:[^=\n]*)?\s*=\s*["']([a-z0-9-]+)["']""", re.MULTILINE)
_CLASS_LINE = re.compile(r"^class\s+(\w+)", re.MULTILINE)
_registered: dict[str, type[Pass]] = {}


class PassRegistryError(Exception):
    """A pass does not exist, exists twice or is not what its name promises."""


@attrs.frozen
class Entry:
    """Where a pass comes from.

    Attributes
    ----------
    name
        Kebab-case name.
    target
        ``module:Class``.
    origin
        For messages: a file, or a distribution.
    """

    name: str
    target: str
    origin: str


def _scan_file(path: Path, module: str, name: str) -> Entry | None:
    """The entry for pass ``name`` if the text of ``path`` declares it."""
    text = path.read_text(encoding="utf-8")
    for match in _NAME_LINE.finditer(text):
        if match[1] == name:
            classes = [m for m in _CLASS_LINE.finditer(text) if m.start() < match.start()]
            if classes:
                return Entry(name, f"{module}:{classes[-1][1]}", str(path))
    return None


def scan(root: Path, package: str) -> list[Entry]:
    """The passes below ``root``, the folder of ``package``; files that declare no pass of their name are helpers."""
    entries: list[Entry] = []
    for stage in STAGE_FOLDERS:
        for path in sorted((root / stage).glob("[!_.]*")):
            module, name = f"{package}.{stage}.{path.stem}", path.stem.replace("_", "-")
            files = sorted(path.glob("*.py")) if path.is_dir() else [path] if path.suffix == ".py" else []
            for file in files:
                inner = f".{file.stem}" if path.is_dir() and file.stem != "__init__" else ""
                entry = _scan_file(file, module + inner, name)
                if entry is not None:
                    entries.append(entry)
                    break
    return entries


@functools.cache
def _discovered() -> dict[str, Entry]:
    entries: list[Entry] = []
    spec = importlib.util.find_spec("irsql.passes")
    if spec is not None and spec.submodule_search_locations:
        entries += scan(Path(next(iter(spec.submodule_search_locations))), "irsql.passes")
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        dist = point.dist.name if point.dist is not None else "an unknown distribution"
        entries.append(Entry(point.name, point.value, f"{dist} ({point.value})"))
    return unique(entries)


def unique(entries: list[Entry]) -> dict[str, Entry]:
    """Entries by name.

    Raises
    ------
    PassRegistryError
        If two entries with different targets share a name; names both.
    """
    table: dict[str, Entry] = {}
    for entry in entries:
        other = table.setdefault(entry.name, entry)
        if other.target != entry.target:
            raise PassRegistryError(f"two passes are called {entry.name!r}: {other.origin} and {entry.origin}")
    return table


def register(cls: type[PassT]) -> type[PassT]:
    """Make a pass class known in this process; usable as a decorator.

    Raises
    ------
    PassRegistryError
        If its name is taken by another class.
    """
    target, found = f"{cls.__module__}:{cls.__qualname__}", _discovered().get(cls.name)
    if found is not None and found.target != target:
        raise PassRegistryError(f"two passes are called {cls.name!r}: {found.origin} and {target}")
    old = _registered.get(cls.name)
    if old is not None and (old.__module__, old.__qualname__) != (cls.__module__, cls.__qualname__):
        raise PassRegistryError(f"two passes are called {cls.name!r}: {old.__module__}:{old.__qualname__} and {target}")
    _registered[cls.name] = cls
    return cls


_plugins: dict[str, str] = {}


def plugin_flags(passes: Iterable[Pass]) -> list[str]:
    """The ``--plugin`` flags of a command that runs these passes."""
    return [f"--plugin={p}" for p in dict.fromkeys(_plugins[x.name] for x in passes if x.name in _plugins)]


def load_plugin(source: str) -> list[type[Pass]]:
    """Import a Python file or module and register the pass classes it defines.

    The folder of the file (of a module: the current one) joins the import path, so that a plugin may import its
    neighbours however the command was started.

    Raises
    ------
    PassRegistryError
        If it cannot be imported or defines no pass.
    """
    folder = str(Path(source).resolve().parent if source.endswith(".py") else Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        if source.endswith(".py"):
            if not Path(source).is_file():
                raise PassRegistryError(f"cannot load the plugin {source}: there is no such file")
            spec = importlib.util.spec_from_file_location(f"irsql_plugin_{Path(source).stem}", source)
            if spec is None or spec.loader is None:
                raise ImportError(f"{source} is not a Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # attrs looks its classes' modules up here
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(source)
    except PassRegistryError:
        raise
    except Exception as error:
        raise PassRegistryError(f"cannot load the plugin {source}: {type(error).__name__}: {error}") from error
    found = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Pass) and v.name
             and v.__module__ == module.__name__]
    if not found:
        raise PassRegistryError(f"the plugin {source} defines no pass (a subclass of irsql.ir.passes.Pass with a name)")
    for cls in found:
        register(cls)
        _plugins[cls.name] = str(Path(source).resolve()) if source.endswith(".py") else source
    return found


def names() -> list[str]:
    """Names of all passes, sorted."""
    return sorted({*_discovered(), *_registered})


def load(name: str) -> type[Pass]:
    """Import and give the class of a pass.

    Raises
    ------
    PassRegistryError
        If there is no such pass, or its module does not define it.
    """
    if name in _registered:
        return _registered[name]
    entry = _discovered().get(name)
    if entry is None:
        raise PassRegistryError(f"no pass is called {name!r}")
    module_name, _, class_name = entry.target.partition(":")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise PassRegistryError(f"pass {name!r} of {entry.origin} cannot be loaded: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, Pass)):
        raise PassRegistryError(f"{entry.target} ({entry.origin}) is not a subclass of irsql.ir.passes.Pass")
    if cls.name != name:
        raise PassRegistryError(f"{entry.target} ({entry.origin}) is called {cls.name!r}, registered as {name!r}")
    return cls
