"""``tir``: ops (:mod:`irsql.dialects.tir.ops`) and interpreter (:mod:`irsql.dialects.tir.interp`)."""

import irsql.dialects.tir.interp  # noqa: F401  # pyright: ignore[reportUnusedImport]
from irsql.dialects.tir.ops import *  # noqa: F403
