"""Layer swapping: what comes from which style, a pack that loads, and wrong words in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime.styles import load_style

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from training.onnx_file import export, student_from_onnx  # noqa: E402
from training.swap import LAYERS, main  # noqa: E402


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A style that began as `webtoon` and went its own way a little."""
    pack = tmp_path_factory.mktemp("packs") / "other"
    pack.mkdir()
    webtoon = load_style("webtoon")
    torch.manual_seed(4)
    for kind, path in (("background", webtoon.background), ("face", webtoon.face)):
        student = student_from_onnx(path)
        for values in student.parameters():
            values.data += 0.02 * values.std() * torch.randn(values.shape)
        export(kind, student, pack / f"{kind}.onnx")
    (pack / "style.toml").write_text(
        'licence = "CC0"\n[finish]\ntone_steps = 3\n[shape]\neyes = 0.5\n', encoding="utf-8"
    )
    return pack


def test_layers_come_from_both_and_the_pack_is_a_style(other: Path, tmp_path: Path) -> None:
    out = tmp_path / "swapped"
    assert main(["webtoon", str(other), "--at", "up_quarter", "--out", str(out)]) == 0
    style = load_style(str(out))
    assert (style.finish.tone_steps, style.shape.eyes) == (3, 0.5), "numbers are those of the second"
    assert style.licence == "MIT and CC0"
    own = student_from_onnx(load_style("webtoon").face).state_dict()
    others = student_from_onnx(other / "face.onnx").state_dict()
    for name, values in student_from_onnx(style.face).state_dict().items():
        late = LAYERS.index(name.partition(".")[0]) >= LAYERS.index("up_quarter")
        assert torch.equal(values, (others if late else own)[name])
    assert {name.partition(".")[0] for name in own} == set(LAYERS), "every layer has its place in the order"
    x = torch.from_numpy(np.random.default_rng(0).random((1, 3, 64, 64), np.float32))
    with torch.no_grad():
        paths = (load_style("webtoon").face, style.face, other / "face.onnx")
        first, between, second = (student_from_onnx(path)(x)[0] for path in paths)
    assert not torch.equal(first, between) and not torch.equal(between, second)
    assert (between - first).abs().mean() < 2 * (second - first).abs().mean(), "it lies between the two"


@pytest.mark.parametrize(
    ("first", "at", "says"),
    [
        ("webtoon", "up_quater", "did you mean up_quarter?"),
        ("webtoon", "to_half", "no layer to swap at"),
        ("webtoom", "up_half", "did you mean webtoon"),
    ],
)
def test_wrong_words_are_one_sentence(
    first: str, at: str, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([first, "webtoon", "--at", at, "--out", str(tmp_path / "out")]) == 2
    assert says in capfd.readouterr().err
    assert main(["webtoon", "webtoon", "--at", "up_half"]) == 2
    assert "See python -m training.swap --help." in capfd.readouterr().err
