"""Passes: frozen attrs classes whose fields are their options.

::

    @attrs.frozen
    class FuseElementwise(Pass):
        \"\"\"Merge chains of maps into one.\"\"\"

        name = "fuse-elementwise"
        summary = "merge chains of element-wise maps"
        stage_in = stage_out = "tir"

        max_ops: int = 8

        def run(self, module: Module, ctx: PassContext) -> None: ...

The text ``fuse-elementwise{max-ops=4}`` is the pass with that option; ``str(pass_)`` gives it back. A pass keeps no
state between runs: what it wants to tell goes through its :class:`PassContext`.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import textwrap
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar, Union

import attrs

from irsql.ir.core import IRError, Module, Op
from irsql.ir.location import UNKNOWN, Location
from irsql.ir.rewriter import Pattern, PatternStats, RewriteLimit, Stats, apply_patterns
from irsql.ir.target import Target, target_of

STAGES = ("tir", "rel", "tiled", "sql")
"""The stages of a module in the order of compilation; a module says its own in ``attrs_["stage"]``."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_BARE = re.compile(r"[A-Za-z0-9_.+\-/:]+")
_SCALARS: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "str"}


class OptionError(ValueError):
    """An option of a pass is unknown, missing or has the wrong type."""

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.option = option


@attrs.frozen
class Option:
    """One option of a pass, as read from its attrs field.

    Attributes
    ----------
    name
        Kebab-case name in pipeline text.
    field
        Name of the attrs field.
    type
        ``bool``, ``int``, ``float`` or ``str``: of the option, or of its elements.
    is_list
        The option is a tuple, written ``a,b,c``.
    optional
        None is allowed (and means: not given).
    choices
        Allowed values (from ``Literal``); empty when free.
    default
        ``attrs.NOTHING`` when the option is required.
    """

    name: str
    field: str
    type: type
    is_list: bool
    optional: bool
    choices: tuple[str, ...]
    default: Any

    @property
    def type_text(self) -> str:
        """The type for humans: ``int``, ``str,…``, ``a|b``."""
        base = "|".join(self.choices) if self.choices else _SCALARS[self.type]
        return f"{base},…" if self.is_list else base

    @property
    def default_value(self) -> Any:
        """The default; ``attrs.NOTHING`` when the option is required."""
        factory = getattr(self.default, "factory", None)  # attrs.Factory is a function for type checkers
        return self.default if factory is None else factory()

    @property
    def default_text(self) -> str:
        """The default for humans."""
        value = self.default_value
        if value is attrs.NOTHING:
            return "required"
        return "not set" if value is None else f"default {self.render(value) or 'none'}"

    def parse(self, texts: Sequence[str]) -> Any:
        """Value of the option from its comma-separated texts.

        Raises
        ------
        OptionError
            If a text is not of the option's type.
        """
        if self.is_list:
            return tuple(self._parse_one(t) for t in texts)
        if len(texts) != 1:
            raise OptionError(f"option {self.name} takes one {self.type_text}, got {len(texts)} values", self.name)
        return self._parse_one(texts[0])

    def _parse_one(self, text: str) -> Any:
        if self.choices and text not in self.choices:
            raise OptionError(f"option {self.name} is one of {', '.join(self.choices)}, not {text!r}", self.name)
        if self.type is str:
            return text
        if self.type is bool:
            if text not in ("true", "false"):
                raise OptionError(f"option {self.name} is true or false, not {text!r}", self.name)
            return text == "true"
        try:
            return self.type(text)
        except ValueError:
            raise OptionError(f"option {self.name} is of type {self.type_text}, not {text!r}", self.name) from None

    def render(self, value: Any) -> str:
        """Text of a value, as :meth:`parse` reads it."""
        if self.is_list:
            return ",".join(_render_scalar(v) for v in value)
        return _render_scalar(value)


