"""Hugging Face folders with safetensors weights, read slice by slice without torch.

A folder is what ``save_pretrained`` writes: ``config.json``, ``model.safetensors`` or shards with
``model.safetensors.index.json``, and perhaps ``tokenizer.json`` and ``generation_config.json``. Opening one reads
and checks the headers only. The file format: https://github.com/huggingface/safetensors#format.

Slices are read with plain file reads, not through a memory map: pages of a map count as memory of the process, and
a file that is cut short while it is mapped kills the process.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import attrs
import numpy as np

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
MAX_HEADER = 100_000_000
"""Longest header that the format allows."""
FULL_HASH_BYTES = 256 << 20
"""Checkpoints up to this size enter their fingerprint byte by byte."""
_SAMPLES, _SAMPLE_BYTES = 16, 4096

_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
_READABLE: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


class CheckpointError(Exception):
    """A checkpoint is missing, damaged or not what the model needs; the message is one clear sentence."""


@attrs.frozen
class TensorInfo:
    """One stored tensor.

    Attributes
    ----------
    name
        Its name in the checkpoint.
    dtype
        The format's name of its type (``F32``, ``BF16``, …).
    shape
        Its extents.
    file
        The file that holds it.
    offset, nbytes
        Where in the file its bytes lie.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    nbytes: int


@attrs.frozen
class _File:
    path: Path
    size: int
    header: bytes
    tensors: tuple[TensorInfo, ...]


