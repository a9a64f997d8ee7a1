"""Language models for Python: :func:`load`, and the cache behind it."""

from __future__ import annotations

import glob
import hashlib
import importlib.metadata
import inspect
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from irsql.ir.core import IRError
from irsql.runtime import batch
from irsql.runtime import generate as generation
from irsql.runtime.errors import UserError
from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import Model as Model_
from irsql.targets.base import DEFAULT_TARGET, driver_of, is_database
from irsql.targets.driver import is_address

if TYPE_CHECKING:
    from irsql.ir.instruments.base import Instrument
    from irsql.runtime.chat import Chat
    from irsql.targets.program import Program

__all__ = ["Model", "TokenSequence", "load"]


class Model(Model_):
    """A language model in a database, ready to generate; see :func:`load`."""

    def generate(
        self,
        prompt: str | None = None,
        *,
        prompt_ids: Iterable[int] | None = None,
        max_new_tokens: int = 128,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        seed: int | None = None,
        stop_ids: Iterable[int] | None = None,
        resume: int | None = None,
        keep: bool = False,
    ) -> generation.Generation:
        """Continue a prompt, token by token.

        Parameters are those of :func:`irsql.runtime.generate.generate` and of
        :class:`irsql.runtime.settings.Settings`.

        Returns
        -------
        irsql.runtime.generate.Generation
            Iterate over it: each piece has ``id`` and ``text``; afterwards it has all ``ids``, ``text``, ``timings``.
        """
        return generation.generate(
            self,
            prompt,
            prompt_ids,
            max_new_tokens=max_new_tokens,
            stop_ids=stop_ids,
            resume=resume,
            keep=keep,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            seed=seed,
        )


    def generate_batch(
        self,
        prompts: Sequence[str | Sequence[int]],
        *,
        max_new_tokens: int = 128,
        stop_ids: Sequence[int] | None = None,
        keep: bool = False,
        at_once: int = batch.AT_ONCE,
        **settings: Any,
    ) -> batch.BatchGeneration:
        """Continue many prompts, one query a step for all of them.

        Parameters are those of :func:`irsql.runtime.batch.generate_batch`.

        Returns
        -------
        irsql.runtime.batch.BatchGeneration
            Iterate over it for ``(number of the prompt, piece)``; afterwards it has all ``results``.
        """
        return batch.generate_batch(
            self, prompts, max_new_tokens=max_new_tokens, stop_ids=stop_ids, keep=keep, at_once=at_once, **settings
        )


    def chat(self, *, resume: int | None = None, system: str | None = None, **settings: Any) -> Chat:
        """A conversation through the model's own chat template; see :class:`irsql.runtime.chat.Chat`."""
        from irsql.runtime.chat import Chat  # with Jinja, which nothing else needs

        return Chat(self, resume=resume, system=system, **settings)


def load(
    path: str | os.PathLike[str],
    *,
    db: str | os.PathLike[str] = ":memory:",
    target: str | None = None,
    capture: Literal["fused", "aten"] = "fused",
    threads: int | None = None,
    memory_limit: str | None = None,
    progress: bool | None = None,
    instruments: Sequence[Instrument] = (),
) -> Model:
    """Open a language model.

    Parameters
    ----------
    path
        A database that ``irsql load`` wrote, or a Hugging Face folder: that is compiled and loaded into the cache once.
    db
        Where the state of sequences lives: a file, or memory; in PostgreSQL the name of a schema beside the model.
    target
        What a folder is compiled for, by default ``duckdb``; a loaded database has been compiled for its own, and
        another is refused.
    capture
        Recipe for a folder: ``fused`` or ``aten``.
    threads, memory_limit
        Options of the engine.
    progress
        Show a bar while loading; by default on a terminal.
    instruments
        Watch the passes; a folder is then compiled even if the cache has it.

    Raises
    ------
    UserError, irsql.targets.errors.EngineError, irsql.frontend.checkpoint.CheckpointError
        With one clear sentence.
    """
    if target is not None:
        check_target(target)
    checkpoint = is_checkpoint(path)
    file = cached(Path(path), capture, progress, instruments, target or DEFAULT_TARGET) if checkpoint else path
    model = Model.open(file, state=db, threads=threads, memory_limit=memory_limit)
    if target is not None and model.program.target != target:
        model.close()
        raise UserError(f"{path} was compiled for the target {model.program.target!r}: load the folder again for "
                        f"{target!r}")
    return model


