"""Each importer on a file of the published layout, made here, and its round trip through the product's own stage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import import_style as importer
from engines.import_style import KINDS, main
from engines.picture_network import NCHW, NHWC, RANGES, Form
from engines.probe import probe
from engines.reference import open_session
from engines.verify import trial_pictures
from realtime import styles
from realtime.errors import ModelFileError
from realtime.open_style import OpenStyle
from realtime.settings import Look
from realtime.styles import load_style
from realtime.types import Frame, Scene, Size

onnx = pytest.importorskip("onnx", reason="importing needs onnx: bootstrap.py --train")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

Array = NDArray[np.float32]
FRAME = Size(192, 112)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the user's styles; the preview costs no clip."""
    monkeypatch.setattr(importer, "user_style_folder", lambda: tmp_path / "styles")
    monkeypatch.setattr(styles, "user_style_folder", lambda: tmp_path / "styles")
    return tmp_path / "styles"


def network(path: Path, layout: str, pixels: str, size: Size | None = None, opset: int = 17, end: str = "") -> Path:
    """A small cartoon network: blurs with random weights, turns red up, works on numbers of a range and layout."""
    low, high = RANGES[pixels]
    weights = np.random.default_rng(1).random((3, 3, 5, 5), np.float32) * 0.1
    weights[[0, 1, 2], [0, 1, 2]] += 1.0
    weights /= weights.sum(axis=(1, 2, 3), keepdims=True)
    middle, half = (low + high) / 2, (high - low) / 2
    scale, bias = [np.full((1, 3, 1, 1), v, np.float32) for v in (1 / half, -middle / half)]
    bias[0, 0] += 0.3  # the first colour it is given comes out stronger
    tensors = {"w": weights, "scale": scale, "bias": bias, "half": np.float32(half), "middle": np.float32(middle)}
    node = helper.make_node
    nodes = [
        node("Transpose", ["in"], ["x0"], perm=[0, 3, 1, 2] if layout == NHWC else [0, 1, 2, 3]),
        node("Mul", ["x0", "scale"], ["x1"]),
        node("Add", ["x1", "bias"], ["x2"]),
        node("Conv", ["x2", "w"], ["x3"], pads=[2, 2, 2, 2]),
        node("Tanh", ["x3"], ["x4"]),
    ]
    last = "x4"
    if pixels != "-1..1":
        nodes += [node("Mul", ["x4", "half"], ["x5"]), node("Add", ["x5", "middle"], ["x6"])]
        last = "x6"
    if end:
        nodes.append(node(end, [last], ["x7"]))
        last = "x7"
    nodes.append(node("Transpose", [last], ["out"], perm=[0, 2, 3, 1] if layout == NHWC else [0, 1, 2, 3]))
    sides = ["h", "w"] if size is None else [size.height, size.width]
    shape = [1, *sides, 3] if layout == NHWC else [1, 3, *sides]
    graph = helper.make_graph(
        nodes,
        "cartoon",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


def drawn_by(path: Path, rgb: Any, layout: str, pixels: str, bgr: bool) -> Array:
    """What the file itself makes of a picture, in 0..255."""
    low, high = RANGES[pixels]
    x = (rgb[..., ::-1] if bgr else rgb).astype(np.float32)[None] / 255 * (high - low) + low
    x = np.ascontiguousarray(x if layout == NHWC else x.transpose(0, 3, 1, 2))
    out = open_session(path.read_bytes()).run(None, {"in": x})[0]
    out = out[0] if layout == NHWC else out[0].transpose(1, 2, 0)
    return np.clip((out[..., ::-1] if bgr else out) - low, 0, high - low) / (high - low) * 255


CASES = [
    ("animegan2", NCHW, "-1..1", None),
    ("animegan3", NHWC, "-1..1", None),
    ("animegan3", NHWC, "-1..1", Size(256, 256)),
    ("cartoongan", NHWC, "-1..1", Size(144, 96)),
    ("onnx", NHWC, "0..255", None),
    ("onnx", NCHW, "0..255", Size(64, 64)),
    ("onnx", NCHW, "0..1", None),
    ("onnx", NHWC, "-1..1", None),
]


@pytest.mark.parametrize(("kind", "layout", "pixels", "size"), CASES)
def test_a_file_of_the_published_layout_becomes_a_pack_that_draws_as_it_does(
    own: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    layout: str,
    pixels: str,
    size: Size | None,
) -> None:
    file = network(tmp_path / "Cartoon v1.onnx", layout, pixels, size)
    assert main([str(file), "--kind", kind]) == 0, capsys.readouterr().err
    style = load_style("cartoon-v1")
    assert style.picture
    assert style.size == size
    assert style.licence == KINDS[kind].licence
    assert style.faces == KINDS[kind].faces
    told = capsys.readouterr().err
    assert f"Licence: {style.licence}" in told
    assert "run.py --style cartoon-v1" in told
    assert (own / "cartoon-v1" / "preview.jpg").stat().st_size > 2000

    at = Size(96, 64) if size is None else size
    picture = trial_pictures(at)[1]
    session = open_session((own / "cartoon-v1" / "background.onnx").read_bytes())
    x = picture.astype(np.float32).transpose(2, 0, 1)[None] / 255
    drawn = session.run(None, {"rgb": x})[0][0].transpose(1, 2, 0) * 255
    assert np.abs(drawn - drawn_by(file, picture, layout, pixels, KINDS[kind].bgr)).max() < 0.5


def test_the_pack_is_drawn_with(own: Path, tmp_path: Path) -> None:
    file = network(tmp_path / "fixed.onnx", NHWC, "0..255", Size(128, 128))
    assert main([str(file), "--kind", "onnx", "--licence", "CC0", "--name", "mine"]) == 0
    style = load_style("mine")
    assert style.licence == "CC0"
    rgb = trial_pictures(FRAME)[0]
    stage = OpenStyle(style, Look(style="mine", steadiness=0.0), FRAME, "onnxruntime", lambda _: None)
    styled = stage(Scene(Frame(rgb, 0.0, 0.0, 0), np.ones((2, 2), np.float32), (), fresh=True))
    stage.close()
    assert styled.rgb.shape == rgb.shape
    assert not styled.lines.any()
    change = styled.rgb.astype(float).mean(axis=(0, 1)) - rgb.mean(axis=(0, 1))
    assert change[0] > change[1] + 5, "red is turned up, as the network does"


@pytest.mark.parametrize(("layout", "pixels"), [(a, b) for a in (NCHW, NHWC) for b in RANGES])
def test_layout_and_range_are_found_by_probing(tmp_path: Path, layout: str, pixels: str) -> None:
    content = network(tmp_path / "a.onnx", layout, pixels).read_bytes()
    found = probe(onnx.load_from_string(content), open_session(content))
    assert found.form == Form("in", "out", layout, layout, pixels, pixels)
    assert found.size is None


def test_an_old_opset_is_translated_too(own: Path, tmp_path: Path) -> None:
    assert main([str(network(tmp_path / "old.onnx", NHWC, "-1..1", opset=9)), "--kind", "onnx"]) == 0
    assert load_style("old").picture


def wrong(path: Path, what: str) -> None:
    """Writes a file that is not to be used."""
    if what == "truncated":
        whole = network(path, NCHW, "0..1").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif what == "text":
        path.write_text("this is not a network", encoding="utf-8")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "huge":
        with path.open("wb") as out:
            out.truncate(65 << 20)
    elif what == "loop":
        network(path, NCHW, "0..1")
        model = onnx.load(str(path))
        model.graph.node[0].op_type = "Loop"
        path.write_bytes(model.SerializeToString())
    elif what == "two inputs":
        network(path, NCHW, "0..1")
        model = onnx.load(str(path))
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
        path.write_bytes(model.SerializeToString())
    elif what == "black":
        network(path, NCHW, "0..1", end="Floor")
    elif what == "odd size":
        network(path, NCHW, "0..1", Size(100, 100))
    elif what == "opset 6":
        network(path, NCHW, "0..1", opset=6)


@pytest.mark.parametrize(
    ("what", "code", "says"),
    [
        ("truncated", 6, "cannot be used"),
        ("text", 6, "no ONNX file"),
        ("empty", 6, "no ONNX file"),
        ("huge", 6, "64 are allowed"),
        ("loop", 6, "Loop"),
        ("two inputs", 6, "One picture of f32 is expected"),
        ("black", 6, "nothing of what went in"),
        ("odd size", 6, "multiples of 16"),
        ("opset 6", 6, "cannot be used"),
        ("missing", 2, "There is no file"),
    ],
)
def test_a_wrong_file_is_one_sentence_and_leaves_no_pack(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, code: int, says: str
) -> None:
    file = tmp_path / "file.onnx"
    wrong(file, what)
    assert main([str(file), "--kind", "onnx"]) == code
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
    assert not own.exists() or not list(own.iterdir())


def test_wrong_words_are_one_sentence(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(network(tmp_path / "a.onnx", NCHW, "0..1"))
    for words, says in (
        ([file], "--kind"),
        ([file, "--kind", "cyclegan"], "invalid choice"),
        ([file, "--kind", "onnx", "--name", "../up"], "no name for a style"),
        ([file, "--kind", "onnx", "--name", "none"], "no name for a style"),
        ([__file__, "--kind", "animegan3"], "takes nothing else"),
    ):
        assert main(words) == 2
        assert says in capsys.readouterr().err
    assert main([file, "--kind", "onnx"]) == 0
    assert main([file, "--kind", "onnx"]) == 2
    assert "already" in capsys.readouterr().err


def test_a_pack_that_would_draw_otherwise_is_not_written(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "_as_file", lambda session, found, rgb: 255.0 - rgb)
    file = network(tmp_path / "a.onnx", NCHW, "0..1")
    with pytest.raises(ModelFileError, match="otherwise than the file"):
        importer.import_style(file, KINDS["onnx"], "a", own, lambda _: None)
    assert not own.exists()


def test_animegan2_weights_become_a_pack(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="AnimeGANv2's weights are read with torch: bootstrap.py --train")
    from engines.animegan2 import AnimeGan2

    torch.manual_seed(1)
    generator = AnimeGan2().eval()
    torch.save(generator.state_dict(), tmp_path / "face_paint_512_v2.pt")
    assert main([str(tmp_path / "face_paint_512_v2.pt"), "--kind", "animegan2"]) == 0, capsys.readouterr().err
    session = open_session((own / "face-paint-512-v2" / "background.onnx").read_bytes())
    x = np.random.default_rng(1).random((1, 3, 48, 80), np.float32)
    with torch.no_grad():
        expected = generator(torch.from_numpy(x * 2 - 1)).numpy() / 2 + 0.5
    assert np.abs(session.run(None, {"rgb": x})[0] - expected).max() < 1e-3
