"""Style packs: a folder with a `style.toml` is a style.

Comes in: a style's name or folder. Goes out: a frozen `Style`. Shipped styles lie beside this file, the user's own in
the user's style folder; a user's style of the same name wins. A damaged pack is named in one error and never keeps
another style from loading.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from realtime.errors import ModelFileError, UsageError
from realtime.ink.touch_up import TouchUp
from realtime.layers import Finish
from realtime.page import Page
from realtime.reshape import Shape
from realtime.styles.onnx_file import check_onnx, input_size
from realtime.types import Size

MOST_BYTES = 64 << 10  # of a style.toml
LONGEST_LINE = 200  # characters of a title
LARGEST_NUMBER = 1000  # of a setting
PICTURE_FINISH = Finish(tone_share=0.0, black=0.0, white=1.0, restless=5.0)  # shown as its network painted it
LEAST_PIXELS, MOST_PIXELS = 1 << 12, 1 << 21  # that a generator may be asked for
NO_FACE = "none"  # instead of a face network: the background's drawing is enough
PASS_THROUGH = "none"  # the camera's own picture: only ever by this name
SHIPPED = Path(__file__).parent
SHIPPED_MODELS = SHIPPED.parent.parent / "engines" / "models"


@dataclass(frozen=True, slots=True)
class Style:
    """One style: its networks and its numbers.

    background, face: ONNX files; `face` is `background` for a pack without a face network. faces: whether `face`
    draws them once more, larger. picture: they give a finished picture, not layers. size: the one that `background`
    works at, None for any; pixels: then how many, None for as many as the shipped generators.
    """

    name: str
    title: str
    licence: str
    background: Path
    face: Path
    finish: Finish
    touch_up: TouchUp
    page: Page
    shape: Shape
    faces: bool = True
    picture: bool = False
    size: Size | None = None
    pixels: int | None = None


def user_style_folder() -> Path:
    """Where a user drops style packs."""
    return Path(platformdirs.user_data_dir("livetoon", appauthor=False)) / "styles"


def load_style(name_or_folder: str) -> Style:
    """The style of this name, in this folder, or of a painting (`painting:3+12`, `picture:PATH`).

    Raises `UsageError` for an unknown name (near names are suggested), `ModelFileError` for a damaged pack.
    """
    from realtime.styles.paintings import is_painting, painting_style  # the rare case, which builds on this module

    if is_painting(name_or_folder):
        return painting_style(name_or_folder)
    as_path = Path(name_or_folder)
    if (as_path / "style.toml").is_file():
        return _read(as_path)
    folders = _folders()
    if name_or_folder in folders:
        return _read(folders[name_or_folder])
    names = sorted(folders)  # without the pass-through, which nobody may get by a mistake
    near = difflib.get_close_matches(name_or_folder, names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}."
    raise UsageError(f"There is no style '{name_or_folder}': {hint}")


def list_styles(say: Callable[[str], None]) -> list[Style]:
    """All styles that load, shipped and the user's; each damaged pack is said in one line."""
    styles = []
    for _, folder in sorted(_folders().items()):
        try:
            styles.append(_read(folder))
        except ModelFileError as error:
            say(str(error))
    return styles


def _folders() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in (SHIPPED, user_style_folder()):
        for definition in root.glob("*/style.toml"):
            found[definition.parent.name] = definition.parent
    return found


def _read(folder: Path) -> Style:
    definition = folder / "style.toml"
    try:
        if definition.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES >> 10} KiB")
        data = tomllib.loads(definition.read_text(encoding="utf-8"))
        allowed = {"title", "licence", "kind", "background", "face", "pixels", "finish", "touch_up", "page", "shape"}
        if unknown := sorted(set(data) - allowed):
            raise ValueError(f"unknown key '{unknown[0]}', expected one of {', '.join(sorted(allowed))}")
        kind = data.get("kind", "layers")
        if kind not in ("layers", "picture"):
            raise ValueError(f"kind '{kind}' is neither 'layers' nor 'picture'")
        pixels = data.get("pixels")
        if pixels is not None and not (type(pixels) is int and LEAST_PIXELS <= pixels <= MOST_PIXELS):
            raise ValueError(f"'pixels' is not a whole number from {LEAST_PIXELS} to {MOST_PIXELS}")
        background = _model(folder, str(data.get("background", "background.onnx")))
        face = data.get("face", "face.onnx" if (folder / "face.onnx").is_file() else None)
        finish = PICTURE_FINISH if kind == "picture" else Finish()
        style = Style(
            name=folder.name,
            title=_line(data.get("title", folder.name)),
            licence=_line(data.get("licence", "not stated")),
            background=background,
            face=background if face in (None, NO_FACE) else _model(folder, str(face)),
            faces=face != NO_FACE,
            finish=_numbers(finish, data.get("finish", {})),
            touch_up=_numbers(TouchUp(), data.get("touch_up", {})),
            page=_numbers(Page(), data.get("page", {})),
            shape=_numbers(Shape(), data.get("shape", {})),
            picture=kind == "picture",
            pixels=pixels,
        )
        for network in {style.background, style.face}:
            if network.parent != SHIPPED_MODELS:
                check_onnx(network)
        return style if background.parent == SHIPPED_MODELS else replace(style, size=input_size(background))
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ModelFileError(
            f"The style pack '{folder.name}' is damaged ({_line(str(error))}); mend or remove {definition}."
        ) from error


def _model(folder: Path, name: str) -> Path:
    """The pack's own network or a shipped one; never a file elsewhere."""
    if not name.isprintable() or Path(name).name != name:
        raise ValueError(f"its generator {name!r} is no plain file name")
    own, shared = folder / name, SHIPPED_MODELS / f"{name}.onnx"
    if own.is_file():
        if not own.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"its generator '{name}' lies outside of the pack")
        return own
    if shared.is_file():
        return shared
    raise ValueError(f"its generator '{name}' is neither in the pack nor among the shipped ones")


def _line(text: object) -> str:
    """Text of a pack as one short line that no terminal takes for a command."""
    return "".join(c if c.isprintable() else " " for c in str(text))[:LONGEST_LINE]


def _numbers(defaults: Any, table: object) -> Any:
    """`defaults`, a dataclass, with the numbers of a TOML table; unknown names and wrong types are refused."""
    if not isinstance(table, dict):
        raise ValueError(f"[{type(defaults).__name__.lower()}] is not a table")
    known = {field.name: field.default for field in fields(defaults)}
    for name, value in table.items():
        if name not in known:
            raise ValueError(f"unknown setting '{name}', expected one of {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"'{name}' is not a number")
        if isinstance(known[name], int) and not isinstance(value, int):
            raise ValueError(f"'{name}' is not a whole number")
        if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
            raise ValueError(f"'{name}' is not between -{LARGEST_NUMBER} and {LARGEST_NUMBER}")
    return replace(defaults, **table)
