"""What anybody may give: command lines, style packs, networks, pictures, clips, profiles. Never more than one error."""

from __future__ import annotations

import ast
import os
import shutil
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import tomlkit
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from realtime import styles
from realtime.errors import EngineError, LiveToonError, ModelFileError, SourceError, UsageError
from realtime.profile import Profile, read_profile, write_profile
from realtime.settings import PROFILE, Settings, settings_from_arguments
from realtime.source import open_source
from realtime.source.open import DEMO_CLIP
from realtime.source.pattern import parse_pattern
from realtime.source.picture import read_picture
from realtime.styles import SHIPPED_MODELS, Style, load_style
from realtime.styles.onnx_file import MOST_NODES, check_onnx

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))  # more for a long search: FUZZ_EXAMPLES=20000 pytest
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
ROOT = Path(__file__).parent.parent
NETWORK = (SHIPPED_MODELS / "webtoon-face.onnx").read_bytes()
CLIP = DEMO_CLIP.read_bytes()[:200_000]

Cuts = tuple[float, list[tuple[float, int]]]  # how much is kept; which bytes are changed to what
changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=30)
cuts = st.tuples(st.floats(0, 1), changes)


def mutated(data: bytes, how: Cuts, within: int | None = None) -> bytes:
    """The bytes with some of them changed (among the first `within`), and cut off at a share of them."""
    keep, changes = how
    changed = bytearray(data)
    for where, value in changes:
        changed[int(where * (len(data) if within is None else min(within, len(data))))] = value
    return bytes(changed[: max(1, int(keep * len(changed)))] if keep < 0.9 else changed)


def sound(words: str) -> st.SearchStrategy[str]:
    return st.sampled_from(words.split())


flags = sound(
    "--source --sink --style --strength --expression --background --size --fps --mirror --engine --pace --frames "
    "--seconds --stats --profile --list --json --verbose --calibrate"
)
values = st.one_of(
    sound(
        "demo null 0 1 1e999 nan -1 640x360 99999x99999 0x0 color:#123456 color:#12 image:/ preview live none webtoon"
    ),
    st.text(max_size=20),
)


@fuzz
@given(st.lists(st.one_of(flags, values), max_size=8))
def test_any_command_line_is_settings_or_one_error(words: list[str]) -> None:
    try:
        assert isinstance(settings_from_arguments(words), Settings)
    except UsageError as error:
        assert "\n" not in str(error).strip() or any("\n" in word for word in words)
    except SystemExit as ended:
        assert ended.code == 0  # --help and what begins so


@fuzz
@given(st.text(max_size=60).filter(lambda text: "://" not in text))
def test_any_word_for_a_source_is_a_source_or_one_error(word: str) -> None:
    try:
        with open_source(word, size=None, fps=None, pace=None, say=lambda _: None):
            pass
    except LiveToonError as error:
        assert str(error)


@fuzz
@given(st.text(max_size=30))
def test_any_test_pattern_is_one_or_an_error(text: str) -> None:
    with suppress(UsageError):
        parse_pattern(f"test:{text}")


toml = st.one_of(
    st.text(max_size=200),
    st.builds(
        lambda key, value: f"{key} = {value}",
        sound("title licence kind background face finish touch_up other"),
        st.one_of(
            sound("1 -1 nan inf 1e400 true [] {} 99999999999999999999999"),
            st.text(max_size=40).map(lambda text: '"' + text.replace("\\", "").replace('"', "") + '"'),
            st.integers(1, 3000).map(lambda depth: "[" * depth),
        ),
    ),
    st.builds(
        lambda name, value: f"[finish]\n{name} = {value}",
        sound("tone_steps tone_share black ink_weight chroma other"),
        sound("1 1.5 nan -inf 1e9 99999999999999999999 true 'x'"),
    ),
)


@fuzz
@given(toml)
def test_any_style_toml_is_a_style_or_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "style.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    (tmp_path / "background.onnx").write_bytes(NETWORK)
    try:
        style = load_style(str(tmp_path))
    except ModelFileError as error:
        assert str(error).isprintable()
    else:
        assert isinstance(style, Style) and style.title.isprintable() and len(style.title) <= styles.LONGEST_LINE
        assert all(np.isfinite(value) for value in (style.finish.black, style.finish.chroma, style.touch_up.weight))


@fuzz
@given(cuts)
def test_any_network_is_refused_or_opens_or_is_one_error(tmp_path: Path, how: Cuts) -> None:
    from engines.reference import OnnxRuntimeEngine
    from realtime.types import Size

    path = tmp_path / "n.onnx"
    path.write_bytes(mutated(NETWORK, how, within=6000))
    try:
        check_onnx(path)
        OnnxRuntimeEngine(path, Size(32, 32)).close()
    except (ValueError, EngineError) as error:
        assert str(error)


@fuzz
@given(cuts, st.sampled_from([".jpg", ".png", ".webp", ".bmp"]))
def test_any_picture_is_read_or_one_error(tmp_path: Path, how: Cuts, kind: str) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    path = tmp_path / f"p{kind}"
    path.write_bytes(mutated(cv2.imencode(kind, rgb)[1].tobytes(), how))
    try:
        picture = read_picture(path)
    except SourceError as error:
        assert str(error)
    else:
        assert picture.dtype == np.uint8 and picture.ndim == 3


