"""A compiled model as a folder of scripts that the engine's own shell runs, without Python.

==============  =======================================================================================
load.sql        once: builds the model's database from the files in ``weights/``
schema.sql      attaches the databases of the model and of the state, and creates the tables of the state
prompt.sql      forgets all sequences and fills ``irsql_prompt``, ``irsql_setting`` and ``irsql_stop``
prefill.sql     starts the prompts in ``irsql_prompt``, runs them and draws the first token of each
decode.sql      one more token for every live sequence; nothing when all have stopped
run.sql         all of the above after ``load.sql``, and the text
manifest.json   what is where: files, tables, statements and the module path behind each
==============  =======================================================================================

What an engine's shell has words of its own for, :class:`irsql.targets.shell.Shell` says.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import pyarrow as pa

from irsql import __version__
from irsql.ir.core import IRError
from irsql.runtime.assemble import tables
from irsql.runtime.errors import UserError
from irsql.runtime.load import Source, control_tables, parameter_names
from irsql.runtime.session import DEFAULT_CONTEXT, Model
from irsql.runtime.settings import Settings
from irsql.targets.base import shell
from irsql.targets.control import MODEL, MODEL_TABLES, PROMPT, SEGMENT, SEQUENCE, SETTING, STATE, STOP, TOKEN, states
from irsql.targets.program import Program, TableSpec
from irsql.targets.prompts import Prompts
from irsql.targets.segments import Segments
from irsql.targets.shell import TEXT_VIEW, WEIGHTS, Shell, model_tables


@attrs.frozen
class Run:
    """What ``prompt.sql`` and ``run.sql`` do.

    Attributes
    ----------
    prompt_ids
        The prompt.
    max_new_tokens
        How often ``run.sql`` draws, at most.
    settings, stop_ids
        How tokens are chosen, and which end the text.
    """

    prompt_ids: tuple[int, ...]
    max_new_tokens: int = 64
    settings: Settings = attrs.Factory(Settings)
    stop_ids: tuple[int, ...] = ()
    has_text: bool = True
    """Whether the model has a tokenizer, so that ``run.sql`` shows text; else it shows ids."""


@attrs.frozen
class Content:
    """What a model database holds.

    Attributes
    ----------
    checkpoint
        Fingerprint of the weights.
    tables
        Each table and its rows in batches.
    """

    checkpoint: str
    tables: Iterable[tuple[TableSpec, Iterable[pa.Table]]]


def check_target(target: str) -> None:
    """Whether scripts can be written for a target.

    Raises
    ------
    UserError
        If not.
    """
    try:
        shell(target)
    except IRError as error:
        raise UserError(f"{error}: use irsql load and generate") from error


def from_checkpoint(program: Program, checkpoint: Source) -> Content:
    """The tables of a model database, computed from a checkpoint."""
    names = parameter_names(program, checkpoint)
    control = control_tables(program, checkpoint)
    stored = {s.table.name: s for s in program.stored}

    def rows(name: str) -> Iterable[pa.Table]:
        return [control[name]] if name in MODEL_TABLES else tables(program, stored[name], checkpoint, names)

    return Content(checkpoint.fingerprint(), ((spec, rows(spec.name)) for spec in model_tables(program)))


def from_database(model: Model) -> Content:
    """The tables of a loaded model."""
    return Content(model.checkpoint, ((t, model.db.batches(t, MODEL)) for t in model_tables(model.program)))


def write(program: Program, out: Path, run: Run, content: Content | None) -> None:
    """Write the scripts.

    Parameters
    ----------
    program
        The compiled model.
    out
        Folder; made if it is not there.
    run
        The prompt and how to continue it.
    content
        The model's tables, from :func:`from_checkpoint` or :func:`from_database`; without them ``load.sql`` expects
        files that are not there.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=out) as folder:
            _write_all(program, Path(folder), run, content)
            _publish(Path(folder), out, shell(program.target).weights_file("*"))
    except OSError as error:
        raise UserError(f"{error.filename or out} cannot be written: {error.strerror}") from error
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                out.rmdir()  # which only succeeds where nothing was written


def _write_all(program: Program, out: Path, run: Run, content: Content | None) -> None:
    words = shell(program.target)
    for name, text in _Scripts(words, program, run).all(content.checkpoint if content else None).items():
        (out / name).write_text(text, "utf-8")
    if content is not None:
        (out / WEIGHTS).mkdir()
        with words.weights(out / WEIGHTS) as write_table:
            for table, batches in content.tables:
                write_table(table, batches)
    manifest = json.dumps(_manifest(words, program, run, content is not None), indent=1, ensure_ascii=False)
    (out / "manifest.json").write_text(manifest + "\n", "utf-8")


def _publish(folder: Path, out: Path, weights: str) -> None:
    """Move everything that was written to its place, when all of it is there."""
    if (folder / WEIGHTS).is_dir():
        (out / WEIGHTS).mkdir(exist_ok=True)
        for old in (out / WEIGHTS).glob(weights):
            old.unlink()  # another model's
    files = [p for p in folder.rglob("*") if p.is_file()]
    for written in sorted(files, key=lambda p: (p.name == "manifest.json", p)):  # the manifest comes last
        os.replace(written, out / written.relative_to(folder))


