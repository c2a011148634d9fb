"""Weights that somebody has published become a style pack in the user's style folder.

    python -m engines.import_style face_paint_512_v2.pt --kind animegan2
    python -m engines.import_style network.onnx --kind onnx --name mine --licence "CC BY 4.0"

Comes in: a file of the user's. Goes out: a folder with `style.toml`, `background.onnx` and `preview.jpg`. Nothing is
downloaded, and nothing of it is part of this program: who made the weights decides what may be done with them. The file
is looked at as bytes before any library parses it; the pack is written only after it draws as the file does.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np

from engines.cache import write_together
from engines.engine import Engine, thread_count
from engines.picture_network import RANGES, as_generator
from engines.probe import Found, probe
from engines.reference import OnnxRuntimeEngine, open_session
from engines.verify import Trial, trial_pictures
from realtime.errors import LiveToonError, ModelFileError, UsageError
from realtime.settings import Pace
from realtime.source import open_source
from realtime.styles import load_style, user_style_folder
from realtime.styles.onnx_file import check_onnx
from realtime.stylize import GENERATOR_PIXELS
from realtime.types import Size
from realtime.watchdog import within

Say = Callable[[str], None]
WITHIN_S = 180.0
BUDGET_MS = 80.0  # for the whole frame; slower networks draw it smaller
LEAST_WANTED = 320 * 176  # pixels: smaller, a face is not to be known, however slow the network
DIFFERS = 2.0  # of 255, at most, between the file and the pack
_TIMED = Size(256, 256)
_PREVIEW = Size(480, 272)
_PREVIEW_T = 2.5  # seconds into the demo clip
_OPSET = 17


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of networks. pixels: the range of its numbers, None to find out. faces: whether it was made for faces,
    and draws them once more. licence: of the weights its authors publish; where: they do.
    """

    pixels: str | None
    bgr: bool
    faces: bool
    licence: str
    title: str
    where: str


KINDS = {
    "animegan2": Kind(
        "-1..1",
        False,
        True,
        "AnimeGANv2: for non-commercial use only, by its authors' licence",
        "AnimeGANv2: face_paint_512_v1, face_paint_512_v2, celeba_distill, paprika (.pt)",
        "bryandlee/animegan2-pytorch on GitHub",
    ),
    "animegan3": Kind(
        "-1..1",
        False,
        False,
        "AnimeGANv3: for non-commercial use only, by its authors' licence",
        "AnimeGANv3: landscapes, portraits, sketches (.onnx)",
        "TachibanaYoshino/AnimeGANv3 on GitHub",
    ),
    "cartoongan": Kind(
        "-1..1",
        True,
        False,
        "White-box Cartoonization: CC BY-NC-SA 4.0, for non-commercial use only",
        "White-box Cartoonization (.onnx made from its weights)",
        "SystemErrorWang/White-box-Cartoonization on GitHub",
    ),
    "onnx": Kind(None, False, False, "not stated", "any network that makes a picture of a picture (.onnx)", ""),
}


