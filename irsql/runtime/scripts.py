"""A compiled model as a folder of scripts that the engine's own shell runs, without Python.

==============  =======================================================================================
load.sql        once: builds ``model.db`` from the Parquet files in ``weights/``
schema.sql      attaches both databases and creates the tables of ``state.db``
prompt.sql      forgets all sequences and fills ``irsql_prompt``, ``irsql_setting`` and ``irsql_stop``
prefill.sql     starts the prompts in ``irsql_prompt``, runs them and draws the first token of each
decode.sql      one more token for every live sequence; nothing when all have stopped
run.sql         all of the above after ``load.sql``, and the text
manifest.json   what is where: files, tables, statements and the module path behind each
==============  =======================================================================================
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs
import pyarrow as pa
import pyarrow.parquet as pq

from irsql import __version__
from irsql.runtime.assemble import tables
from irsql.runtime.errors import UserError
from irsql.runtime.load import Source, control_tables, parameter_names
from irsql.runtime.session import DEFAULT_CONTEXT, Model
from irsql.runtime.settings import Settings
from irsql.targets.base import driver
from irsql.targets.control import (
    META,
    MODEL,
    MODEL_TABLES,
    PROMPT,
    SEGMENT,
    SEQUENCE,
    SETTING,
    STATE,
    STOP,
    TABLES,
    TOKEN,
    VOCABULARY,
    states,
)
from irsql.targets.duckdb import UNCOMPRESSED, DuckDB, attach_sql, detach_sql
from irsql.targets.program import Program
from irsql.targets.prompts import Prompts
from irsql.targets.segments import Segments
from irsql.targets.shell import TEXT_VIEW, Shell

WEIGHTS = "weights"
_BATCH_ROWS = 4096


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
        Name and batches of each table.
    """

    checkpoint: str
    tables: Iterable[tuple[str, Iterable[pa.Table]]]


def check_target(target: str) -> None:
    """Whether scripts can be written for a target.

    Raises
    ------
    UserError
        If not.
    """
    engine = driver(target)
    if not engine.scripts:
        raise UserError(f"scripts are written for DuckDB only, not for {engine.title}: use irsql load and generate")


def from_checkpoint(program: Program, checkpoint: Source) -> Content:
    """The tables of a model database, computed from a checkpoint."""
    names = parameter_names(program, checkpoint)
    control = control_tables(program, checkpoint)

    def content() -> Iterator[tuple[str, Iterable[pa.Table]]]:
        for stored in program.stored:
            yield stored.table.name, tables(program, stored, checkpoint, names)
        for name, table in control.items():
            yield name, [table]

    return Content(checkpoint.fingerprint(), content())


def from_database(model: Model) -> Content:
    """The tables of a loaded model."""
    db = model.db
    assert isinstance(db, DuckDB), "scripts are for DuckDB; `check_target` has said so"
    layout = [(s.table.name, [c.name for c in s.table.columns]) for s in model.program.stored]
    layout += [(name, [c for c, _ in TABLES[name]]) for name in MODEL_TABLES]

    def read(query: str) -> Iterator[pa.Table]:
        for batch in db.batches(query, _BATCH_ROWS):
            yield pa.Table.from_batches([batch])

    batches = ((name, read(db.control.read(name, columns, MODEL))) for name, columns in layout)
    return Content(model.checkpoint, batches)


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
            _publish(Path(folder), out)
    except OSError as error:
        raise UserError(f"{error.filename or out} cannot be written: {error.strerror}") from error
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                out.rmdir()  # which only succeeds where nothing was written


def _write_all(program: Program, out: Path, run: Run, content: Content | None) -> None:
    for name, text in _scripts(program, run, content.checkpoint if content else None).items():
        (out / name).write_text(text, "utf-8")
    if content is not None:
        (out / WEIGHTS).mkdir()
        for name, batches in content.tables:
            _write_parquet(out / WEIGHTS / f"{name}.parquet", batches)
    manifest = json.dumps(_manifest(program, run, content is not None), indent=1, ensure_ascii=False)
    (out / "manifest.json").write_text(manifest + "\n", "utf-8")


def _publish(folder: Path, out: Path) -> None:
    """Move everything that was written to its place, when all of it is there."""
    if (folder / WEIGHTS).is_dir():
        (out / WEIGHTS).mkdir(exist_ok=True)
        for old in (out / WEIGHTS).glob("*.parquet"):
            old.unlink()  # another model's
    files = [p for p in folder.rglob("*") if p.is_file()]
    for written in sorted(files, key=lambda p: (p.name == "manifest.json", p)):  # the manifest comes last
        os.replace(written, out / written.relative_to(folder))


