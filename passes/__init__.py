"""Compiler passes, one a file, grouped by the stage they work on.

The folder lies at the root of the repository and is imported as ``irsql.passes``. Importing it as ``passes``, possible
when the root is on the path, would create a second copy of every class, so it is refused.
"""

if __name__ != "irsql.passes":
    raise ImportError("import irsql.passes, not passes")
