"""Hostile IR text: dumps of every stage, damaged token by token, through ``irsql-opt``."""

from __future__ import annotations

import contextlib
import functools
import io
import random
import re
import tempfile
from pathlib import Path

from irsql.tools import irsql_opt
from tests.models.staged import staged

TOKEN = re.compile(r"\s+|[%#!@^]?[\w$.]+|\"(?:[^\"\\]|\\.)*\"|.", re.DOTALL)
STRANGE = (
    "", "{", "}", "(", ")", "[", "]", "<", ">", ",", "0", "-1", "99999999999999999999", "1e999", "unit", "%x", "i1",
    "f32", "tensor<", '#irsql.dim<"S">', '""', "[" * 2000, "({" * 2000, "affine_map<() -> (", "\0", "->", "=",
    "!rel.rel<[], [], false, unit>", "tensor<0xf32>", '#rel.key<"s", -1>',
)  # fmt: skip
"""What a token is replaced by."""


PASSES = {
    "tir": "canonicalise,cse,fold-constants,fuse-elementwise,dce", "rel": "prune-columns,cse,dce",
    "tiled": "sink-unpack,cancel-pack,eliminate-joins,legalise", "sql": "inline-ctes,unhash-joins,materialise",
}  # fmt: skip
"""Passes that take each stage."""


@functools.cache
def dumps() -> dict[str, Path]:
    """The last dump of every stage of two models, by model and stage."""
    out: dict[str, Path] = {}
    for model in ("mlp", "llama fused"):
        out |= {f"{model} {stage}": path for _, stage, path in staged(model).dumps}
    return out


def damage_text(rng: random.Random, text: str) -> str:
    """A text with up to three tokens, or runs of tokens, removed, doubled, swapped or replaced."""
    tokens = TOKEN.findall(text)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(tokens))
        end = min(len(tokens), at + rng.choice([1, 1, 1, 2, 5, 30]))
        other = rng.randrange(len(tokens))
        match rng.choice([0, 1, 2, 3, 3, 3, 4]):
            case 0:
                del tokens[at:end]
            case 1:
                tokens[at:at] = tokens[at:end]
            case 2:
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens[at] = rng.choice([t for t in tokens if _class(t) == _class(tokens[at])])
            case _:
                tokens[at] = rng.choice(STRANGE)
        tokens = [t for t in tokens if t] or [" "]  # something strange may be nothing at all
    return "".join(tokens)


def _class(token: str) -> str:
    """Numbers, names, values, strings, and every sign for itself."""
    return "0" if token[0].isdigit() else "a" if token[0].isalpha() else token[0]


def opt(text: str, beside: Path, *options: str) -> tuple[int, str]:
    """Exit code and standard error of ``irsql-opt`` on a text, which lies beside a dump's constants."""
    err = io.StringIO()
    with tempfile.TemporaryDirectory() as scratch:
        for constants in beside.parent.glob(f"{beside.stem}*"):
            if constants != beside and constants.is_file():
                (Path(scratch) / constants.name).write_bytes(constants.read_bytes())
        file = Path(scratch) / beside.name
        file.write_text(text, "utf-8", errors="surrogatepass")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            code = irsql_opt.main([str(file), "-o", str(Path(scratch) / "out.mlir"), *options])
        left = {p.name for p in Path(scratch).iterdir()}
        assert code == 0 or not any(name.startswith("out") or ".partial" in name for name in left), left
    return code, err.getvalue()


def diagnosed(text: str, beside: Path, *options: str) -> None:
    """Run ``irsql-opt`` on a text: it works, or says why not.

    Raises
    ------
    AssertionError
        If it does something else; other exceptions come through.
    """
    code, err = opt(text, beside, *options)
    assert code in (0, 1)
    assert "Traceback" not in err
    if code:
        assert "error: " in err, err
