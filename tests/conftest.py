from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from stand_in_tensorrt import Cuda, tensorrt_module

from engines import gpu, select, tensorrt
from engines.tensorrt import TENSORRT_RTX


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs a GPU is shown as skipped, with the command that runs it, also where there is one."""
    if config.option.markexpr != "gpu":
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU: make gpu"))


def put_nvidia_smi(folder: Path, answer: str) -> None:
    """A driver's program that answers so."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    """TensorRT for RTX, version 9.9, as a stand-in."""
    cuda = Cuda()
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", tensorrt_module())
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
    monkeypatch.setattr(tensorrt, "version", lambda package: "9.9")
    monkeypatch.setattr(
        select, "version", lambda package: "9.9" if package == TENSORRT_RTX.package else version(package)
    )
    monkeypatch.setattr(tensorrt, "_preload_rtx", lambda: None)
    tensorrt.load.cache_clear()
    yield cuda
    tensorrt.load.cache_clear()


@pytest.fixture
def nvidia_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An "RTX" of architecture sm89 that answers as the driver's program does."""
    put_nvidia_smi(tmp_path / "bin", "Stand-in RTX, 8.9, 999.1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    gpu.nvidia_gpu.cache_clear()
    yield
    gpu.nvidia_gpu.cache_clear()


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No driver's program on the path, whatever this machine has."""
    monkeypatch.setenv("PATH", "")
    gpu.nvidia_gpu.cache_clear()
    yield
    gpu.nvidia_gpu.cache_clear()
