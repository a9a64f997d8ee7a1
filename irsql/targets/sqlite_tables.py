"""SQLite's tables: scalar rows and wide columns, the functions of its mathematical library, its limits.

It has no vectors, so there is no carrier and no lane op: products stand in columns.
"""

from __future__ import annotations

from irsql.ir.target import Costs, LayoutDefaults, Limits, Target, ValueContract
from irsql.targets.base import Backend
from irsql.targets.sqlite_expressions import SQLiteEmitter

TARGET = Target(
    name="sqlite", version="3.40", dialect="sqlite",
    functions={"exp": "EXP", "log": "LN", "sqrt": "SQRT", "sin": "SIN", "cos": "COS", "tanh": "TANH", "abs": "ABS",
               "floor": "FLOOR", "ceil": "CEIL", "trunc": "TRUNC", "sign": "SIGN", "isnan": "ISNULL", "pow": "POW"},
    # SQLite itself: 2,000 columns, 64 tables a join, depth 1,000, 127 arguments
    limits=Limits(max_columns=2000, max_joins=60, max_expression_depth=64, max_sum_terms=1000,
                  max_function_args=100),
    costs=Costs(machine="AMD EPYC, 2 cores, Linux", date="2026-11-26", mac_ns={"wide": 26.24, "wsum": 56.14},
                byte_ns=1.447, row_ns=293.6, group_ns=0.0, statement_ms=0.0, term_us=0.0, sum_us=0.0, pack_ns=775.8,
                unpack_ns=0.0),
    layout=LayoutDefaults(carriers=()),
    contract=ValueContract(float32=False, sum_of_f32_is_f64=True, has_nan=False, nan_greatest=False,
                           integer_division="truncates", mod_sign="dividend", division_by_zero="null", boolean=False),
    options={"step-tables": "emptied", "shared-selects": "tables"},
)

SQLITE = Backend(TARGET, SQLiteEmitter, "irsql.targets.sqlite:SQLite", "irsql.targets.sqlite_shell:SQLiteShell", {
    # A row with several keys stands whole in its page up to a quarter of it: 900 doubles, of the driver's 32 kB.
    "select-layout": "wide-columns=900",
    # A product of 900 columns is one select; a GROUP BY sorts every column that is read below it.
    "inline-ctes": "max-ops=10000 group-columns=64",
})
