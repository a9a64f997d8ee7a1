"""The dialects: operations, types and interpreters of every stage.

The folder lies at the root of the repository and is imported as ``irsql.dialects``. Importing it as ``dialects``,
possible when the root is on the path, would create a second copy of every class, so it is refused.
"""

if __name__ != "irsql.dialects":
    raise ImportError("import irsql.dialects, not dialects")