@attrs.frozen
class _Scripts:
    """Writes the scripts of a program."""

    shell: Shell
    program: Program
    run: Run

    def all(self, checkpoint: str | None) -> dict[str, str]:
        """The text of each script; it runs on a model of this checkpoint, or of any."""
        c, program = self.shell.control, self.program
        prefill = program.functions["prefill"]
        decode = program.functions.get("decode", prefill)
        sample = program.functions[self.run.settings.sampler]
        start = Prompts(self.shell).start(_context(program), sample.name)
        text = c.read(TEXT_VIEW, ("seq", "text"), order=("seq",))
        steps = ["schema.sql", "prompt.sql", "prefill.sql", *["decode.sql"] * (self.run.max_new_tokens - 1)]
        how = self.shell.command
        scripts = {
            "load.sql": (f"Build the model's database, once. In this folder: {how('load.sql')}",
                         [*self.shell.strict, *self.shell.load(model_tables(program))]),
            "schema.sql": ("Attach the model and the state, and see that they are those of these scripts.",
                           [*self.shell.strict, *self.shell.attach(), *self._transaction(self._schema(checkpoint))]),
            "prompt.sql": ("Forget all sequences and give one prompt.", self._transaction(self._prompt())),
            "prefill.sql": ("Start the prompts in irsql_prompt, run them, and draw a token for every live sequence.",
                            self.shell.step("prefill.sql", [*start, *c.step(program, prefill, sample)])),
            "decode.sql": ("Draw one more token for every live sequence.",
                           self.shell.step("decode.sql", c.step(program, decode, sample))),
            "run.sql": (f"Continue the prompt and show the text. In this folder, after load.sql: {how('run.sql')}",
                        [*self.shell.strict, *self.shell.plain, *map(self.shell.include, steps), *_lines([text])]),
        }  # fmt: skip
        return {name: "\n".join([f"-- {comment}", *lines, ""]) for name, (comment, lines) in scripts.items()}

    def _schema(self, checkpoint: str | None) -> list[str]:
        c, words, program = self.shell.control, self.shell, self.program
        foreign = f"{words.state_place} holds sequences of another model: move it away"
        problem = f"{words.model_place} does not hold the model of these scripts, or not all of it: run load.sql again"
        facts = {"program_hash": program.text_hash} | ({"checkpoint": checkpoint} if checkpoint else {})
        return [
            *(s for key, value in facts.items() for s in words.require_fact(key, value, problem)),
            *Segments(c).schema(program),
            *words.claim_state(program.text_hash, foreign),
            *words.temporaries(program), *self._defaults(), words.text_view(self.run.has_text),
        ]  # fmt: skip

    def _prompt(self) -> list[str]:
        c = self.shell.control
        emptied = (TOKEN, SEQUENCE, SEGMENT, STOP, PROMPT, SETTING, *(s.name for s in states(self.program)))
        rows = [(0, pos, token) for pos, token in enumerate(self.run.prompt_ids)]
        prompt = c.insert_rows(PROMPT, ("seq", "pos", "id"), rows, STATE)
        return [*(c.delete(name, STATE) for name in emptied), *self._defaults(), prompt]

    def _defaults(self) -> list[str]:
        settings = {"max_new_tokens": self.run.max_new_tokens, **attrs.asdict(self.run.settings)}
        return Prompts(self.shell).defaults(settings, self.run.stop_ids)

    def _transaction(self, statements: Sequence[str]) -> list[str]:
        return _lines([*self.shell.begin(), *statements, self.shell.control.commit])


def _lines(statements: Sequence[str]) -> list[str]:
    return [f"{statement};" for statement in statements]


def _context(program: Program) -> int:
    return int(program.meta.get("context") or DEFAULT_CONTEXT)


def _manifest(words: Shell, program: Program, run: Run, weights: bool) -> dict[str, object]:
    functions = {
        name: {
            "statements": [{"table": s.table, "kind": s.kind, "scope": s.scope} for s in function.statements],
            "inputs": {t.source: t.name for t in function.inputs},
            "outputs": {t.source: t.name for t in function.outputs},
        }
        for name, function in program.functions.items()
    }
    stored = [{"table": s.table.name, "source": s.table.source, "file": f"{WEIGHTS}/{words.weights_file(s.table.name)}",
               "columns": [attrs.asdict(c) for c in s.table.columns]} for s in program.stored]  # fmt: skip
    return {
        "irsql": __version__, "target": program.target, "target_version": program.target_version,
        "architecture": program.meta.get("architecture"), "capture": program.meta.get("capture"),
        "load_hash": program.text_hash, "weights": weights, "run": attrs.asdict(run),
        "files": ["load.sql", "schema.sql", "prompt.sql", "prefill.sql", "decode.sql", "run.sql"],
        "stored": stored, "states": {s.source: s.name for s in states(program)}, "functions": functions,
    }  # fmt: skip
