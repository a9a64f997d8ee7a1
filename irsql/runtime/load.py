"""Loading: a checkpoint becomes a model database.

Everything is written to ``NAME.partial``, which gets its name when it is whole and on disk. So a file called NAME is
always a complete model, whenever the process was killed; what is left of an interrupted load is replaced by the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from irsql.ir.files import is_special
from irsql.runtime import tokens
from irsql.runtime.assemble import Array, Weights, tables
from irsql.runtime.errors import UserError
from irsql.runtime.template import ChatTemplate
from irsql.targets.base import driver, driver_of, is_database
from irsql.targets.control import META, MODEL, MODEL_TABLES, TABLES, VOCABULARY
from irsql.targets.driver import Driver, is_address, scheme_of
from irsql.targets.errors import EngineError
from irsql.targets.program import Program, Stored

FORMAT = "2"
"""Format of a model database; the program inside has its own."""
_GROUP = 4
"""Slices a transaction."""

Note = Callable[[str], None]


class Source(Weights, Protocol):
    """A checkpoint folder: what :class:`irsql.frontend.checkpoint.Checkpoint` offers."""

    @property
    def config(self) -> Mapping[str, Any]: ...

    @property
    def generation_config(self) -> Mapping[str, Any]: ...

    @property
    def tokenizer_path(self) -> Path | None: ...

    @property
    def tokenizer_config(self) -> Mapping[str, Any]: ...

    @property
    def chat_template(self) -> str | None: ...

    @property
    def tensors(self) -> Mapping[str, Any]: ...

    def resolve(
        self, wanted: Mapping[str, tuple[int, ...]], tied: Mapping[str, str] | None = None
    ) -> dict[str, str]: ...

    def fingerprint(self) -> str: ...


def load(
    program: Program,
    checkpoint: Source,
    out: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: bool | None = None,
    note: Note | None = None,
) -> Path | str:
    """Write the database of a compiled model.

    Parameters
    ----------
    program
        From ``irsql.compile.compile_model``.
    checkpoint
        The weights.
    out
        File to write, or the address of a schema.
    force
        Replace what is there.
    progress
        Show a bar on standard error; by default where that is a terminal.
    note
        Takes sentences for the user; standard error by default.

    Returns
    -------
    Path or str
        The file, or the address.

    Raises
    ------
    UserError
        If the file exists, is being written by somebody else, or the disk is too small.
    """
    engine = driver(program.target)
    target = place_of(out)
    say = note or (lambda text: print(text, file=sys.stderr))
    check_free(target, force, engine)
    if not is_address(target):
        if not Path(target).parent.is_dir():
            raise UserError(f"there is no folder {Path(target).parent}")
        _check_space(Path(target), program)
    names = parameter_names(program, checkpoint)
    partial = engine.partial(target)
    _discard(partial, target, engine, say)
    with engine.for_loading(partial) as db:
        try:
            db.attach(partial, MODEL)  # whoever holds it is writing it: it is not ours to remove
        except EngineError as error:
            raise UserError(f"{partial} cannot be written: {error}") from error
        with _removed_on_failure(db, partial):
            with _bar(checkpoint, names, progress) as count, db.loading(MODEL):
                fill(db, program, Counting(checkpoint, count), names)
            _write_control(db, program, checkpoint)
            db.detach(MODEL)
            db.close()
            check_free(target, force, engine)
            if not is_address(target) and os.path.isdir(target) != os.path.isdir(partial):
                driver_of(target).remove(target)  # a file cannot take the place of a folder
            engine.publish(partial, target)
    return target if is_address(target) else Path(target)


def place_of(out: str | os.PathLike[str]) -> str:
    """An address as it is, a path with its links followed."""
    return os.fspath(out) if is_address(out) else os.path.realpath(out)


@contextlib.contextmanager
def _removed_on_failure(db: Driver, partial: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        db.close()
        type(db).remove(partial)
        raise


def parameter_names(program: Program, checkpoint: Source) -> dict[str, str]:
    """Each parameter the program reads and its name in the checkpoint; all that is missing is named at once."""
    used = {step.name for stored in program.stored for step in stored.steps if step.kind == "parameter"}
    shapes = program.meta.get("shapes", {})
    wanted = {name: tuple(shapes[name]) for name in sorted(used) if name in shapes}
    return checkpoint.resolve(wanted, program.meta.get("tied"))


def fill(db: Driver, program: Program, weights: Weights, names: Mapping[str, str]) -> None:
    """Create and fill the stored relations in the attached database ``model``.

    As many threads as the engine has writers, several with a connection each, take the relations in turn, the
    largest first: one reads and packs while another writes, and the engine writes one stream of rows a connection.
    """
    for stored in program.stored:
        db.execute(db.control.create_spec(stored.table, MODEL))
    jobs = iter(sorted(program.stored, key=_elements, reverse=True))
    turn, stop = threading.Lock(), threading.Event()

    def work() -> None:
        with db.cursor() if db.writers > 1 else contextlib.nullcontext(db) as connection:
            while not stop.is_set():
                with turn:
                    stored = next(jobs, None)
                if stored is None:
                    return
                # A transaction keeps what it wrote in memory, and each costs a flush of the disk: so a few slices each.
                for group in _groups(tables(program, stored, weights, names)):
                    with connection.transaction():
                        for batch in group:
                            connection.insert(stored.table.name, batch, MODEL)
                    if stop.is_set():
                        return

    with ThreadPoolExecutor(db.writers) as pool:
        try:
            for done in as_completed([pool.submit(work) for _ in range(db.writers)]):
                done.result()
        except BaseException:
            stop.set()
            raise


def _elements(stored: Stored) -> int:
    return math.prod(e for e in stored.table.extents if isinstance(e, int))


def _groups(slices: Iterator[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    for first in slices:
        yield itertools.chain([first], itertools.islice(slices, _GROUP - 1))


def control_tables(program: Program, checkpoint: Source) -> dict[str, pa.Table]:
    """The control tables of a model database as Arrow tables."""
    tokenizer = tokens.read_tokenizer(checkpoint.tokenizer_path) if checkpoint.tokenizer_path else None
    chat = ChatTemplate.of_configs(checkpoint.tokenizer_config, checkpoint.chat_template)
    facts = {
        "format": FORMAT, "program": program.to_json(), "program_hash": program.text_hash,
        "checkpoint": checkpoint.fingerprint(), "config": json.dumps(dict(checkpoint.config)),
        "generation_config": json.dumps(dict(checkpoint.generation_config)),
        **({"tokenizer": tokenizer} if tokenizer is not None else {}),
        **({"chat_template": chat.to_json()} if chat is not None else {}),
    }  # fmt: skip
    facts["digest"] = digest_of(facts)
    found = tokens.vocabulary(tokenizer, int(program.meta["vocab"]))
    rows = [range(len(found)), [t.bytes for t in found], [t.special for t in found]]
    types = (pa.int64(), pa.binary(), pa.bool_())
    return {
        META: pa.table({"key": list(facts), "value": list(facts.values())}),
        VOCABULARY: pa.table([pa.array(c, t) for c, t in zip(rows, types, strict=True)],
                             names=[c for c, _ in TABLES[VOCABULARY]]),
    }  # fmt: skip


def digest_of(facts: Mapping[str, str]) -> str:
    """SHA-256 of the facts of a model database but for the digest itself, so that they need no other check."""
    rest = sorted(((key, value) for key, value in facts.items() if key != "digest"), key=repr)
    return hashlib.sha256(json.dumps(rest).encode()).hexdigest()


def _write_control(db: Driver, program: Program, checkpoint: Source) -> None:
    content = control_tables(program, checkpoint)
    with db.transaction():
        for name in MODEL_TABLES:
            db.execute(db.control.create_table(name, TABLES[name], MODEL))
            db.insert(name, content[name], MODEL)


class Counting:
    """Weights that tell how many bytes of the checkpoint were read.

    Parameters
    ----------
    source
        The checkpoint.
    count
        Takes a number of bytes.
    """

    def __init__(self, source: Source, count: Callable[[int], None]) -> None:
        self._source, self._count = source, count

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor."""
        return self._source.shape(name)

    def read(self, name: str, row_start: int = 0, row_stop: int | None = None) -> Array:
        """Rows of a tensor."""
        out = self._source.read(name, row_start, row_stop)
        total = math.prod(self._source.shape(name)) or 1
        self._count(self._source.tensors[name].nbytes * out.size // total)
        return out


@contextlib.contextmanager
def _bar(checkpoint: Source, names: Mapping[str, str], progress: bool | None) -> Iterator[Callable[[int], None]]:
    if not (sys.stderr.isatty() if progress is None else progress):
        yield lambda _: None
        return
    from tqdm import tqdm

    total = sum(checkpoint.tensors[name].nbytes for name in set(names.values()))
    with tqdm(total=total, unit="B", unit_scale=True, desc="loading", file=sys.stderr) as bar:

        def count(number: int) -> None:
            bar.update(number)

        yield count


def check_free(place: str | os.PathLike[str], force: bool, engine: type[Driver]) -> None:
    """Whether a database may be written.

    Raises
    ------
    UserError
        If it exists and is not to be replaced, or the engine has no such places.
    """
    if is_address(place):
        if scheme_of(place) not in engine.schemes:
            raise UserError(f"{engine.title} takes a file, not an address")
    else:
        target = Path(place)
        if target.is_dir() and not is_database(target):
            raise UserError(f"{target} is a folder: give the name of a file")
        if is_special(target) and not target.is_dir():
            raise UserError(f"{target} is no file that can be replaced")
    if not force and engine.exists(os.fspath(place)):
        raise UserError(f"{place} exists already: give --force to replace it")


def _check_space(target: Path, program: Program) -> None:
    def size(stored: Stored) -> int:
        return math.prod(e for e in stored.table.extents if isinstance(e, int)) * 4

    needed = int(sum(map(size, program.stored)) * 1.05) + (8 << 20)
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise UserError(f"{target.parent} has {free / 1e9:.1f} GB left, the model needs {needed / 1e9:.1f} GB")


def _discard(partial: str, target: str, engine: type[Driver], say: Note) -> None:
    """Make room for a new partial database: the rest of a killed load goes, one that is being written stays."""
    if not engine.exists(partial):
        engine.remove(partial)
        return
    before = driver_of(partial)
    with before() as db:
        try:
            db.attach(partial, MODEL)
        except EngineError as error:
            if "in use" in str(error):
                raise UserError(f"another process is writing {partial}: wait for it to end") from error
    say(f"irsql: an earlier load into {os.path.basename(target)} was interrupted; starting again")
    for one in {before, engine}:
        one.remove(partial)
