"""Which folder holds which package; everything else is in pyproject.toml.

setuptools discovers no packages under a renamed prefix, and pyproject.toml can only list them: a list that is wrong as
soon as somebody adds a folder. docs/decisions/packaging.md has the reasons for the renamed folders.
"""

from setuptools import find_packages, setup

# The same three folders are linked into irsql/; the mapping is what wheels and source distributions are built from.
LINKED = ("dialects", "passes", "tools")

setup(
    package_dir={"irsql": "irsql", **{f"irsql.{folder}": folder for folder in LINKED}},
    packages=[
        "irsql",
        *(f"irsql.{name}" for name in find_packages("irsql", exclude=[p for f in LINKED for p in (f, f"{f}.*")])),
        *(f"irsql.{folder}" for folder in LINKED),
        *(f"irsql.{folder}.{name}" for folder in LINKED for name in find_packages(folder)),
    ],
)
