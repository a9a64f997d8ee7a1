"""The command line programs of irsql.

The folder lies at the root of the repository and is imported as ``irsql.tools``. Importing it as ``tools``, possible
when the root is on the path, would create a second copy of every class, so it is refused.
"""

if __name__ != "irsql.tools":
    raise ImportError("import irsql.tools, not tools")