@attrs.frozen
class Checkpoint:
    """An opened checkpoint folder; see :meth:`open`.

    Attributes
    ----------
    folder
        The folder.
    tensors
        All stored tensors by name, in the order of files and offsets.
    config
        The content of ``config.json``.
    generation_config
        The content of ``generation_config.json``, ``{}`` without one.
    tokenizer_path
        The ``tokenizer.json``, None without one.
    tokenizer_config
        The content of ``tokenizer_config.json``, ``{}`` without one.
    chat_template
        The content of ``chat_template.jinja``, None without one.
    """

    folder: Path
    tensors: Mapping[str, TensorInfo]
    config: Mapping[str, Any]
    generation_config: Mapping[str, Any]
    tokenizer_path: Path | None
    tokenizer_config: Mapping[str, Any]
    chat_template: str | None
    _files: tuple[_File, ...]

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Checkpoint:
        """Read and check the headers of a folder's files.

        Raises
        ------
        CheckpointError
            If the folder or a file is missing, cut short or malformed.
        """
        root = Path(folder)
        if not root.is_dir():
            raise CheckpointError(f"{root} is not a folder")
        config = _json_object(root / "config.json")
        if config is None:
            raise CheckpointError(f"{root} holds no config.json, so it is not a Hugging Face model folder")
        files = tuple(_read_header(path) for path in _weight_files(root))
        tensors: dict[str, TensorInfo] = {}
        for file in files:
            for info in file.tensors:
                if info.name in tensors:
                    raise CheckpointError(
                        f"the tensor {info.name} is stored twice: in {tensors[info.name].file.name}, {file.path.name}"
                    )
                tensors[info.name] = info
        _check_index(root, tensors)
        tokenizer = root / "tokenizer.json"
        generation = _json_object(root / "generation_config.json")
        return cls(root, tensors, config, generation or {}, tokenizer if tokenizer.is_file() else None,
                   _json_object(root / "tokenizer_config.json") or {}, _text(root / "chat_template.jinja"),
                   files)  # fmt: skip

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a stored tensor."""
        return self.info(name).shape

    def info(self, name: str) -> TensorInfo:
        """What is known of a stored tensor.

        Raises
        ------
        CheckpointError
            If there is none of that name.
        """
        if name not in self.tensors:
            raise CheckpointError(f"the checkpoint {self.folder} has no tensor {name}")
        return self.tensors[name]

    def read(self, name: str, row_start: int = 0, row_stop: int | None = None) -> np.ndarray:
        """Rows ``row_start … row_stop-1`` of a tensor's first axis as float32; a scalar is read whole.

        Memory is needed for the rows asked for only. float16 and bfloat16 are widened, which is exact.

        Raises
        ------
        CheckpointError
            If the tensor is missing or no float tensor, the rows are outside of it, or the file has changed.
        """
        info = self.info(name)
        if info.dtype not in _READABLE:
            raise CheckpointError(_unreadable(info))
        rows = info.shape[0] if info.shape else 1
        stop = rows if row_stop is None else row_stop
        if not 0 <= row_start <= stop <= rows:
            raise CheckpointError(f"the rows {row_start} to {stop} are outside of the {rows} rows of the tensor {name}")
        stored = _READABLE[info.dtype]
        per_row = math.prod(info.shape[1:])
        count = (stop - row_start) * per_row
        try:
            raw = np.fromfile(info.file, stored, count, offset=info.offset + row_start * per_row * stored.itemsize)
        except OSError as error:
            raise CheckpointError(f"{info.file} cannot be read: {error.strerror}") from error
        if raw.size != count:
            raise CheckpointError(f"{info.file} was cut short while it was in use: the tensor {name} is incomplete")
        if info.dtype == "BF16":
            # A bfloat16 is the upper half of a float32.
            wide = (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
        else:
            wide = raw.astype(np.float32, copy=False)
        return wide.reshape((stop - row_start, *info.shape[1:]) if info.shape else ())

    def resolve(
        self,
        wanted: Mapping[str, tuple[int, ...]],
        tied: Mapping[str, str] | None = None,
        base_prefix: str = "model.",
    ) -> dict[str, str]:
        """The stored name of each tensor that a model needs.

        A name is looked up as it is, then under its tied aliases, then each of these with or without the base
        prefix (checkpoints of the bare model lack it).

        Parameters
        ----------
        wanted
            Name in the model to shape.
        tied
            Alias to canonical name.
        base_prefix
            Prefix of the base model's parameters in the full model.

        Raises
        ------
        CheckpointError
            If a tensor is missing, of another shape, or of a type that cannot be read.
        """
        found: dict[str, str] = {}
        missing: list[str] = []
        for name, shape in wanted.items():
            aliases = [name, *(alias for alias, owner in (tied or {}).items() if owner == name)]
            bare = [a.removeprefix(base_prefix) if a.startswith(base_prefix) else base_prefix + a for a in aliases]
            stored = next((candidate for candidate in [*aliases, *bare] if candidate in self.tensors), None)
            if stored is None:
                missing.append(name)
                continue
            info = self.tensors[stored]
            if info.shape != tuple(shape):
                raise CheckpointError(
                    f"the tensor {stored} has the shape {list(info.shape)}, the model needs {list(shape)}"
                )
            if info.dtype not in _READABLE:
                raise CheckpointError(
                    f"the tensor {stored} has the type {info.dtype}: only F32, F16 and BF16 can be read"
                )
            found[name] = stored
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise CheckpointError(f"the checkpoint {self.folder} lacks the tensor {missing[0]}{more}")
        return found

    def fingerprint(self) -> str:
        """SHA-256 of the weights: sizes and headers of all files, and their bytes.

        Up to :data:`FULL_HASH_BYTES` all bytes count. Beyond, 16 blocks of 4 KiB spread evenly over each tensor,
        both ends included: training, conversion and quantisation change every tensor throughout, and reading
        gigabytes before each run would cost more than it protects. Names of files and of the folder do not count.
        """
        digest = hashlib.sha256()
        whole = self._is_small()
        for file in self._files:
            digest.update(struct.pack("<QQ", file.size, len(file.header)))
            digest.update(file.header)
            try:
                with file.path.open("rb") as stream:
                    for offset, count in _whole_blocks(file) if whole else _sample_blocks(file):
                        stream.seek(offset)
                        digest.update(stream.read(count))
            except OSError as error:
                raise CheckpointError(f"{file.path} cannot be read: {error.strerror}") from error
        return digest.hexdigest()

    def stamp(self) -> str:
        """The fingerprint, and where that takes samples when the files were last written: changes with any edit."""
        files = [] if self._is_small() else [path.stat() for path in (file.path for file in self._files)]
        return " ".join([self.fingerprint(), *(f"{s.st_size}:{s.st_mtime_ns}:{s.st_ino}" for s in files)])

    def _is_small(self) -> bool:
        return sum(file.size for file in self._files) <= FULL_HASH_BYTES


def _unreadable(info: TensorInfo) -> str:
    return f"the tensor {info.name} has the type {info.dtype}: only F32, F16 and BF16 can be read"


def _whole_blocks(file: _File) -> Iterator[tuple[int, int]]:
    start = 8 + len(file.header)
    for offset in range(start, file.size, 1 << 20):
        yield offset, 1 << 20


def _sample_blocks(file: _File) -> Iterator[tuple[int, int]]:
    for info in file.tensors:
        last = max(info.nbytes - _SAMPLE_BYTES, 0)
        for at in sorted({last * i // (_SAMPLES - 1) for i in range(_SAMPLES)}):
            yield info.offset + at, min(_SAMPLE_BYTES, info.nbytes)


def _weight_files(root: Path) -> list[Path]:
    """The files of a folder that hold weights, in a fixed order."""
    index = _json_object(root / INDEX_NAME)
    if index is None:
        single = root / SINGLE_NAME
        if single.is_file():
            return [single]
        others = sorted(p.name for p in root.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".gguf"})
        hint = f"; {others[0]} must be converted to safetensors first" if others else ""
        raise CheckpointError(f"{root} holds neither {SINGLE_NAME} nor {INDEX_NAME}{hint}")
    names = sorted(set(_weight_map(root / INDEX_NAME, index).values()))
    paths = [root / name for name in names]
    for path in paths:
        if not path.is_file():
            raise CheckpointError(f"the shard {path.name} that {INDEX_NAME} names is missing from {root}")
    return paths


def _weight_map(path: Path, index: Mapping[str, Any]) -> dict[str, str]:
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path} has no weight_map")
    for file in weight_map.values():
        if not isinstance(file, str) or Path(file).name != file or file in {"", ".", ".."} or "\\" in file:
            raise CheckpointError(f"{path} names the shard {file!r}, which is not the name of a file beside it")
    return weight_map


def _check_index(root: Path, tensors: Mapping[str, TensorInfo]) -> None:
    """Whether every tensor lies in the shard that the index names."""
    index = _json_object(root / INDEX_NAME)
    if index is None:
        return
    for name, file in _weight_map(root / INDEX_NAME, index).items():
        if name not in tensors or tensors[name].file.name != file:
            raise CheckpointError(f"{INDEX_NAME} promises the tensor {name} in {file}, which does not hold it")


def _json_object(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None if there is no such file."""
    try:
        content = json.loads(path.read_bytes())
        json.dumps(content, ensure_ascii=False).encode("utf-8")  # halves of surrogate pairs are no text
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} is not valid JSON") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} must hold a JSON object, not a {type(content).__name__}")
    return content


