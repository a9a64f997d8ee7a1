"""``rel``: types and layouts (:mod:`.types`), ops (:mod:`.ops`), interpreter (:mod:`.interp`)."""

import irsql.dialects.rel.interp  # noqa: F401  # pyright: ignore[reportUnusedImport]
from irsql.dialects.rel.ops import *  # noqa: F403
from irsql.dialects.rel.types import *  # noqa: F403