@fuzz
@example((1.0, [(0.00951360330368134, 0)]))  # a codec that nobody knows
@given(cuts)
def test_any_clip_is_read_or_one_error(tmp_path: Path, how: Cuts) -> None:
    path = tmp_path / "c.mp4"
    path.write_bytes(mutated(CLIP, how, within=40_000))
    try:
        with open_source(str(path), size=None, fps=None, pace=None, say=lambda _: None) as source:
            for _ in range(3):
                frame = source.read()
                if frame is None:
                    break
                assert frame.size == source.size
    except SourceError as error:
        assert str(error)


@fuzz
@given(st.one_of(st.binary(max_size=100), st.integers(1, 5000).map(lambda depth: b"[" * depth)))
def test_any_profile_is_one_or_an_error(tmp_path: Path, data: bytes) -> None:
    for suffix in (".json", ".toml"):
        path = tmp_path / f"p{suffix}"
        path.write_bytes(data)
        with suppress(UsageError):
            assert isinstance(settings_from_arguments(["--profile", str(path)]), Settings)


@fuzz
@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*PROFILE, "person", "only"]), st.text(max_size=8)),
        st.one_of(
            st.floats(), st.integers(), st.booleans(), values, st.lists(values, max_size=3),
            st.sampled_from(["--style=none", "-x", "none", [], {"a": 1}]),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_any_table_is_settings_or_one_error_and_never_leads_to_the_raw_picture(
    tmp_path: Path, table: dict[str, Any]
) -> None:
    path = tmp_path / "p.toml"
    with suppress(ValueError, OverflowError):  # what TOML cannot hold
        path.write_text(tomlkit.dumps(table), encoding="utf-8")
        try:
            settings = settings_from_arguments(["--profile", str(path)])
            assert settings.look.style != "none" and settings.only == "all"
        except UsageError as error:
            assert str(path) in str(error)


def test_a_picture_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    png = bytearray(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    png[16:24] = (30_000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4, "big")
    (tmp_path / "p.png").write_bytes(png)
    with pytest.raises(SourceError):
        read_picture(tmp_path / "p.png")


def network(**changes: object) -> onnx.ModelProto:
    node = helper.make_node("Relu", ["x"], ["y"], domain=str(changes.get("domain", "")))
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 16, 16]) for name in "xy"]
    nodes = [node] * int(str(changes.get("nodes", 1)))
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weight])
    return helper.make_model(graph)


def external() -> onnx.ModelProto:
    model = network()
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"
    return model


def with_loop() -> onnx.ModelProto:
    model = network()
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["n", "c"], [], body=body))
    return model


def within_a_node() -> onnx.ModelProto:
    model = network()
    tensor = external().graph.initializer[0]
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    return model


def huge() -> onnx.ModelProto:
    model = network()
    model.graph.initializer[0].dims[0] = 1 << 40
    return model


def with_function() -> onnx.ModelProto:
    model = network()
    model.functions.append(helper.make_function("own", "f", ["a"], ["b"], [], []))
    return model


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (external(), "another file"),
        (within_a_node(), "another file"),
        (with_loop(), "not allowed"),
        (network(domain="own.code"), "operators of its own"),
        (network(nodes=MOST_NODES + 1), "nodes"),
        (network(nodes=0), "nodes"),
        (huge(), "too large"),
        (with_function(), "functions"),
        (onnx.ModelProto(), "no ONNX file"),
    ],
)
def test_a_network_that_reaches_out_or_runs_on_is_refused(model: onnx.ModelProto, says: str, tmp_path: Path) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=says):
        check_onnx(path)


def test_a_sound_network_is_let_through(tmp_path: Path) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(network().SerializeToString())
    check_onnx(path)
    for shipped in SHIPPED_MODELS.glob("*.onnx"):
        check_onnx(shipped)
    with path.open("r+b") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(ValueError, match="MiB"):
        check_onnx(path)


@pytest.mark.parametrize("name", ["../out.onnx", "/etc/passwd", "sub/../../out.onnx", "link.onnx", "a\\u0007b"])
def test_a_pack_reaches_no_file_outside_of_its_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(SHIPPED_MODELS / "webtoon-face.onnx", tmp_path / "out.onnx")
    (folder / "link.onnx").symlink_to(tmp_path / "out.onnx")
    (folder / "style.toml").write_text(f'background = "{name}"')
    with pytest.raises(ModelFileError, match=r"no plain file name|outside of the pack"):
        load_style(str(folder))


def test_a_profile_is_for_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "me.toml"
    path.write_text("")
    path.chmod(0o644)
    write_profile(path, person=Profile((0.3, 0.3), (0.1, 0.1), (0.2, -0.2), (0.5, 0.4, 0.3), False))
    assert path.stat().st_mode & 0o077 == 0
    read_profile(str(path))


def test_nothing_unpickles_and_torch_loads_weights_only() -> None:
    for path in [*ROOT.glob("*.py"), *(p for folder in ("realtime", "engines", "training", "calibration", "bench")
                                       for p in (ROOT / folder).rglob("*.py"))]:  # fmt: skip
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "dill", "joblib", "shelve", "marshal"}, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load":
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert options.get("allow_pickle", "False") == "False", path
                if ast.unparse(node.func.value).endswith("torch"):
                    assert options.get("weights_only") == "True", path
