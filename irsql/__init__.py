"""irsql compiles PyTorch models into SQL and lets a stock database run them.

The three entry points are loaded on first use, so that ``import irsql`` imports neither torch nor a database:

* :func:`irsql.compile`: an ``nn.Module`` and example arguments become a callable that runs as SQL;
* :func:`irsql.capture`: the front end alone, from a module to a clean ``torch.fx`` graph, which
  :func:`irsql.frontend.importer.import_captured` turns into tensor IR;
* :func:`irsql.load`: a language model, from a Hugging Face folder or a loaded database.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from irsql.api import load as load
    from irsql.compile import compile as compile
    from irsql.frontend import capture as capture

__version__ = "0.1.0"

__all__ = ["__version__", "capture", "compile", "load"]

_ENTRY_POINTS = {"capture": "irsql.frontend", "compile": "irsql.compile", "load": "irsql.api"}


class _CallableModule(ModuleType):
    """The type of the module ``irsql.compile``, which is called like the function it defines.

    The import system binds a submodule as an attribute of its package after loading it, so the function ``compile``
    cannot keep the name ``irsql.compile`` once the module of the same name is imported. A module that forwards
    calls to its function serves both: ``irsql.compile(module, args)`` and ``from irsql.compile import ...``.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return vars(self)["compile"](*args, **kwargs)

    @property
    def __signature__(self) -> Any:
        """What ``help`` and editors show."""
        return importlib.import_module("inspect").signature(vars(self)["compile"])


class _Package(ModuleType):
    """The type of the package ``irsql``: makes the submodule ``compile`` callable when it is bound."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "compile" and type(value) is ModuleType:
            value.__class__ = _CallableModule
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _ENTRY_POINTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_ENTRY_POINTS[name])
    if name == "compile":
        return module
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ENTRY_POINTS})
