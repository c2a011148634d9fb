"""To the device and back through pinned memory, each on a stream of its own, so that copying and computing overlap.

In: arrays of this machine, or tensors of the device. Out: the other. On the caller's thread. torch keeps pinned memory
that is let go of and gives it out again once its copies are done: so there are as many buffers as frames in flight and
pictures still held, and none is written over while somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Tensor = Any


class Transfer:
    """The two directions of one device; on a CPU plain copies."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device != "cpu"
        self._up: Any = torch.cuda.Stream() if self._on_gpu else None
        self._down: Any = torch.cuda.Stream() if self._on_gpu else None

    def uploading(self) -> AbstractContextManager[Any]:
        """What is queued inside does not wait for what the current stream has to do."""
        return torch.cuda.stream(self._up) if self._on_gpu else nullcontext()

    def upload(self, array: NDArray[Any]) -> Tensor:
        """The array on the device, on the current stream; the caller does not wait."""
        here = torch.empty(array.shape, dtype=_KINDS[array.dtype.name], pin_memory=self._on_gpu)
        np.copyto(here.numpy(), array)
        return here.to("cuda", non_blocking=True) if self._on_gpu else here

    def arrived(self, *tensors: Tensor) -> None:
        """The current stream may read these, which were queued in `uploading`."""
        if self._on_gpu:
            computing = torch.cuda.current_stream()
            computing.wait_stream(self._up)
            for tensor in tensors:
                tensor.record_stream(computing)

    def fetch(self, tensor: Tensor) -> NDArray[Any]:
        """What a small tensor holds, waited for."""
        return np.asarray(tensor.cpu().numpy())

    def download(self, *tensors: Tensor) -> Callable[[], list[NDArray[Any]]]:
        """What the tensors hold once the current stream has come here; calling the answer waits for it."""
        if not self._on_gpu:
            copies = [tensor.numpy().copy() for tensor in tensors]
            return lambda: copies
        there = [tensor.clone() for tensor in tensors]  # the next frame is drawn while this one travels
        self._down.wait_stream(torch.cuda.current_stream())
        arrived = torch.cuda.Event()
        with torch.cuda.stream(self._down):
            here = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True).copy_(t, non_blocking=True) for t in there]
            arrived.record()
        for tensor in there:
            tensor.record_stream(self._down)

        def wait() -> list[NDArray[Any]]:
            arrived.synchronize()
            return [tensor.numpy() for tensor in here]

        return wait


_KINDS = {"uint8": torch.uint8, "float32": torch.float32}
