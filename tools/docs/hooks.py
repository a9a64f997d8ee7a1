"""The mkdocs hooks that add the generated pages to a build (``hooks`` in mkdocs.yml)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from irsql.tools.docs import generate

pages = cache(generate.pages)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace each folder of the navigation (``Passes: passes/``) by its pages, the index first."""
    written = [p.relative_to(config.docs_dir).as_posix() for p in sorted(Path(config.docs_dir).rglob("*.md"))]
    known = sorted({*written, *pages()}, key=lambda path: (not path.endswith("index.md"), path))
    for item in config.nav or []:
        for title, folder in item.items() if isinstance(item, dict) else ():
            if isinstance(folder, str) and folder.endswith("/"):
                item[title] = [path for path in known if path.startswith(folder)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of dialects and passes."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