def _text(path: Path) -> str | None:
    """The content of a text file, None if there is no such file."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def _read_header(path: Path) -> _File:
    """Read and check the header of a safetensors file: eight bytes of length, JSON, then the data without gaps."""

    def bad(reason: str) -> NoReturn:
        raise CheckpointError(f"{path} is not a valid safetensors file: {reason}")

    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else None
            if length is None:
                bad(f"it has only {size} bytes")
            if length > MAX_HEADER:
                bad(f"its header claims {length} bytes")
            if length > size - 8:
                bad("it ends within its header; the file is cut short")
            header = stream.read(length)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if len(header) != length:
        bad("it ends within its header; the file is cut short")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) != len(pairs):
            bad("its header has a key twice")
        return out

    try:
        entries = json.loads(header.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        bad("its header is not valid JSON")
    if not isinstance(entries, dict):
        bad("its header is not a JSON object")
    entries.pop("__metadata__", None)
    data = 8 + len(header)
    spans = sorted((_span(name, entry, bad), name) for name, entry in entries.items())
    tensors: list[TensorInfo] = []
    end = 0
    for (begin, stop, dtype, shape), name in spans:
        if begin != end:
            bad(f"the bytes of the tensor {name} {'overlap others' if begin < end else 'follow a gap'}")
        end = stop
        tensors.append(TensorInfo(name, dtype, shape, path, data + begin, stop - begin))
    if data + end > size:
        bad(f"it has {size} bytes where its header promises {data + end}; the file is cut short")
    if data + end < size:
        bad(f"{size - data - end} bytes at its end belong to no tensor")
    return _File(path, size, header, tuple(tensors))


def _span(name: str, entry: Any, bad: Any) -> tuple[int, int, str, tuple[int, ...]]:
    """Begin, end, dtype and shape of one header entry."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        bad(f"the entry of the tensor {name} is incomplete")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        bad(f"the tensor {name} has the unknown type {dtype!r}")
    if not _naturals(shape):
        bad(f"the tensor {name} has no valid shape")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        bad(f"the tensor {name} has no valid data_offsets")
    if (offsets[1] - offsets[0]) * 8 != math.prod(shape) * _BITS[dtype]:
        bad(f"the tensor {name} has {offsets[1] - offsets[0]} bytes, which does not fit {dtype}{shape}")
    return offsets[0], offsets[1], dtype, tuple(shape)


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(_is_natural(value) for value in values)


def _is_natural(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
