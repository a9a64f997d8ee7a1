"""Which folder holds which package; everything else is in pyproject.toml.

setuptools discovers no packages under a renamed prefix, and pyproject.toml can only list them: a list that is wrong as
soon as somebody adds a folder. docs/decisions/packaging.md has the reasons for the renamed folders.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
LINKED = ("dialects", "passes", "tools")


def link(folder: str) -> None:
    """Make ``irsql/FOLDER`` a relative link to the folder at the root, for editable installs and type checkers.

    The links are made here and not committed: git without ``core.symlinks``, archives and patches turn a committed link
    into a text file that holds its target, and then nothing imports. Such a leftover is replaced.
    """
    path = ROOT / "irsql" / folder
    target = Path("..") / folder
    if path.is_symlink() and path.readlink() == target:
        return
    if path.is_symlink() or path.is_file():
        path.unlink()
    try:
        path.symlink_to(target, target_is_directory=True)
    except OSError as error:  # a file system or an account without links: wheels and import-hook installs still work
        print(f"irsql: no link {path} -> {target}: {error}; see docs/decisions/packaging.md")


for folder in LINKED:
    link(folder)

# The mapping is what wheels and source distributions are built from.
setup(
    package_dir={"irsql": "irsql", **{f"irsql.{folder}": folder for folder in LINKED}},
    packages=[
        "irsql",
        *(f"irsql.{name}" for name in find_packages("irsql", exclude=[p for f in LINKED for p in (f, f"{f}.*")])),
        *(f"irsql.{folder}" for folder in LINKED),
        *(f"irsql.{folder}.{name}" for folder in LINKED for name in find_packages(folder)),
    ],
)
