"""PostgreSQL's tables, with pgvector and without: functions, limits, costs and what its values mean."""

from __future__ import annotations

from irsql.ir.target import Capability, Costs, LayoutDefaults, Limits, Target, ValueContract
from irsql.targets.base import Backend
from irsql.targets.postgres_expressions import PostgresEmitter

_SCALAR_ROWS = "element-wise operators run on scalar rows"
_MACHINE, _DATE = "AMD EPYC, 2 cores, Linux", "2026-11-26"
_FUNCTIONS = {
    "exp": "EXP", "log": "LN", "sqrt": "SQRT", "sin": "SIN", "cos": "COS", "tanh": "TANH", "abs": "ABS",
    "floor": "FLOOR", "ceil": "CEIL", "trunc": "TRUNC", "round": "ROUND", "sign": "SIGN", "isnan": "=", "pow": "POWER",
}  # fmt: skip
# PostgreSQL itself: 1,600 columns of a table, 1,664 of a select, 8 kB a row (a double has 8 bytes), 100 arguments
_LIMITS = Limits(max_columns=1600, max_expression_depth=64, max_sum_terms=1000, max_function_args=100, max_lane=16_000)
_CONTRACT = ValueContract(
    float32=False, sum_of_f32_is_f64=True, underflow_raises=True, overflow_raises=True, exp_overflow_raises=True,
    integer_division="truncates", mod_sign="dividend", division_by_zero="error", folds_quoted_case=False,
    domain_raises=True,
)  # fmt: skip
_VECTORS = ("vector", "halfvec")
_OPTIONS = {"step-tables": "emptied", "shared-selects": "tables", "packed-operands": "inline-of-tables"}

TARGET = Target(
    name="postgres", version="16", dialect="postgres", functions=_FUNCTIONS, limits=_LIMITS,
    costs=Costs(machine=_MACHINE, date=_DATE, mac_ns={"wide": 9.822, "wsum": 20.29}, byte_ns=0.4863, row_ns=0.0,
                group_ns=200.8, statement_ms=0.0, term_us=0.7066, sum_us=0.0, pack_ns=332.9, unpack_ns=0.0),
    layout=LayoutDefaults(carriers=()), contract=_CONTRACT, options=_OPTIONS,
)
"""Without an extension: scalar rows and wide columns."""

def _with_vectors(name: str) -> Target:
    """With pgvector: products are those of its vectors. Those of 16 bits are less exact: they are not chosen from."""
    return Target(
        name=name, version="0.7", dialect="postgres",
        capabilities=(
            *(Capability(op, c) for c in _VECTORS for op in ("dot", "pack", "unpack", "cast", "slice", "concat")),
            *(Capability(op, c, "lowered", "unnest", _SCALAR_ROWS) for c in _VECTORS
              for op in ("map", "add", "mul", "scale", "sum")),
        ),
        functions={**_FUNCTIONS, **{f"dot.{c}": "INNER_PRODUCT" for c in _VECTORS}}, limits=_LIMITS,
        costs=Costs(machine=_MACHINE, date=_DATE, mac_ns={"vector": 0.0, "wide": 473.8, "wsum": 21.55}, byte_ns=0.5794,
                    row_ns=114.6, group_ns=124.1, statement_ms=0.05943, term_us=0.2519, sum_us=0.0, pack_ns=597.4,
                    unpack_ns=0.0, call_ns=21.17),
        layout=LayoutDefaults(carriers=("vector",)), contract=_CONTRACT, options=_OPTIONS,
    )



POSTGRES = Backend(TARGET, PostgresEmitter, "irsql.targets.postgres:Postgres",
                   "irsql.targets.postgres_shell:PostgresShell", {
    # A join of hundreds of columns that stays apart from their product is written to disk; a GROUP BY over them takes
    # twice as long as one over the product.
    "inline-ctes": "max-ops=10000 group-columns=64",
})
PGVECTOR = Backend(_with_vectors("pgvector"), PostgresEmitter, "irsql.targets.postgres:PgVector",
                   "irsql.targets.postgres_shell:PgVectorShell")
PGVECTOR_HALF = Backend(_with_vectors("pgvector-half"), PostgresEmitter, "irsql.targets.postgres:PgVector",
                        "irsql.targets.postgres_shell:PgVectorShell", {"select-layout": "carrier=halfvec"})
"""Products with weights are those of vectors of 16 bits."""