def import_style(
    file: Path,
    kind: Kind,
    name: str,
    folder: Path,
    say: Say,
    *,
    licence: str | None = None,
    pixels: str | None = None,
    bgr: bool = False,
) -> Path:
    """Makes the pack `folder`/`name` of the file and returns it.

    licence: of these weights, where it is known better. pixels, bgr: as `probe`. Raises `ModelFileError` for a file
    that cannot be used, `UsageError` for a pack that is there already or a package that is missing.
    """
    pack = folder / name
    if pack.exists():
        raise UsageError(f"There is a style in {pack} already; give another --name, or remove it.")
    for package in ("onnx", *(["torch"] if file.suffix != ".onnx" else [])):
        if find_spec(package) is None:
            raise UsageError(f"Importing {file.name} needs the package {package}; run python bootstrap.py --train.")
    import onnx

    with tempfile.TemporaryDirectory() as scratch:
        try:
            content = _content(file)
            network, session = onnx.load_from_string(content), open_session(content)
        except ModelFileError:
            raise
        except (OSError, ValueError, LiveToonError) as error:
            raise ModelFileError(f"{file} cannot be used: {str(error).rstrip('.')}.") from error
        except Exception as error:  # of protobuf and onnx, each its own
            raise ModelFileError(f"{file} is damaged or no ONNX file; get it again where it is published.") from error
        found = _found(file, lambda: probe(network, session, pixels=pixels or kind.pixels, bgr=bgr or kind.bgr))
        made = Path(scratch) / "background.onnx"
        made.write_bytes(as_generator(network, found.form, found.size, {}).SerializeToString(deterministic=True))
        ms, preview = _found(file, lambda: _checked(made, session, found))
        size = _TIMED if found.size is None else found.size
        wanted = GENERATOR_PIXELS if found.size else round(size.width * size.height * BUDGET_MS / max(ms, 1e-3))
        told = licence or kind.licence
        written = {
            "title": f"{name}: imported from {file.name}"[:120],
            "licence": told,
            "kind": "picture",
            **({} if kind.faces else {"face": "none"}),
            **({} if wanted >= GENERATOR_PIXELS else {"pixels": max(LEAST_WANTED, wanted)}),
        }
        write_together(
            {
                pack / "background.onnx": made.read_bytes(),
                pack / "preview.jpg": preview,
                pack / "style.toml": _toml(written).encode(),
            }
        )
    load_style(str(pack))
    form = found.form
    takes = f"{form.layout_in} {form.range_in}{' BGR' if form.bgr else ''}"
    at = "any size" if found.size is None else f"{found.size} only"
    say(
        f"{file.name}: {takes} to {form.layout_out} {form.range_out}, {at}, {ms:.0f} ms at {size} in ONNX Runtime here."
    )
    say(f"Licence: {told}. The pack is yours alone: pass it on only if whoever made the weights allows it.")
    return pack


def main(arguments: Sequence[str]) -> int:
    """The command line; returns the exit code."""
    try:
        given = _parser().parse_args(list(arguments))
        kind, file = KINDS[given.kind], Path(given.file)
        if not file.is_file():
            raise UsageError(f"There is no file {file}; name the weights that you have.")
        name = given.name or re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-") or "imported"
        if file.suffix != ".onnx" and given.kind != "animegan2":
            raise UsageError(f"{file} is no .onnx file; --kind {given.kind} takes nothing else.")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", name) or name == "none":
            raise UsageError(f"--name {name[:40]!r} is no name for a style: letters, digits, - and _, 40 at most.")
        pack = import_style(
            file, kind, name, user_style_folder(), _say, licence=given.licence, pixels=given.range, bgr=given.bgr
        )
    except LiveToonError as error:
        _say(str(error))
        return error.exit_code
    _say(f"It is in {pack}. Try it: python run.py --style {name}")
    return 0


def _content(file: Path) -> bytes:
    """The file's ONNX, made of PyTorch weights where it holds those."""
    if file.suffix == ".onnx":
        check_onnx(file)
        return file.read_bytes()
    import warnings

    import torch

    from engines.animegan2 import read_generator

    made = io.BytesIO()
    warnings.simplefilter("ignore")  # of the exporter, about itself
    torch.onnx.export(
        read_generator(file),
        (torch.zeros(1, 3, _TIMED.height, _TIMED.width),),
        made,
        input_names=["photo"],
        output_names=["drawing"],
        dynamic_axes={port: {2: "height", 3: "width"} for port in ("photo", "drawing")},
        opset_version=_OPSET,
        dynamo=False,
    )
    return made.getvalue()


