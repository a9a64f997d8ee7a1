"""``duckdb-wide``: DuckDB used as an engine without vectors would be, one number a column.

A target is data. This one has no vector to put numbers into (no carrier in ``layout``, no lane op in ``capabilities``),
so the compiler keeps to rows and columns; functions, limits and values are DuckDB's, and DuckDB runs it. What vectors
gain is the difference.
"""

from irsql.ir.target import Target
from irsql.targets.base import Backend
from irsql.targets.duckdb_tables import DUCKDB

ENGINE = DUCKDB.target
TARGET = Target(
    name="duckdb-wide",
    version=ENGINE.version,
    dialect=ENGINE.dialect,
    functions=ENGINE.functions,
    limits=ENGINE.limits,
    costs=ENGINE.costs,
    contract=ENGINE.contract,
)
BACKEND = Backend(TARGET, DUCKDB.emitter, DUCKDB.driver, DUCKDB.shell)
