import pickle
import zipfile
from pathlib import Path

import pytest

from realtime.errors import ModelFileError

torch = pytest.importorskip("torch", reason="AnimeGANv2's weights are read with torch: bootstrap.py --train")

from engines.animegan2 import MOST_BYTES, PARAMETERS, AnimeGan2, read_generator  # noqa: E402

PUBLISHED = {  # some of each kind, as animegan2-pytorch has them
    "block_a.0.1.weight": (32, 3, 7, 7),
    "block_a.1.2.bias": (64,),
    "block_b.0.1.weight": (128, 64, 3, 3),
    "block_c.1.layers.0.1.weight": (256, 128, 1, 1),
    "block_c.1.layers.1.1.weight": (256, 1, 3, 3),
    "block_c.1.layers.1.1.bias": (256,),
    "block_c.4.layers.2.weight": (256, 512, 1, 1),
    "block_c.4.layers.3.weight": (256,),
    "block_c.5.1.weight": (128, 256, 3, 3),
    "block_d.1.1.weight": (128, 128, 3, 3),
    "block_e.2.1.weight": (32, 64, 7, 7),
    "out_layer.0.weight": (3, 32, 1, 1),
}


def test_parameters_names_and_shapes_are_those_published() -> None:
    weights = AnimeGan2().state_dict()
    assert sum(w.numel() for w in weights.values()) == PARAMETERS == 2_143_552
    assert {name: tuple(weights[name].shape) for name in PUBLISHED} == PUBLISHED
    assert len(weights) == 77
    assert not [name for name in weights if name.endswith("1.bias") and "layers.1" not in name], "one bias a residual"


def test_a_weights_file_comes_back_as_the_generator_it_was_made_of(tmp_path: Path) -> None:
    torch.manual_seed(1)
    made = AnimeGan2().eval()
    torch.save(made.state_dict(), tmp_path / "face.pt")
    read = read_generator(tmp_path / "face.pt")
    picture = torch.rand(1, 3, 40, 52) * 2 - 1
    with torch.no_grad():
        drawn = read(picture)
        assert torch.equal(drawn, made(picture))
    assert drawn.shape == picture.shape
    assert drawn.std() > 0.01
    assert drawn.abs().max() <= 1


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (Path("exploded"),)


def write_wrong(path: Path, kind: str) -> None:
    weights = AnimeGan2().state_dict()
    if kind == "another network":
        torch.save({"conv.weight": torch.zeros(3, 3)}, path)
    elif kind == "another shape":
        torch.save({**weights, "out_layer.0.weight": torch.zeros(4, 32, 1, 1)}, path)
    elif kind == "no state dict":
        torch.save([1, 2], path)
    elif kind == "code":
        torch.save({**weights, "extra": Bomb()}, path)
    elif kind == "bare pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "cut short":
        torch.save(weights, path)
        path.write_bytes(path.read_bytes()[:100_000])
    elif kind == "zip bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/data.pkl", bytes(MOST_BYTES + 1))
    elif kind == "another zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("another network", "Missing key"),
        ("another shape", "size mismatch"),
        ("no state dict", "no state dict"),
        ("code", "could run code"),
        ("bare pickle", "no PyTorch file"),
        ("cut short", "cut short"),
        ("zip bomb", "more than 64 MiB"),
        ("another zip", "is no weights file"),
        ("missing", "No such file"),
    ],
)
def test_what_is_no_weights_file_is_refused_in_one_line_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_wrong(tmp_path / "weights.pt", kind)
    with pytest.raises(ModelFileError, match="no weights file of AnimeGANv2") as raised:
        read_generator(tmp_path / "weights.pt")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "exploded").exists()