def _found(file: Path, call: Callable[[], Any]) -> Any:
    """What `call` gives; a network may be anything, so that it is not waited for for ever."""
    try:
        return within(WITHIN_S, call)
    except TimeoutError:
        raise ModelFileError(f"{file} was not done within {WITHIN_S:.0f} s; it is too slow to be drawn with.") from None
    except LiveToonError as error:
        raise ModelFileError(f"{file} cannot be used. {error}") from error


def _checked(made: Path, session: Any, found: Found) -> tuple[float, bytes]:
    """The pack's network drawn like the file's: how long a run takes in milliseconds, and a preview as JPEG."""
    size = _TIMED if found.size is None else found.size
    Trial(made, size)  # raises where it gives nothing that can be shown
    with OnnxRuntimeEngine(made, size) as engine:
        picture = trial_pictures(size)[0]
        engine.run(picture)  # the first run makes room
        start, busy = time.perf_counter(), time.process_time()
        drawn = engine.run(picture)
        busy_s = (
            time.process_time() - busy
        ) / thread_count()  # less than the whole where other programs take part of it
        ms = min(time.perf_counter() - start, busy_s) * 1e3
        expected = _as_file(session, found, picture)
        difference = float(np.abs(drawn - expected).max())
        if difference > DIFFERS:
            raise ModelFileError(f"The pack would draw otherwise than the file, by {difference:.0f} of 255.")
    size = _PREVIEW if found.size is None else found.size
    with OnnxRuntimeEngine(made, size) as engine:
        preview = _preview(engine, size)
    return ms, preview


def _as_file(session: Any, found: Found, rgb: Any) -> Any:
    """What the file itself makes of an (h, w, 3) picture, in 0..255: numbers ordered here, without added nodes."""
    form = found.form
    order = slice(None, None, -1) if form.bgr else slice(None)
    (low, high), (least, most) = RANGES[form.range_in], RANGES[form.range_out]
    value = (rgb[..., order].astype(np.float32) / 255 * (high - low) + low)[None]
    value = value if form.layout_in == "nhwc" else value.transpose(0, 3, 1, 2)
    made = session.run([form.given], {form.taken: np.ascontiguousarray(value)})[0][0]
    made = made if form.layout_out == "nhwc" else made.transpose(1, 2, 0)
    return np.clip((made[..., order] - least) / (most - least) * 255, 0, 255)


def _preview(engine: Engine, size: Size) -> bytes:
    with open_source("demo", size=None, fps=None, pace=Pace.ALL, say=lambda _: None) as source:
        frame = source.read()
        while frame is not None and frame.t < _PREVIEW_T:
            frame = source.read()
    assert frame is not None
    drawn = engine.run(cv2.resize(frame.rgb, (size.width, size.height), interpolation=cv2.INTER_AREA))
    drawn = cv2.resize(drawn, (_PREVIEW.width, _PREVIEW.height), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1])


def _toml(values: dict[str, object]) -> str:
    """A basic string of TOML is one of JSON, once nothing but printable characters is in it."""
    printable = {k: "".join(c for c in v if c.isprintable()) if isinstance(v, str) else v for k, v in values.items()}
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in printable.items())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. See python -m engines.import_style --help.")


def _parser() -> argparse.ArgumentParser:
    published = "\n".join(f"  {name:10} {k.title}\n{'':13}{k.where}" for name, k in KINDS.items())
    parser = _Parser(
        prog="python -m engines.import_style",
        description="Makes a style of weights that you have.",
        epilog=f"Kinds, and where their authors publish the weights:\n{published}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the weights: .onnx, or .pt of --kind animegan2")
    parser.add_argument("--kind", required=True, choices=KINDS, help="what they are of")
    parser.add_argument("--name", help="of the style; default: the file's")
    parser.add_argument("--licence", metavar="TEXT", help="of the weights, where you know it")
    parser.add_argument("--range", choices=RANGES, help="of the network's numbers, where it is not found")
    parser.add_argument("--bgr", action="store_true", help="the network takes blue first")
    return parser


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
