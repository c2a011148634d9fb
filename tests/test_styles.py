import shutil
from pathlib import Path

import pytest

from realtime import styles
from realtime.errors import ModelFileError, UsageError
from realtime.layers import Finish
from realtime.styles import SHIPPED_MODELS, list_styles, load_style
from realtime.styles.onnx_file import input_size
from realtime.types import Size


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the user's styles."""
    monkeypatch.setattr(styles, "user_style_folder", lambda: tmp_path)
    return tmp_path


def pack(root: Path, name: str, definition: str, *models: str) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "style.toml").write_text(definition, encoding="utf-8")
    for model in models:
        shutil.copy(SHIPPED_MODELS / "webtoon-face.onnx", folder / model)
    return folder


def test_the_shipped_styles_load(own: Path) -> None:
    said: list[str] = []
    assert {"webtoon", "manga"} <= {style.name for style in list_styles(said.append)}
    assert said == []
    webtoon = load_style("webtoon")
    assert webtoon.background.is_file()
    assert webtoon.face.is_file()
    assert load_style("manga").background == webtoon.background, "a style of numbers shares the networks"


def test_no_two_shipped_styles_draw_alike_and_the_old_choices_are_there(own: Path) -> None:
    found = {style.name: style for style in list_styles(print)}
    named = "webtoon webtoon-bold webtoon-faithful meadow evening-city dream comic sketch cel toon3d manga"
    assert set(named.split()) <= set(found)
    shipped = [found[name] for name in named.split()]
    assert len({(s.background, s.finish, s.page, s.shape) for s in shipped}) == len(shipped)
    assert all(s.licence == "MIT" and s.title != s.name for s in shipped)
    assert all((styles.SHIPPED / s.name / "preview.jpg").is_file() for s in shipped)
    assert all(s.touch_up.eye_scale > 0 and s.touch_up.lashes > 0 for s in shipped), "eyes live in every style"


def test_a_folder_dropped_in_is_a_style(own: Path) -> None:
    pack(own, "mine", 'title = "Mine"\n[finish]\ntone_steps = 3\n[touch_up]\nweight = 0.5', "background.onnx")
    style = load_style("mine")
    assert style.finish == Finish(tone_steps=3)
    assert style.touch_up.weight == 0.5
    assert style.face == style.background, "without a face network the background's draws the face"
    assert load_style(str(own / "mine")) == style


def test_a_picture_style_is_shown_as_its_network_paints_it(own: Path) -> None:
    definition = 'kind = "picture"\nface = "none"\npixels = 60000\n[finish]\nchroma = 0.5'
    pack(own, "painted", definition, "background.onnx")
    style = load_style("painted")
    assert style.picture
    assert not style.faces
    assert style.pixels == 60000
    assert (style.finish.tone_share, style.finish.black, style.finish.chroma) == (0, 0, 0.5)


def test_the_size_a_network_is_fixed_to_is_read_from_its_file(own: Path) -> None:
    pack(own, "fixed", "", "background.onnx")
    assert load_style("fixed").size == Size(256, 256), "a face generator works at its crop's size"
    assert load_style("webtoon").size is None
    assert input_size(SHIPPED_MODELS / "webtoon-background.onnx") is None


def test_a_near_name_is_suggested(own: Path) -> None:
    with pytest.raises(UsageError, match="did you mean webtoon"):
        load_style("webton")
    with pytest.raises(UsageError) as mistaken:
        load_style("non")
    assert "none" not in str(mistaken.value), "nobody shows the raw picture by a mistake"
    with pytest.raises(UsageError, match=r"there are: .*webtoon"):
        load_style("zzz")


@pytest.mark.parametrize(
    ("definition", "says"),
    [
        ("title = ", "Invalid value"),
        ("colour = 1", "unknown key 'colour'"),
        ('kind = "film"', "neither 'layers' nor 'picture'"),
        ("pixels = 12", "whole number from 4096"),
        ("pixels = true", "whole number from 4096"),
        ("[finish]\nsteps = 3", "unknown setting 'steps'"),
        ("[finish]\ntone_steps = 2.5", "whole number"),
        ('[finish]\nchroma = "much"', "not a number"),
        ("finish = 3", "not a table"),
        ('face = "gone"', "neither in the pack"),
        ("[page]\npitch = 5", "'pitch' of the page is not between 0 and 0.1"),
        ("[shape]\nnose = 3.3", "'nose' not between 0 and 1"),
        ("[finish]\nsimplify = 900", "not between 0 and 15"),
    ],
)
def test_a_damaged_pack_is_one_line_and_keeps_no_other_from_loading(own: Path, definition: str, says: str) -> None:
    pack(own, "broken", definition, "background.onnx")
    with pytest.raises(ModelFileError, match="'broken' is damaged") as raised:
        load_style("broken")
    assert says in str(raised.value)
    assert raised.value.exit_code == 6
    said: list[str] = []
    assert "webtoon" in [style.name for style in list_styles(said.append)]
    assert len(said) == 1
