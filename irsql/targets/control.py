"""Control SQL: the tables beside the model's, and the glue that feeds a step from them and takes its result back.

A step takes no bound parameter. Prompts, seeds, temperatures, stop ids and limits are rows of the tables below; the
glue turns them into the input tables of a function and writes what was drawn back. So a driver and the engine's own
shell run the same statements.

==================  ========  ================================================================================
table               database  rows
==================  ========  ================================================================================
irsql_meta          both      key, value: program, fingerprints, tokenizer; in ``state`` the model it belongs to
irsql_vocabulary    model     id, bytes of the token, whether it is special (no text)
irsql_sequence      state     one a sequence; ``live`` ones take part in the next step
irsql_token         state     seq, pos, id: prompt and what was drawn; those at ``pos >= length`` are still to be run,
                              in the next step those below ``run_to``
irsql_stop          state     ids that end a sequence
irsql_segment       state     which rows of the states a sequence sees; see ``irsql.targets.segments``
irsql_prompt        state     seq, pos, id: prompts that scripts are to start; see ``irsql.targets.prompts``
irsql_setting       state     how the sequences that scripts start choose their tokens, and how many
==================  ========  ================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import attrs
from sqlglot import ErrorLevel, exp

from irsql.ir.target import Target
from irsql.targets.names import symbol_column
from irsql.targets.program import Column, Function, Program, TableSpec
from irsql.targets.tables import split_type

META, VOCABULARY, SEQUENCE, TOKEN, STOP, SEGMENT = (
    "irsql_meta", "irsql_vocabulary", "irsql_sequence", "irsql_token", "irsql_stop", "irsql_segment")  # fmt: skip
PROMPT, SETTING = "irsql_prompt", "irsql_setting"
STEP = "irsql_step"
"""Temporary: the live sequences of the step that runs."""
MODEL, STATE = "model", "state"

STATE_FORMAT = "4"
"""Format of a state database."""
END = 2**62
"""A position behind all others: where a segment ends that is still appended to, how far a step runs."""
SETTINGS: tuple[tuple[str, str], ...] = (
    ("temperature", "f64"), ("top_k", "i64"), ("top_p", "f64"), ("min_p", "f64"), ("repetition_penalty", "f64"),
    ("seed", "i64"), ("stream", "i64"))  # fmt: skip
"""How a sequence chooses its next token; ``irsql.runtime.settings`` says what they mean."""

TABLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    META: (("key", "text"), ("value", "text")),
    VOCABULARY: (("id", "i64"), ("bytes", "bytes"), ("special", "i1")),
    SEQUENCE: (("seq", "i64"), ("length", "i64"), ("prompt_length", "i64"), ("max_length", "i64"), ("run_to", "i64"),
               ("live", "i1"),
               *SETTINGS),
    TOKEN: (("seq", "i64"), ("pos", "i64"), ("id", "i64")),
    STOP: (("id", "i64"),),
    SEGMENT: (("seq", "i64"), ("segment", "i64"), ("low", "i64"), ("high", "i64")),
    PROMPT: (("seq", "i64"), ("pos", "i64"), ("id", "i64")),
    SETTING: (("max_new_tokens", "i64"), *SETTINGS),
}  # fmt: skip
"""Columns and types of the control tables."""

STATE_TABLES = (META, SEQUENCE, TOKEN, STOP, SEGMENT, PROMPT, SETTING)
MODEL_TABLES = (META, VOCABULARY)

SEED_LIMIT, STREAM_LIMIT = 2**62, 2**50
"""The draw depends on all bits of seeds and streams below these."""
STEP_COLUMNS = (("seq", "i64"), ("position", "i64"), ("length", "i64"), ("max_length", "i64"), *SETTINGS)

_TYPES = {"i64": exp.DType.BIGINT, "f32": exp.DType.FLOAT, "f64": exp.DType.DOUBLE, "i1": exp.DType.BOOLEAN,
          "text": exp.DType.TEXT, "bytes": exp.DType.VARBINARY}  # fmt: skip


def sql_type(type_: str) -> exp.DataType:
    """The SQL type of an IR type; a lane is a list."""
    if type_ in _TYPES:
        return exp.DataType(this=_TYPES[type_])
    element, _ = split_type(type_)
    return exp.DataType(this=exp.DType.ARRAY, expressions=[exp.DataType(this=_TYPES[element])], nested=True)


def name(text: str) -> exp.Identifier:
    """A quoted identifier."""
    return exp.Identifier(this=text, quoted=True)


def table(text: str, catalog: str | None = None, alias: str | None = None) -> exp.Table:
    """A table, in an attached database or among the temporary ones."""
    node = exp.Table(this=name(text), db=name(catalog) if catalog else None)
    if alias:
        node.set("alias", exp.TableAlias(this=name(alias)))
    return node


def col(text: str, of: str | None = None) -> exp.Column:
    """A column."""
    return exp.Column(this=name(text), table=name(of) if of else None)


def every(*terms: exp.Expr) -> exp.Expr:
    """``AND`` of conditions."""
    return exp.and_(*terms, copy=False)


def equal(a: exp.Expr, b: exp.Expr) -> exp.Expr:
    """``a = b``."""
    return exp.EQ(this=a, expression=b)


def _plus_one(a: exp.Expr) -> exp.Expr:
    return exp.Add(this=a, expression=exp.Literal.number(1))


def named(node: exp.Expr, text: str) -> exp.Expr:
    """``node AS text``."""
    return exp.Alias(this=node, alias=name(text))


def _max(node: exp.Expr) -> exp.Expr:
    return exp.Max(this=node)


def _live_tokens() -> exp.Select:
    """``FROM`` the tokens of the live sequences as far as the step goes."""
    return exp.select(copy=False).from_(table(TOKEN, STATE, "t"), copy=False).join(
        table(SEQUENCE, STATE, "q"), on=equal(col("seq", "t"), col("seq", "q")), copy=False
    ).where(col("live", "q"), exp.LT(this=col("pos", "t"), expression=col("run_to", "q")), copy=False)  # fmt: skip


def empties(target: Target) -> bool:
    """Whether step tables are made once a connection and emptied before each step, instead of replaced.

    A target says so in its options: ``{"step-tables": "emptied"}``.
    """
    return target.options.get("step-tables") == "emptied"


@attrs.frozen
class Control:
    """Writes the control statements of one dialect.

    Attributes
    ----------
    dialect
        A sqlglot dialect.
    emptied
        See :func:`empties`.
    """

    dialect: str
    emptied: bool = False
    begin_transaction: ClassVar[str] = "BEGIN TRANSACTION"
    commit: ClassVar[str] = "COMMIT"
    rollback: ClassVar[str] = "ROLLBACK"
    views_name_databases: ClassVar[bool] = True
    """A view names the attached database of the tables it reads; else they are those beside it."""

    def text(self, node: exp.Expr) -> str:
        """The node as SQL."""
        return node.sql(dialect=self.dialect, unsupported_level=ErrorLevel.RAISE, copy=False)

    # -- definitions ---------------------------------------------------------------------------------
    def column_type(self, type_: str, catalog: str | None) -> exp.DataType:
        """The SQL type of columns of an IR type, in an attached database or among the temporary tables."""
        return sql_type(type_)

    def create_table(self, table_name: str, columns: Sequence[tuple[str, str]], catalog: str | None = None,
                     exists_ok: bool = False, replace: bool = False) -> str:
        """``CREATE TABLE`` with columns of IR types; a temporary one without a catalog."""
        defs = [exp.ColumnDef(this=name(c), kind=self.column_type(t, catalog)) for c, t in columns]
        schema = exp.Schema(this=table(table_name, catalog), expressions=defs)
        temporary = None if catalog else exp.Properties(expressions=[exp.TemporaryProperty()])
        return self.text(exp.Create(this=schema, kind="TABLE", exists=exists_ok, replace=replace,
                                    properties=temporary))  # fmt: skip

    def drop_table(self, table_name: str, catalog: str | None = None) -> str:
        """``DROP TABLE``, if it is there."""
        return self.text(exp.Drop(tables=[table(table_name, catalog)], kind="TABLE", exists=True))

    def create_spec(self, spec: TableSpec, catalog: str | None = None, exists_ok: bool = False) -> str:
        """``CREATE TABLE`` of a table of the program."""
        return self.create_table(spec.name, [(c.name, c.type) for c in spec.columns], catalog, exists_ok)

    def schema(self, program: Program) -> list[str]:
        """The tables of a state database, created where missing."""
        out = [self.create_table(t, TABLES[t], STATE, exists_ok=True) for t in STATE_TABLES]
        out += [self.create_spec(spec, STATE, exists_ok=True) for spec in states(program)]
        return out

    def temporaries(self, program: Program) -> list[str]:
        """The temporary tables of a connection, where statements do not create them."""
        if not self.emptied:
            return []
        functions = program.functions.values()
        specs = {spec.name: spec for f in functions for spec in (*f.inputs, *f.steps)}
        out = [self.create_spec(spec, exists_ok=True) for spec in specs.values()]
        symbols = sorted({s for f in functions for s in f.symbols})
        if symbols:
            columns = [(symbol_column(s), "i64") for s in symbols]
            out.append(self.create_table(program.dims_table, columns, exists_ok=True))
        return [*out, self.create_table(STEP, STEP_COLUMNS, exists_ok=True)]

    def statements(self, function: Function) -> list[str]:
        """What computes a function, from its inputs to its results."""
        out: list[str] = []
        for s in function.statements:
            out += [self.delete(s.table), s.sql] if self.emptied and s.kind != "append" else [s.sql]
        return out

    def set_dims(self, program: Program, values: Mapping[str, int]) -> list[str]:
        """Fill the table of the symbols with numbers."""
        row = [named(exp.Cast(this=exp.convert(v), to=sql_type("i64")), symbol_column(s))
               for s, v in values.items()]  # fmt: skip
        return self._temporary(program.dims_table, exp.select(*row, copy=False))

    # -- filling and reading ---------------------------------------------------------------------------
    def insert(self, table_name: str, columns: Sequence[str], catalog: str | None = None) -> str:
        """``INSERT … VALUES (?, …)``; a statement for the driver alone."""
        row = exp.Tuple(expressions=[exp.Placeholder() for _ in columns])
        return self.insert_query(table_name, columns, exp.Values(expressions=[row]), catalog)

    def insert_from(self, table_name: str, columns: Sequence[str], source: str, catalog: str | None = None) -> str:
        """``INSERT … SELECT`` of all the columns from another table."""
        query = exp.select(*[col(c) for c in columns], copy=False).from_(table(source), copy=False)
        return self.insert_query(table_name, columns, query, catalog)

    def insert_rows(self, table_name: str, columns: Sequence[str], rows: Sequence[Sequence[int | float | bool | str]],
                    catalog: str | None = None) -> str:
        """``INSERT … VALUES`` with literal rows, for scripts."""
        values = [exp.Tuple(expressions=[exp.convert(v) for v in row]) for row in rows]
        return self.insert_query(table_name, columns, exp.Values(expressions=values), catalog)

    def insert_query(self, table_name: str, columns: Sequence[str], source: exp.Expr, catalog: str | None) -> str:
        """``INSERT`` of the rows of a query."""
        into = exp.Schema(this=table(table_name, catalog), expressions=[name(c) for c in columns])
        return self.text(exp.Insert(this=into, expression=source))

    def read(self, table_name: str, columns: Sequence[str], catalog: str | None = None,
             where: Sequence[str] = (), order: Sequence[str] = ()) -> str:
        """``SELECT`` of columns; ``where`` names columns compared with ``?``."""
        query = exp.select(*[col(c) for c in columns], copy=False).from_(table(table_name, catalog), copy=False)
        for c in where:
            query.where(equal(col(c), exp.Placeholder()), copy=False)
        if order:
            query.order_by(*[col(c) for c in order], copy=False)
        return self.text(query)

    def table_names(self, catalog: str) -> str:
        """The names of the tables of an attached database."""
        source = exp.Table(this=exp.to_identifier("tables"), db=exp.to_identifier("information_schema"))
        query = exp.select(exp.column("table_name"), copy=False).from_(source, copy=False)
        return self.text(query.where(equal(exp.column("table_catalog"), exp.Literal.string(catalog)), copy=False))

    def delete(self, table_name: str, catalog: str | None = None, where: Sequence[str] = (),
               at_least: str | None = None) -> str:
        """``DELETE`` of the rows whose columns ``where`` equal ``?``, and whose column ``at_least`` is ``>= ?``."""
        terms: list[exp.Expr] = [equal(col(c), exp.Placeholder()) for c in where]
        if at_least:
            terms.append(exp.GTE(this=col(at_least), expression=exp.Placeholder()))
        condition = exp.Where(this=every(*terms)) if terms else None
        return self.text(exp.Delete(this=table(table_name, catalog), where=condition))

    def update_sequence(self, columns: Sequence[str]) -> str:
        """``UPDATE`` of columns of one sequence with ``?``; the last ``?`` is its number."""
        sets = [equal(col(c), exp.Placeholder()) for c in columns]
        where = exp.Where(this=equal(col("seq"), exp.Placeholder()))
        return self.text(exp.Update(this=table(SEQUENCE, STATE), expressions=sets, where=where))

    # -- one step --------------------------------------------------------------------------------------
    def begin(self, program: Program, function: Function) -> list[str]:
        """Fill the inputs of ``prefill`` or ``decode``: the rows of all live sequences that are still to be run."""
        ids = function_input(function, "ids")
        rows = _live_tokens()
        rows.where(exp.GTE(this=col("pos", "t"), expression=col("length", "q")), copy=False)
        within = exp.Sub(this=col("pos", "t"), expression=col("length", "q"))
        out = self.members()
        for source, value in (("ids", "id"), ("positions", "pos")):
            spec = function_input(function, source)
            out += self._fill(spec, rows.copy(), [col("seq", "t"), within.copy(), col(value, "t")])
        last = exp.select(copy=False).from_(table(ids.name), copy=False).group_by(col(ids.keys[0].name), copy=False)
        newest = _max(col(ids.keys[1].name))
        out += self._fill(function_input(function, "last"), last, [col(ids.keys[0].name), newest])
        if function.symbols:
            out += self._dims(program, function)
        return out

    def members(self) -> list[str]:
        """Note which sequences take part in the step, where it ends, and their settings."""
        newest = named(_plus_one(_max(col("pos", "t"))), "position")
        settings = [named(_max(col(c, "q")), c) for c in ("length", "max_length", *(name for name, _ in SETTINGS))]
        query = _live_tokens().select(named(col("seq", "q"), "seq"), newest, *settings, copy=False)
        return self._temporary(STEP, query.group_by(col("seq", "q"), copy=False))

    def idle_all(self) -> str:
        """Let no sequence take part in the next step."""
        live = exp.Where(this=col("live"))
        return self.text(exp.Update(this=table(SEQUENCE, STATE), expressions=[equal(col("live"), exp.false())],
                                    where=live))  # fmt: skip

    def _dims(self, program: Program, function: Function) -> list[str]:
        """The symbols of a function whose graph was captured for one sequence: past and new rows."""
        new = exp.Sub(this=col("position"), expression=col("length"))
        known: dict[str, exp.Expr] = {"B": exp.Count(this=exp.Star()), "S": _max(new), "P": _max(col("length"))}
        missing = [s for s in function.symbols if s not in known]
        if missing:
            raise ValueError(f"{function.name} has the unknown symbols {', '.join(missing)}")
        # With no live sequence there is one row all the same: a step then runs over nothing.
        values = [_cast(exp.Coalesce(this=known[s], expressions=[exp.Literal.number(0)]),
                        Column(symbol_column(s), "i64")) for s in function.symbols]  # fmt: skip
        query = exp.select(*values, copy=False).from_(table(STEP), copy=False)
        return self._temporary(program.dims_table, query)

    def sample_inputs(self, sample: Function, logits: TableSpec) -> list[str]:
        """Fill the inputs of ``sample`` from the logits of the step and the sequences' own settings."""
        out: list[str] = []
        wanted = function_input(sample, "logits")
        if wanted.name != logits.name:
            query = exp.select(copy=False).from_(table(logits.name), copy=False)
            out += self._fill(wanted, query, [col(c.name) for c in logits.columns])
        for spec in sample.inputs:
            if spec.source == "penalty":
                out += self._penalties(spec, logits)
            elif spec.source != "logits":
                column = "stream" if spec.source == "sequence" else spec.source
                query = exp.select(copy=False).from_(table(STEP), copy=False)
                out += self._fill(spec, query, [col("seq"), col(column)])
        return out

    def _penalties(self, spec: TableSpec, logits: TableSpec) -> list[str]:
        """The sequence's repetition penalty for every id it has had, 1 for the others: a row a logit."""
        seq, token = (key.name for key in logits.keys)
        had = exp.select(col("seq", "t"), col("id", "t"), col("repetition_penalty", "q"), copy=False).from_(
            table(TOKEN, STATE, "t"), copy=False
        ).join(table(STEP, alias="q"), on=equal(col("seq", "t"), col("seq", "q")), copy=False)  # fmt: skip
        rows = exp.Subquery(this=had.distinct(copy=False), alias=exp.TableAlias(this=name("h")))
        query = exp.select(copy=False).from_(table(logits.name, alias="l"), copy=False).join(
            rows, on=every(equal(col("seq", "h"), col(seq, "l")), equal(col("id", "h"), col(token, "l"))),
            join_type="left", copy=False)  # fmt: skip
        penalty = exp.Coalesce(this=col("repetition_penalty", "h"), expressions=[exp.Literal.number("1.0")])
        return self._fill(spec, query, [col(seq, "l"), col(token, "l"), penalty])

    def append_drawn(self, sample: Function) -> str:
        """Write the drawn ids behind the tokens of their sequences."""
        ids = sample.outputs[0]
        drawn = exp.select(col("seq", "s"), col("position", "s"), col(ids.values[0].name, "i"), copy=False).from_(
            table(ids.name, alias="i"), copy=False
        ).join(table(STEP, alias="s"), on=equal(col(ids.keys[0].name, "i"), col("seq", "s")), copy=False)  # fmt: skip
        return self.insert_query(TOKEN, ("seq", "pos", "id"), drawn, STATE)

    def finish(self, sample: Function | None) -> str:
        """The last write of a step: how far the state of each sequence reaches, and whether it goes on."""
        sets = [equal(col("length"), col("position", "s")), equal(col("run_to"), exp.Literal.number(END))]
        source = exp.select(col("seq"), col("position"), copy=False).from_(table(STEP), copy=False)
        if sample is not None:
            ids = sample.outputs[0]
            stops = exp.select(col("id"), copy=False).from_(table(STOP, STATE), copy=False)
            stopped = exp.In(this=col(ids.values[0].name, "i"), query=exp.Subquery(this=stops))
            full = exp.GTE(this=_plus_one(col("position", "s")), expression=col("max_length", "s"))
            on = equal(col(ids.keys[0].name, "i"), col("seq", "s"))
            goes_on = exp.Not(this=exp.Paren(this=exp.or_(stopped, full, copy=False)))
            source = exp.select(col("seq", "s"), col("position", "s"), named(goes_on, "goes_on"), copy=False).from_(
                table(STEP, alias="s"), copy=False
            ).join(table(ids.name, alias="i"), on=on, copy=False)  # fmt: skip
            sets.append(equal(col("live"), col("goes_on", "s")))
        rows = exp.Subquery(this=source, alias=exp.TableAlias(this=name("s")))
        return self.text(exp.Update(
            this=table(SEQUENCE, STATE), expressions=sets, from_=exp.From(this=rows),
            where=exp.Where(this=equal(col("seq", SEQUENCE), col("seq", "s"))),
        ))  # fmt: skip

    def step(self, program: Program, function: Function, sampler: Function | None) -> list[str]:
        """All statements of one step, without its transaction; no id is drawn without a sampler."""
        out = [*self.begin(program, function), *self.statements(function)]
        if sampler is not None:
            out += self.draw(function, sampler)
        return [*out, self.finish(sampler)]

    def draw(self, function: Function, sampler: Function) -> list[str]:
        """Draw from the logits that ``function`` left, and append the ids."""
        return [*self.sample_inputs(sampler, output(function, "logits")), *self.statements(sampler),
                self.append_drawn(sampler)]  # fmt: skip

    def _temporary(self, table_name: str, query: exp.Select) -> list[str]:
        """Fill a temporary table with the rows of a query."""
        if not self.emptied:
            return [self.replace_temporary(table_name, query)]
        return [self.delete(table_name), self.insert_query(table_name, query.named_selects, query, None)]

    def replace_temporary(self, table_name: str, query: exp.Expr) -> str:
        """``CREATE OR REPLACE TEMPORARY TABLE … AS`` a query."""
        return self.text(exp.Create(this=table(table_name), kind="TABLE", replace=True, expression=query,
                                    properties=exp.Properties(expressions=[exp.TemporaryProperty()])))  # fmt: skip

    def _fill(self, spec: TableSpec, query: exp.Select, values: Sequence[exp.Expr]) -> list[str]:
        columns = [named(exp.Cast(this=v, to=self.column_type(c.type, None)), c.name)
                   for v, c in zip(values, spec.columns, strict=True)]  # fmt: skip
        return self._temporary(spec.name, query.select(*columns, copy=False))


def _cast(value: exp.Expr, column: Column) -> exp.Expr:
    return named(exp.Cast(this=value, to=sql_type(column.type)), column.name)


def function_input(function: Function, source: str) -> TableSpec:
    """The input table of an argument.

    Raises
    ------
    ValueError
        If the function has no such argument.
    """
    for spec in function.inputs:
        if spec.source == source:
            return spec
    raise ValueError(f"the function {function.name} has no argument {source}")


def output(function: Function, source: str) -> TableSpec:
    """The result table of an output.

    Raises
    ------
    ValueError
        If the function has no such result.
    """
    for spec in function.outputs:
        if spec.source == source:
            return spec
    raise ValueError(f"the function {function.name} has no result {source}")


def states(program: Program) -> list[TableSpec]:
    """The state tables of all functions, each once."""
    found = {spec.name: spec for f in program.functions.values() for spec in f.states}
    return list(found.values())
