"""``python -m irsql.tools.bench``: speed of the text form, compiling, loading, prefill and decode.

What is compiled has the shape of Llama-3-8B. What is loaded and run is a synthetic checkpoint of the shape of
Llama-3.2-1B with 8 layers and random weights. It and its database (about 5 GB together) stay in the work folder; the
checkpoint is reused, and so is the database where ``--only`` leaves out ``load``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, get_args

import attrs

from irsql.tools.bench import synthetic
from irsql.tools.bench.synthetic import Shape
from irsql.tools.machine import machine

PARTS = ("ir-text", "compile", "load", "decode")
SHAPES = {"llama-3.2-1b": Shape(),
          "tiny": Shape(hidden=64, intermediate=176, heads=4, kv_heads=2, head_dim=16, vocab=512, context=1024)}


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    assert __doc__ is not None
    text = __doc__.partition(":")[2].replace("`", "").strip()
    parser = argparse.ArgumentParser("python -m irsql.tools.bench", description=text,
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS),
                        help="what to run, of ir-text, compile, load and decode (with prefill)")
    parser.add_argument("--workdir", type=Path, metavar="DIR", default=Path(tempfile.gettempdir()) / "irsql-bench",
                        help="where the checkpoint and its database are kept")
    parser.add_argument("--shape", choices=SHAPES, default="llama-3.2-1b", help="shape of the model")
    parser.add_argument("--layers", type=int, default=8, help="number of layers")
    parser.add_argument("--dtype", choices=get_args(synthetic.DType), default="bf16", help="type of the weights")
    parser.add_argument("--prefill", type=int, default=128, help="tokens of the measured prefill")
    parser.add_argument("--contexts", default="128,512", help="lengths of the sequence at which decode is measured")
    parser.add_argument("--tokens", type=int, default=8, help="decoded tokens the median is taken of")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of the engine")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go; bench.json in the work folder")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks and give the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    parts = [p.strip() for p in args.only.split(",")]
    if unknown := [p for p in parts if p not in PARTS]:
        parser.error(f"--only: {', '.join(unknown)} is none of {', '.join(PARTS)}")
    shape = attrs.evolve(SHAPES[args.shape], layers=args.layers)
    result: dict[str, Any] = {"date": date.today().isoformat(), "machine": machine(), "threads": args.threads,
                              "shape": attrs.asdict(shape), "dtype": args.dtype,
                              "has_goals": (args.shape, args.layers) == ("llama-3.2-1b", 8)}
    if "ir-text" in parts:
        from irsql.tools.bench import ir_text

        ir_text.main()
    if "compile" in parts:
        from irsql.tools.bench import compilation

        result["compile"] = compilation.measure()
    if {"compile", "load", "decode"} & set(parts):
        from irsql.tools.bench.report import show

        args.workdir.mkdir(parents=True, exist_ok=True)
        if "load" in parts or "decode" in parts:
            _models(args, shape, parts, result)
        show(result)
        path = args.json or args.workdir / "bench.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


def _models(args: argparse.Namespace, shape: Shape, parts: Sequence[str], result: dict[str, Any]) -> None:
    from irsql.tools.bench import decode, load

    name = f"{args.shape}-{shape.layers}-{args.dtype}"
    folder, database = args.workdir / name, args.workdir / f"{name}.db"
    if synthetic.write(folder, shape, dtype=args.dtype):
        database.unlink(missing_ok=True)
    if "load" in parts or not database.exists():
        needed = 3 * synthetic.source_bytes(folder)
        if shutil.disk_usage(args.workdir).free < needed:
            raise SystemExit(f"{args.workdir} needs {needed / 1e9:.0f} GB of free space: give another --workdir")
        result["load"] = load.measure(folder, database)
    if "decode" in parts:
        contexts = [int(c) for c in args.contexts.split(",")]
        speeds, facts = decode.measure(database, shape, prefill=args.prefill, contexts=contexts, tokens=args.tokens,
                                       threads=args.threads)
        result["steps"] = {n: attrs.asdict(s) | {"rate": s.rate(args.threads), "rate_without_head":
                                                 s.rate_without_head(args.threads)} for n, s in speeds.items()}
        result |= facts


if __name__ == "__main__":
    sys.exit(main())
