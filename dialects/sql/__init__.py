"""``sql``: ops (:mod:`irsql.dialects.sql.ops`) and interpreter (:mod:`irsql.dialects.sql.interp`)."""

import irsql.dialects.sql.interp  # noqa: F401  # pyright: ignore[reportUnusedImport]
from irsql.dialects.sql.ops import *  # noqa: F403