def _write_parquet(path: Path, batches: Iterable[pa.Table]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches:
            if writer is None:
                # Random floats do not compress, and a dictionary of them only costs time.
                writer = pq.ParquetWriter(path, batch.schema, compression="none", use_dictionary=False)
            writer.write_table(batch)
    finally:
        if writer is not None:
            writer.close()


def _scripts(program: Program, run: Run, checkpoint: str | None) -> dict[str, str]:
    c = DuckDB.control
    prefill = program.functions["prefill"]
    decode = program.functions.get("decode", prefill)
    sample = program.functions[run.settings.sampler]
    attach = [attach_sql("model.db", MODEL, read_only=True), attach_sql("state.db", STATE, read_only=False)]
    steps = [".read schema.sql", ".read prompt.sql", ".read prefill.sql"]
    steps += [".read decode.sql"] * (run.max_new_tokens - 1)
    shown = Shell(c).text_view(run.has_text)
    return {
        "load.sql": _script("Build model.db, once. In this folder: duckdb < load.sql", _load(program), bail=True),
        "schema.sql": _script("Attach the model and the state, and see that they are those of these scripts.",
                              [*attach, *_checks(program, checkpoint), *_defaults(run), shown], bail=True),
        "prompt.sql": _script("Forget all sequences and give one prompt.", _prompt(program, run)),
        "prefill.sql": _script(
            "Start the prompts in irsql_prompt, run them, and draw a token for every live sequence.",
            _step([*Prompts(c).start(_context(program), sample.name), *c.step(program, prefill, sample)])),
        "decode.sql": _script("Draw one more token for every live sequence.", _step(c.step(program, decode, sample))),
        "run.sql": "\n".join([
            "-- Continue the prompt and show the text. In this folder, after load.sql: duckdb < run.sql",
            ".bail on", ".mode list", ".headers off", *steps,
            f"{c.read(TEXT_VIEW, ('seq', 'text'), order=('seq',))};", "",
        ]),
    }  # fmt: skip


def _checks(program: Program, checkpoint: str | None) -> list[str]:
    c = DuckDB.control
    problem = "model.db does not hold the model of these scripts, or not all of it: run load.sql again"
    facts = {"program_hash": program.text_hash} | ({"checkpoint": checkpoint} if checkpoint else {})
    out = [Shell(c).require_fact(key, value, problem) for key, value in facts.items()]
    return [*out, *Segments(c).schema(program), *Shell(c).claim_state(
        program.text_hash, "state.db holds sequences of another model: move it away")]  # fmt: skip


def _script(comment: str, statements: Sequence[str], bail: bool = False) -> str:
    return "".join([f"-- {comment}\n", ".bail on\n" if bail else "", *(f"{s};\n" for s in statements)])


def _step(statements: Sequence[str]) -> list[str]:
    c = DuckDB.control
    return [c.begin_transaction, *statements, c.commit]


def _load(program: Program) -> list[str]:
    c = DuckDB.control
    out = [attach_sql("model.db", MODEL, read_only=False), UNCOMPRESSED]
    layout = [(s.table.name, [(k.name, k.type) for k in s.table.columns]) for s in program.stored]
    # The facts that make the file a model go first and come last.
    out.append(c.create_table(META, TABLES[META], MODEL, replace=True))
    layout += [(name, list(TABLES[name])) for name in (VOCABULARY, META)]
    for name, columns in layout:
        out.append(c.create_table(name, columns, MODEL, replace=True))
        out.append(Shell(c).insert_parquet(name, [k for k, _ in columns], f"{WEIGHTS}/{name}.parquet", MODEL))
    return [*out, detach_sql(MODEL)]


def _prompt(program: Program, run: Run) -> list[str]:
    c = DuckDB.control
    emptied = (TOKEN, SEQUENCE, SEGMENT, STOP, PROMPT, SETTING, *(s.name for s in states(program)))
    rows = [(0, pos, token) for pos, token in enumerate(run.prompt_ids)]
    prompt = c.insert_rows(PROMPT, ("seq", "pos", "id"), rows, STATE)
    return _step([*(c.delete(name, STATE) for name in emptied), *_defaults(run), prompt])


def _defaults(run: Run) -> list[str]:
    settings = {"max_new_tokens": run.max_new_tokens, **attrs.asdict(run.settings)}
    return Prompts(DuckDB.control).defaults(settings, run.stop_ids)


def _context(program: Program) -> int:
    return int(program.meta.get("context") or DEFAULT_CONTEXT)


def _manifest(program: Program, run: Run, weights: bool) -> dict[str, object]:
    functions = {
        name: {
            "statements": [{"table": s.table, "kind": s.kind, "scope": s.scope} for s in function.statements],
            "inputs": {t.source: t.name for t in function.inputs},
            "outputs": {t.source: t.name for t in function.outputs},
        }
        for name, function in program.functions.items()
    }
    stored = [{"table": s.table.name, "source": s.table.source, "file": f"{WEIGHTS}/{s.table.name}.parquet",
               "columns": [attrs.asdict(c) for c in s.table.columns]} for s in program.stored]  # fmt: skip
    return {
        "irsql": __version__, "target": program.target, "target_version": program.target_version,
        "architecture": program.meta.get("architecture"), "capture": program.meta.get("capture"),
        "load_hash": program.text_hash, "weights": weights, "run": attrs.asdict(run),
        "files": ["load.sql", "schema.sql", "prompt.sql", "prefill.sql", "decode.sql", "run.sql"],
        "stored": stored, "states": {s.source: s.name for s in states(program)}, "functions": functions,
    }  # fmt: skip
