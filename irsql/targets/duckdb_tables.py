"""DuckDB's tables: what it can do inside a lane, what its functions are called, its limits and measured costs."""

from __future__ import annotations

import os

from irsql.ir.target import Capability, Costs, LayoutDefaults, Limits, Target, ValueContract
from irsql.targets.base import Backend
from irsql.targets.expressions import Emitter

_NO_LANE_ARITHMETIC = "FLOAT[n] + FLOAT[n] concatenates; element-wise operators run on scalar rows"

TARGET = Target(
    name="duckdb", version="2.0", dialect="duckdb",
    capabilities=(
        Capability("dot", "list", "native"),
        Capability("dot", "array", "native"),
        Capability("pack", "list", "native"),
        Capability("pack", "array", "native"),
        Capability("unpack", "list", "native"),
        Capability("unpack", "array", "native"),
        Capability("cast", "list", "native"),
        Capability("slice", "list", "native"),
        Capability("concat", "list", "native"),
        Capability("sum", "list", "native"),
        Capability("map", "list", "lowered", "unnest"),
        Capability("add", "list", "lowered", "unnest", _NO_LANE_ARITHMETIC),
        Capability("mul", "list", "lowered", "unnest", _NO_LANE_ARITHMETIC),
        Capability("scale", "list", "lowered", "unnest", _NO_LANE_ARITHMETIC),
    ),
    functions={"exp": "EXP", "log": "LN", "sqrt": "SQRT", "sin": "SIN", "cos": "COS", "tanh": "TANH", "abs": "ABS",
               "floor": "FLOOR", "ceil": "CEIL", "trunc": "TRUNC", "round": "ROUND_EVEN", "sign": "SIGN",
               "isnan": "ISNAN", "rsqrt": "SQRT", "pow": "POWER", "argmax": "ARG_MAX", "argmin": "ARG_MIN",
               "dot.list": "LIST_INNER_PRODUCT",
               "dot.array": "ARRAY_INNER_PRODUCT"},
    limits=Limits(max_columns=1000, max_expression_depth=64, max_identifier_bytes=63),
    costs=Costs(machine="AMD EPYC, 2 cores, Linux", date="2026-11-26",
                mac_ns={"list": 0.3564, "array": 1.7, "wide": 9.4, "wsum": 1.657}, byte_ns=0.143, row_ns=0.0,
                group_ns=8.778, statement_ms=0.4607, term_us=33.39, sum_us=54.64, pack_ns=108.7,
                unpack_ns=0.0, call_ns=3.797, double_ns=0.1066),
    options={"packed-operands": "inline"},
    layout=LayoutDefaults(carriers=("list",), min_rows_per_core=2048, cores=min(os.cpu_count() or 1, 64),
                          chunks=32),
    contract=ValueContract(float32=True, sum_of_f32_is_f64=True, overflow_raises=True, nan_greatest=True,
                           integer_division="truncates", mod_sign="dividend", division_by_zero="ieee"),
)

DUCKDB = Backend(TARGET, Emitter, "irsql.targets.duckdb:DuckDB", "irsql.targets.duckdb_shell:DuckDBShell")
