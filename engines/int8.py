"""Quantised generators: an int8 twin of an f32 generator, made by `calibration.int8`, found by the f32 file's sha256.

In: a generator. Out: its twin's path, if there is one. The twin's name holds the first digits of the sha256 of what it
was made from, so a generator that was trained further never runs as the int8 of its former self.
"""

from __future__ import annotations

from pathlib import Path

from engines.cache import cache_folder

_DIGITS = 12


def int8_name(generator: str, model_sha256: str) -> str:
    """File name of the twin of the generator with this name (without suffix) and content."""
    return f"{generator}-{model_sha256[:_DIGITS]}.int8.onnx"


def int8_twin(model: Path, model_sha256: str) -> Path | None:
    """The twin beside the generator or in the user's cache, or None."""
    name = int8_name(model.stem, model_sha256)
    return next((p for p in (model.with_name(name), cache_folder() / "int8" / name) if p.is_file()), None)
