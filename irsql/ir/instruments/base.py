"""The interface between the pass manager and what watches it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs

from irsql.ir.core import Module
from irsql.ir.passes import Pass, PassContext
from irsql.ir.printer import print_op


@attrs.frozen
class Snapshot:
    """A module's text at one moment; equal hashes mean equal modules, constants included.

    Attributes
    ----------
    text
        The generic form with locations (big constants are named after their content).
    ops
        Number of ops.
    """

    text: str
    ops: int

    @property
    def hash(self) -> str:
        """Short digest of the text."""
        return hashlib.blake2b(self.text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def snapshot(module: Module) -> Snapshot:
    """The module as it is now."""
    return Snapshot(print_op(module), sum(1 for _ in module.walk()))


def stage_of(module: Module) -> str | None:
    """The stage a module says it is in."""
    stage = module.attrs_.get("stage")
    return stage if isinstance(stage, str) else None


@attrs.define(eq=False)
class PassRun:
    """One run of one pass; what is known only afterwards is filled in by the pass manager.

    Attributes
    ----------
    pass_, module, ctx
        The pass, the module it changes in place, the context it gets.
    remaining
        The passes that come after it in its pipeline.
    stage_before, stage_after
        Stage of the module (None where it does not say).
    before, after
        The module's text; taken only where an instrument sets ``needs_text``.
    seconds
        Time in :meth:`Pass.run`.
    """

    pass_: Pass
    module: Module
    ctx: PassContext
    remaining: tuple[Pass, ...] = ()
    stage_before: str | None = None
    stage_after: str | None = None
    before: Snapshot | None = None
    after: Snapshot | None = None
    seconds: float = 0.0

    @property
    def changed(self) -> bool | None:
        """Whether the pass changed the text of the module; None when nobody asked for texts."""
        return self.before.text != self.after.text if self.before and self.after else None


class Instrument:
    """Watches the pass manager. Instruments form a stack: the last ``before_…`` is the first ``after_…``.

    A check raises :class:`~irsql.ir.core.IRError`, which fails the pass that ran; anything else an instrument does
    must not be able to stop a compilation.
    """

    needs_text: bool = False
    """Set where ``PassRun.before``, ``after`` or ``changed`` are read."""

    def before_pipeline(self, module: Module, passes: Sequence[Pass]) -> None:
        """A pass manager is about to run; there may be several in one compilation."""

    def after_pipeline(self, module: Module) -> None:
        """A pass manager has run all of its passes."""

    def before_pass(self, run: PassRun) -> None:
        """A pass is about to run."""

    def after_pass(self, run: PassRun) -> None:
        """A pass has run without an error."""

    def pass_failed(self, run: PassRun, error: Exception) -> None:
        """A pass, or a check after it, has raised ``error``; the module may be ill-formed."""

    def close(self) -> None:
        """The command ends, well or not: print what was collected."""