def _render_scalar(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else json.dumps(value)
    return repr(value)


def _option(field: attrs.Attribute[Any], hint: Any, owner: str) -> Option:
    def fail() -> typing.NoReturn:
        raise TypeError(f"option {field.name} of pass {owner} must be int, float, bool, str, a Literal of str or a "
                        f"tuple of one of them, found {hint!r}")

    optional = is_list = False
    choices: tuple[str, ...] = ()
    if typing.get_origin(hint) in (Union, types.UnionType):
        args = [a for a in typing.get_args(hint) if a is not type(None)]
        if len(args) != 1:
            fail()
        optional, hint = True, args[0]
    if typing.get_origin(hint) is tuple:
        args = list(typing.get_args(hint))
        if len(args) != 2 or args[1] is not Ellipsis:
            fail()
        is_list, hint = True, args[0]
    if typing.get_origin(hint) is Literal:
        choices, hint = tuple(typing.get_args(hint)), str
    if hint not in _SCALARS or (optional and field.default is not None):
        fail()  # text has no way to say None but to leave the option out
    return Option(field.name.replace("_", "-"), field.name, hint, is_list, optional, choices, field.default)


def option_docs(cls: type[Pass]) -> dict[str, str]:
    """What the strings under a pass's fields say of its options, by kebab-case name; empty where there is no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    assert isinstance(tree, ast.ClassDef)
    out: dict[str, str] = {}
    for field, text in itertools.pairwise(tree.body):
        if (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)):
            out[field.target.id.replace("_", "-")] = " ".join(text.value.value.split())
    return out


PassT = TypeVar("PassT", bound="Pass")


@attrs.frozen
class Pass:
    """Base class of passes; see the module docstring.

    Class attributes: ``name`` (kebab-case; the file is called the same with underscores), ``summary`` (one line),
    ``stage_in`` and ``stage_out`` (a member of :data:`STAGES`, or ``any`` for both). The pass manager moves the
    module to ``stage_out``; a pass from ``rel`` to ``rel`` also runs on ``tiled`` modules, which stay tiled.
    ``changes_signatures`` is set by the few passes that stay in their stage and yet change the type of a function.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    stage_in: ClassVar[str] = "any"
    stage_out: ClassVar[str] = "any"
    changes_signatures: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not cls.name:
            return  # an abstract base of several passes
        if not _NAME.fullmatch(cls.name):
            raise TypeError(f"pass name {cls.name!r} is not kebab-case")
        if not cls.summary or "\n" in cls.summary:
            raise TypeError(f"pass {cls.name} needs a one-line summary")
        for stage in (cls.stage_in, cls.stage_out):
            if stage not in (*STAGES, "any"):
                raise TypeError(f"pass {cls.name}: {stage!r} is no stage ({', '.join(STAGES)}, any)")

    def run(self, module: Module, ctx: PassContext) -> None:
        """Change ``module`` in place.

        Raises
        ------
        IRError
            When the module cannot be handled; carries the op.
        """
        raise NotImplementedError(f"{type(self).__name__}.run")

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """The options in order of declaration."""
        hints = typing.get_type_hints(cls)
        return tuple(_option(f, hints[f.name], cls.name) for f in attrs.fields(cls))

    @classmethod
    def from_options(cls: type[PassT], texts: Mapping[str, Sequence[str]]) -> PassT:
        """The pass with options given as text: kebab-case name to values.

        Raises
        ------
        OptionError
            If an option is unknown, missing or malformed.
        """
        known = {o.name: o for o in cls.options()}
        for name in texts:
            if name not in known:
                has = ", ".join(known) or "none"
                raise OptionError(f"pass {cls.name} has no option {name!r}; its options: {has}", name)
        for option in known.values():
            if option.default is attrs.NOTHING and option.name not in texts:
                raise OptionError(f"pass {cls.name} needs the option {option.name}={option.type_text}")
        return cls(**{known[name].field: known[name].parse(values) for name, values in texts.items()})

    @property
    def spec(self) -> str:
        """The pass as pipeline text: its name and the options that differ from their defaults."""
        parts: list[str] = []
        for option in self.options():
            value, default = getattr(self, option.field), option.default_value
            if value != default or type(value) is not type(default):
                parts.append(f"{option.name}={option.render(value)}")
        return self.name + (f"{{{' '.join(parts)}}}" if parts else "")

    def __str__(self) -> str:
        return self.spec

    @classmethod
    def accepts(cls, stage: str | None) -> bool:
        """Whether the pass runs on a module of ``stage`` (None: the module does not say)."""
        return (cls.stage_in == "any" or stage is None or stage == cls.stage_in
                or (stage == "tiled" and cls.stage_in == cls.stage_out == "rel"))

    @classmethod
    def changes_stage(cls) -> bool:
        """Whether the pass is a conversion rather than an optimisation."""
        return cls.stage_out not in ("any", cls.stage_in)


RemarkKind = Literal["passed", "missed"]


@attrs.frozen
class Remark:
    """What a pass did, or did not do and why.

    Attributes
    ----------
    kind
        ``passed`` or ``missed``.
    pass_name
        The pass.
    message
        What happened (or did not), one line.
    reason
        Why, with the numbers that decided.
    suggestion
        What a user may change.
    op
        Name of the op ("" when the remark is about the whole module).
    loc
        Its location.
    """

    kind: RemarkKind
    pass_name: str
    message: str
    reason: str = ""
    suggestion: str = ""
    op: str = ""
    loc: Location = UNKNOWN


@attrs.define
class PassContext:
    """What a pass may use besides the module, and where it reports; made anew for every run of a pass."""

    pass_: Pass
    target: Target | None = None
    remarks: list[Remark] = attrs.field(factory=list[Remark])
    statistics: dict[str, int] = attrs.field(factory=dict[str, int])
    patterns: Stats = attrs.field(factory=dict[str, PatternStats])
    rewrites: RewriteLimit = attrs.field(factory=RewriteLimit)

    @classmethod
    def of(cls, pass_: Pass, module: Module) -> PassContext:
        """The context for one run of ``pass_`` on ``module``."""
        return cls(pass_, target_of(module))

    def require_target(self) -> Target:
        """The target of the module.

        Raises
        ------
        IRError
            If the module carries none.
        """
        if self.target is None:
            raise IRError(f"pass {self.pass_.name} needs a target; give one with --target or "
                          "irsql.ir.target.attach(module, target)")
        return self.target

    def remark(self, kind: RemarkKind, op: Op | None, message: str, reason: str = "", suggestion: str = "") -> None:
        """Report a decision (``--remarks`` shows it)."""
        self.remarks.append(Remark(kind, self.pass_.name, message, reason, suggestion, op.name if op else "",
                                   op.loc if op else UNKNOWN))

    def apply(self, patterns: Sequence[Pattern], root: Op, driver: Literal["walk", "greedy"] = "walk") -> bool:
        """Rewrite ``root`` by ``patterns`` and say whether anything changed; hits are counted per pattern.

        ``walk`` visits every op once; ``greedy`` goes on until nothing matches, up to a cap.
        """
        return apply_patterns(patterns, root, driver=driver, counts=self.patterns, limit=self.rewrites)

    def statistic(self, name: str, n: int = 1) -> None:
        """Add ``n`` to a counter (``--statistics`` shows it)."""
        self.statistics[name] = self.statistics.get(name, 0) + n