def is_checkpoint(place: str | os.PathLike[str]) -> bool:
    """Whether a place is a model's folder, and no loaded database.

    Raises
    ------
    UserError
        If there is nothing.
    """
    if is_address(place):
        return False
    if not Path(place).exists():
        raise UserError(f"there is no {place}: give a model folder or a loaded database")
    return Path(place).is_dir() and not is_database(Path(place))


def check_target(target: str) -> None:
    """Whether a target can run.

    Raises
    ------
    UserError
        If there is none of that name, or no driver for it.
    """
    from irsql.targets.base import runnable

    try:
        runnable(target)
    except IRError as error:
        raise UserError(str(error)) from error


def cache_folder() -> Path:
    """Where models given as folders are kept: ``IRSQL_CACHE``, or the user's cache folder."""
    given = os.environ.get("IRSQL_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "irsql"


def cached(
    folder: Path,
    capture: Literal["fused", "aten"] = "fused",
    progress: bool | None = None,
    instruments: Sequence[Instrument] = (),
    target: str = DEFAULT_TARGET,
) -> Path:
    """The loaded database of a folder, made if the cache has none for its content and this irsql.

    With instruments that show something the folder is compiled in any case. Older databases of the folder go.
    """
    from irsql.frontend.checkpoint import Checkpoint
    from irsql.ir.instruments.verify_each import VerifyEach
    from irsql.runtime.load import load as load_database

    checkpoint = Checkpoint.open(folder)
    base = cache_folder()
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    family = f"{folder.resolve().name}-{place}-{capture}-{target}."
    file = base / f"{family}{_key(folder, checkpoint.stamp(), capture, target)}.db"
    if file.exists() and all(isinstance(i, VerifyEach) for i in instruments):
        return file
    program = compile_folder(folder, capture, instruments, target=target)
    if file.exists():
        return file
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the cache folder {base} cannot be made: {error.strerror}; set IRSQL_CACHE") from error
    size = sum(info.nbytes for info in checkpoint.tensors.values())
    print(
        f"irsql: loading {size / 1e6:.0f} MB of {folder} into the cache, {file} (once; `irsql load` chooses the place)",
        file=sys.stderr,
    )
    load_database(program, checkpoint, file, progress=progress, force=True)
    for older in base.glob(f"{glob.escape(family)}*.db"):
        if older != file:
            driver_of(older).remove(str(older))
    return file


def compile_folder(
    folder: Path,
    capture: Literal["fused", "aten"] = "fused",
    instruments: Sequence[Instrument] = (),
    pipeline: str | None = None,
    target: str = DEFAULT_TARGET,
) -> Program:
    """The program of a model folder; only its configuration is read.

    Parameters
    ----------
    folder
        In Hugging Face's layout.
    capture
        ``fused`` or ``aten``.
    instruments
        Watch the passes.
    pipeline
        Passes instead of the default ones.
    target
        What to compile for.

    Raises
    ------
    UserError
        If transformers is not installed.
    """
    from irsql.compile import compile_model

    try:
        return compile_model(folder, target, capture=capture, instruments=instruments, pipeline_text=pipeline).program
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise UserError("capturing a model folder needs transformers: pip install 'irsql[hf]'") from error


def _key(folder: Path, stamp: str, capture: str, target: str) -> str:
    """What the cached database depends on: weights, the other files of the folder, the recipe, the target, all code.

    The target has the costs of this machine, so that a model is laid out anew after a calibration.
    """
    from irsql.targets.base import backend
    from irsql.targets.calibration import calibrated

    versions = [_version(name) for name in ("duckdb", "sqlglot", "tokenizers", "torch", "transformers")]
    to = backend(target)
    facts = [stamp, capture, repr(calibrated(to.target)), repr(to.passes), *versions]
    digest = hashlib.sha256(" ".join(facts).encode())
    digest.update(Path(inspect.getfile(to.emitter)).read_bytes())
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                 "chat_template.jinja"):  # fmt: skip
        file = folder / name
        digest.update(file.read_bytes() if file.is_file() else b"-")
    package = Path(__file__).parent
    for source in sorted(p for p in package.glob("**/*.py")):
        digest.update(source.read_bytes())
    for linked in ("dialects", "passes"):
        for source in sorted((package / linked).resolve().glob("**/*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:20]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"
