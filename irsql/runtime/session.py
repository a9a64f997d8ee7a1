"""A model in a database and the sequences it continues.

The state protocol: a step is one transaction. Tokens at ``pos >= length`` are waiting to be run; running them appends
their keys and values and moves ``length``, the last write of the step; drawing appends the next waiting token. What a
killed process leaves is the state before or after a step.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from weakref import WeakValueDictionary

import pyarrow as pa

from irsql.runtime import rows, tokens
from irsql.runtime.errors import UserError
from irsql.runtime.facts import facts_of, program_of
from irsql.runtime.forks import Forks
from irsql.runtime.sequence import TokenSequence, changing
from irsql.runtime.settings import COLUMNS, Settings, sampler_for
from irsql.runtime.template import ChatTemplate
from irsql.targets.base import driver_of
from irsql.targets.control import (
    META,
    MODEL,
    SEQUENCE,
    STATE,
    STATE_FORMAT,
    STATE_TABLES,
    STOP,
    TOKEN,
    VOCABULARY,
    states,
)
from irsql.targets.driver import Driver, is_address
from irsql.targets.errors import EngineError
from irsql.targets.names import view_of
from irsql.targets.program import Function, Program
from irsql.targets.segments import Segments

PREFILL_CHUNK = 128
"""Tokens of prompts that run in one step: more are hardly faster, and their attention scores need memory."""
DEFAULT_CONTEXT = 131_072


class Model:
    """A language model in a loaded database; see :meth:`open`.

    Attributes
    ----------
    program
        The compiled program.
    path
        The model database.
    generation_config, config
        What the checkpoint's JSON files say.
    tokenizer_text, chat_template
        Its ``tokenizer.json`` and its chat template, None without one.
    vocabulary_size, context
        Number of tokens, and how many a sequence can have.
    forks
        Which sequence sees which rows of the states.
    checkpoint, fingerprint
        Identify the weights, and weights and program together; a state database belongs to one of these.
    """

    def __init__(self, db: Driver, path: str | os.PathLike[str], program: Program, facts: dict[str, str]) -> None:
        self.db, self.path, self.program = db, path, program
        self.generation_config: dict[str, Any] = json.loads(facts.get("generation_config", "{}"))
        self.config: dict[str, Any] = json.loads(facts.get("config", "{}"))
        self.vocabulary_size = int(program.meta["vocab"])
        self.context = int(program.meta.get("context") or DEFAULT_CONTEXT)
        self.checkpoint = facts.get("checkpoint", "")
        self.fingerprint = f"{self.checkpoint}:{program.text_hash}"
        self.tokenizer_text = facts.get("tokenizer")
        chat = facts.get("chat_template")
        self.chat_template = None if chat is None else ChatTemplate.from_json(chat)
        self.forks = Forks(db, program)
        self._codec: tokens.TextCodec | None = None
        self._tokens: list[tokens.Token] | None = None
        self._plans: dict[str, list[Any]] = {}
        self._selected: set[int] | None = None
        self._fresh: dict[int, tuple[int, str]] = {}
        self._handles: WeakValueDictionary[int, TokenSequence] = WeakValueDictionary()
        self._stops: tuple[int, ...] | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        state: str | os.PathLike[str] = ":memory:",
        threads: int | None = None,
        memory_limit: str | None = None,
        temp_directory: str | os.PathLike[str] | None = None,
        program: Program | None = None,
    ) -> Self:
        """Open a model database, which other processes may have open too, and a state database of one's own.

        Parameters
        ----------
        path
            What :func:`irsql.runtime.load.load` wrote.
        state
            Database of sequences, made if it is not there.
        threads, memory_limit, temp_directory
            Options of the engine.
        program
            Run this program instead of the stored one; it must read the same stored relations.

        Raises
        ------
        UserError, EngineError
            If a file is missing, damaged, in use, or something else.
        """
        file = path if is_address(path) else Path(path)
        if _same(file, state):
            raise UserError(f"{file} is the model: give another file for the state")
        db = driver_of(file)(threads, memory_limit, temp_directory)
        try:
            db.attach(file, MODEL, read_only=True)
            try:
                facts = facts_of(db, file)
            except EngineError as error:
                raise UserError(f"{file} is damaged or cut short: load the model again ({error})") from error
            stored = program_of(facts, file)
            if program is not None and program.text_hash != stored.text_hash:
                raise UserError(
                    f"{file} was loaded for another program: load the model again (it reads the whole checkpoint)"
                )
            model = cls(db, file, program or stored, facts)
            model._open_state(os.fspath(state))
            return model
        except BaseException:
            db.close()
            raise

    def __repr__(self) -> str:
        name = self.program.meta.get("architecture") or "model"
        return f"<{name} in {self.path}: {self.vocabulary_size} tokens, context {self.context}>"

    def close(self) -> None:
        """Close the databases."""
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- text ------------------------------------------------------------------------------------------
    @property
    def has_tokenizer(self) -> bool:
        """Whether the model takes and gives text."""
        return self.tokenizer_text is not None

    def encode(self, prompt: str) -> list[int]:
        """The ids of a text prompt.

        Raises
        ------
        UserError
            If the model has no tokenizer or the prompt no tokens.
        """
        return self.codec.encode(prompt)

    @property
    def codec(self) -> tokens.TextCodec:
        """What encodes prompts.

        Raises
        ------
        UserError
            If the model has no tokenizer.
        """
        if self.tokenizer_text is None:
            raise UserError("the model has no tokenizer: give the prompt as token ids")
        if self._codec is None:
            self._codec = tokens.TextCodec(self.tokenizer_text)
        return self._codec

    @property
    def tokens(self) -> list[tokens.Token]:
        """The vocabulary."""
        if self._tokens is None:
            query = self.db.control.read(VOCABULARY, ("bytes", "special"), MODEL, order=("id",))
            self._tokens = [tokens.Token(b, s) for b, s in self.db.rows(query)]
            if len(self._tokens) != self.vocabulary_size:
                raise UserError(f"{self.path} is damaged: its vocabulary has {len(self._tokens)} tokens instead of "
                                f"{self.vocabulary_size}; load the model again")  # fmt: skip
        return self._tokens

    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens, without special ones."""
        stream = tokens.TextStream(self.tokens)
        return "".join([*(stream.push(i) for i in ids), stream.finish()])

    # -- sequences -------------------------------------------------------------------------------------
    def sequence(self, *, max_length: int | None = None, **settings: Any) -> TokenSequence:
        """A new, empty sequence.

        Parameters
        ----------
        max_length
            Most tokens, prompt included; the model's context by default.
        settings
            Fields of :class:`~irsql.runtime.settings.Settings`: ``temperature``, ``top_p``, ``seed`` and so on.

        Raises
        ------
        UserError
            If a setting is outside of its range, or the model was captured for one sequence (``aten``) and there is
            one.
        """
        return self.add(Settings(**settings), max_length)

    def add(
        self, settings: Settings, max_length: int | None = None, shares: tuple[TokenSequence, int] | None = None
    ) -> TokenSequence:
        """A new sequence; see :meth:`sequence`. With ``shares`` it sees the rows of another before a position."""
        if shares is None:
            return self.add_all([(settings, max_length)])[0]
        limit = self.context if max_length is None else min(max_length, self.context)
        with self.db.transaction():  # with the number, which another process may take too
            number = self.next_number()
            rows.create(self.db, number, [(settings, limit)])
            self.forks.fork(shares[0].number, number, shares[1])
        return self._hold(TokenSequence(self, number, [], 0, 0, limit, settings))

    def add_all(self, new: Sequence[tuple[Settings, int | None]]) -> list[TokenSequence]:
        """New sequences, each with its settings and its most tokens; see :meth:`sequence`."""
        limited = [(s, self.context if most is None else min(most, self.context)) for s, most in new]
        with self.db.transaction():
            first = self.next_number()
            rows.create(self.db, first, limited)
            self.forks.add(range(first, first + len(limited)))
        return [self._hold(TokenSequence(self, first + n, [], 0, 0, most, s)) for n, (s, most) in enumerate(limited)]

    def _hold(self, sequence: TokenSequence) -> TokenSequence:
        """One object a sequence: two would not know of each other's steps."""
        self._handles[sequence.number] = sequence
        return sequence

    def next_number(self) -> int:
        """The number that the next new sequence gets.

        Raises
        ------
        UserError
            If the model was captured for one sequence (``aten``) and there is one.
        """
        numbers = rows.numbers(self.db)
        if numbers is not None and not self.batched:
            raise UserError(
                f"this model was captured for one sequence at a time, and the state holds sequence {numbers[0]}: "
                "delete it, or give another file for the state"
            )
        return 0 if numbers is None else numbers[1] + 1

    def sequences(self) -> list[int]:
        """The numbers of all sequences in the state database."""
        return [row[0] for row in self.db.rows(self.db.control.read(SEQUENCE, ("seq",), STATE, order=("seq",)))]

    def resume(self, number: int) -> TokenSequence:
        """An existing sequence, as its last finished step left it.

        Raises
        ------
        UserError
            If there is none of that number.
        """
        sequence = self.look(number)
        sequence._cut(sequence.length)
        return sequence

    def look(self, number: int) -> TokenSequence:
        """An existing sequence to look at; see :meth:`resume`."""
        held = self._handles.get(number)
        if held is not None:
            held._sync()
            return held
        return self._hold(TokenSequence(self, number, *self._facts(number)))

    def _facts(self, number: int) -> tuple[list[int], int, int, int, Settings]:
        """What the state database says of a sequence: tokens, length, length of the prompt, most tokens, settings."""
        c = self.db.control
        columns = ("length", "prompt_length", "max_length", *COLUMNS)
        row = self.db.rows(c.read(SEQUENCE, columns, STATE, where=("seq",)), [number])
        if not row:
            raise UserError(f"there is no sequence {number}")
        ids = self.db.rows(c.read(TOKEN, ("id",), STATE, where=("seq",), order=("pos",)), [number])
        length, prompt_length, max_length, *values = row[0]
        settings = Settings(**dict(zip(COLUMNS, values, strict=True)))
        return [i for (i,) in ids], length, prompt_length, max_length, settings

    def delete(self, sequences: Iterable[TokenSequence]) -> None:
        """Remove sequences and their state, all in one transaction; nothing happens to those that have been removed."""
        gone = [s for s in sequences if self._handles.get(s.number) is s]
        selected, self._selected = self._selected, None
        with changing(gone), self.db.transaction():
            rows.remove(self.db, self.program, self.forks, [s.number for s in gone])
        for s in gone:
            del self._handles[s.number]
            self._fresh.pop(s.number, None)
            s._ids, s._length = [], 0
        self._selected = None if selected is None else selected - {s.number for s in gone}

    def set_stops(self, stop_ids: Iterable[int]) -> None:
        """The ids that end a sequence."""
        wanted = tuple(sorted(set(stop_ids)))
        if wanted != self._stops:
            self._stops = None
            with self.db.transaction():
                self.db.execute(self.db.control.delete(STOP, STATE))
                if wanted:
                    self.db.insert(STOP, pa.table({"id": pa.array(wanted, pa.int64())}), STATE)
            self._stops = wanted

    def feed(self, prompts: Sequence[tuple[TokenSequence, Sequence[int]]]) -> None:
        """Append tokens to sequences and run them, many sequences in one query; the last token of each waits.

        The next :meth:`step` runs the waiting ones together and draws from what they give.

        Raises
        ------
        UserError
            If a sequence gets none, one is unknown, or they do not fit.
        """
        checked = [(sequence, tokens.check_ids(list(given), self.vocabulary_size)) for sequence, given in prompts]
        for sequence, ids in checked:
            sequence._sync()
            sequence._check_room(len(ids))
        with changing([sequence for sequence, _ in checked]), self.db.transaction():
            for sequence, ids in checked:
                sequence._append(ids)
        self.run([sequence for sequence, _ in checked], leave=1)

    def run(self, sequences: Sequence[TokenSequence], leave: int = 0) -> None:
        """Run what waits, but for the last ``leave`` tokens of each, so many a step that their scores fit in memory."""
        while True:
            room, upto = PREFILL_CHUNK, dict[TokenSequence, int]()
            for sequence in sequences:
                count = min(sequence.waiting - leave, room)
                if count > 0:
                    upto[sequence] = sequence.length + count
                    room -= count
            if not upto:
                return
            self._advance(list(upto), run=True, draw=False, upto=upto)

    def run_ahead(self, sequences: Sequence[TokenSequence]) -> None:
        """Leave no more than one step can run."""
        if sum(s.waiting for s in sequences) > PREFILL_CHUNK:
            self.run(sequences, leave=1)

    def step(self, sequences: Sequence[TokenSequence]) -> list[int]:
        """Draw the next token of each sequence, all in one step; what waits is run before.

        Raises
        ------
        UserError
            If there is no sequence, or one is given twice, empty or full.
        """
        if not sequences:
            raise UserError("there is no sequence to continue")
        if len({s.number for s in sequences}) < len(sequences):
            raise UserError("a sequence can take part in a step only once")
        for s in sequences:
            s._sync()
            s._check_room(1)
            s._refresh()
        self.run_ahead(sequences)
        waiting = {s.waiting > 0 for s in sequences}
        if len(waiting) > 1:
            # Some have logits already: run the others first, then draw for all from one table.
            for s in sequences:
                s._rewind()
            waiting = {True}
        run = next(iter(waiting), False)
        drawn = dict(self._advance(sequences, run=run, draw=True))
        return [drawn[s.number] for s in sequences]

    @property
    def batched(self) -> bool:
        """Whether the program takes several sequences at a time; the plain ATen capture is made for one."""
        return "B" not in self.program.functions["decode"].symbols and self.program.meta.get("capture") != "aten"

    def _advance(self, sequences: Sequence[TokenSequence], run: bool, draw: bool,
                 upto: Mapping[TokenSequence, int] | None = None) -> list[tuple[int, int]]:  # fmt: skip
        """One step: run what waits, draw, or both; gives ``(sequence, id)`` of what was drawn.

        ``upto`` says before which position to stop; without it all that waits is run.
        """
        ends = upto or {s: len(s.ids) for s in sequences}
        function = self._function(ends) if run else self._fresh[sequences[0].number][1]
        sampler = self.program.functions[sampler_for(s.settings for s in sequences)] if draw else None
        drawn: list[tuple[int, int]] = []
        by_number: dict[int, int] = {}
        # Forgotten until the step has ended: whatever breaks it off, the next one starts from what the database holds.
        fresh, self._fresh = self._fresh, {}
        with changing(sequences):
            with self.db.transaction():
                selected = self._select(sequences)
                for s, end in (upto or {}).items():
                    self.db.execute(self.db.control.update_sequence(("run_to",)), [end, s.number])
                for statement in self._plan(function, run, sampler):
                    self.db.execute(statement)
                if sampler is not None:
                    spec = sampler.outputs[0]
                    drawn = self.db.rows(self.db.control.read(spec.name, [c.name for c in spec.columns]))
                    by_number = dict(drawn)
                    if any(by_number.get(s.number) is None for s in sequences):
                        raise UserError("no token can be drawn, for rows of the model or of the state are missing: "
                                        "load the model again, or give another file for the state")  # fmt: skip
            if run:
                fresh = {s.number: (end, function) for s, end in ends.items()}
                for s, end in ends.items():
                    s._length = end
            for s in sequences if draw else ():
                s._ids.append(by_number[s.number])
                if s._ids[-1] in (self._stops or ()) or len(s._ids) >= s._max_length:
                    selected.discard(s.number)  # the step has put it to rest
        self._fresh, self._selected = fresh, selected
        return drawn

    def _function(self, ends: Mapping[TokenSequence, int]) -> str:
        one_each = all(end - s.length == 1 for s, end in ends.items())
        return "decode" if one_each and "decode" in self.program.functions else "prefill"

    def _plan(self, name: str, run: bool, sampler: Function | None) -> list[Any]:
        """The statements of a step, parsed once."""
        key = f"{name}:{run}:{sampler.name if sampler else ''}"
        if key not in self._plans:
            c, function = self.db.control, self.program.functions[name]
            if run:
                texts = c.step(self.program, function, sampler)
            else:
                assert sampler is not None
                texts = [*c.members(), *c.draw(function, sampler), c.finish(sampler)]
            self._plans[key] = [self.db.prepare(text) for text in texts]
        return self._plans[key]

    def _select(self, sequences: Sequence[TokenSequence]) -> set[int]:
        """Let exactly these sequences take part in the step; what is selected is forgotten until it has ended."""
        wanted = {s.number for s in sequences}
        # Another process may have selected its own since.
        before, self._selected = None if self.db.shares_state else self._selected, None
        if wanted != before:
            if before is None:
                self.db.execute(self.db.control.idle_all())
            for number in (before or set()) ^ wanted:
                self.db.execute(self.db.control.update_sequence(("live",)), [number in wanted, number])
        return wanted

    def _open_state(self, state: str) -> None:
        db, c = self.db, self.db.control
        db.attach(state, STATE)
        present = db.tables(STATE)
        if present and META not in present:
            raise UserError(f"{state} is a database of something else: give another file for the state")
        if VOCABULARY in present:
            raise UserError(f"{state} is a loaded model: give another file for the state")
        try:
            with db.transaction():
                # What is there already is left alone: making it again would wait for the others that use it.
                schema = [] if self._state_names() <= db.tables(STATE) else Segments(c).schema(self.program)
                for statement in (*schema, *c.temporaries(self.program)):
                    db.execute(statement)
                facts = dict(db.rows(c.read(META, ("key", "value"), STATE)))
                if "model" not in facts:
                    facts = {"model": self.fingerprint, "format": STATE_FORMAT}
                    for fact in facts.items():
                        db.execute(c.insert(META, ("key", "value"), STATE), list(fact))
        except EngineError as error:
            raise UserError(f"{state} cannot be used for the state: {error}") from error
        if facts.get("format") != STATE_FORMAT:
            raise UserError(f"{state} was written by another version of irsql: give another file for the state")
        if facts["model"] != self.fingerprint:
            raise UserError(f"{state} holds sequences of another model: give another file for the state")


    def _state_names(self) -> set[str]:
        """The tables and views of a state database."""
        own = [spec.name for spec in states(self.program)]
        return {*STATE_TABLES, *own, *map(view_of, own)}


def _same(file: str | os.PathLike[str], state: str | os.PathLike[str]) -> bool:
    """Whether two places are one file."""
    return os.path.exists(file) and os.path.exists(state) and os.path.samefile(file, state)
