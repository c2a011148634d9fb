"""Work recorded once as a CUDA graph: a frame then costs one launch instead of a hundred.

In: a function that reads and writes tensors which stay where they are. Out: one that repeats it. On the caller's
stream, which must not be the default one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from realtime.errors import EngineError

_WARM_UP_RUNS = 3  # before capture: libraries choose their algorithms, which may not happen inside a graph


def recorded(work: Callable[[], None], device: str, say: Callable[[str], None]) -> Callable[[], None]:
    """`work` as a graph; on a CPU, or where it cannot be recorded, which is said, `work` itself."""
    if device == "cpu":
        return work
    try:
        for _ in range(_WARM_UP_RUNS):
            work()
        torch.cuda.current_stream().synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            work()
    except (RuntimeError, EngineError) as error:
        reason = str(error).partition("\n")[0]
        say(f"The GPU's work cannot be recorded ({reason}); it is queued anew for every frame, which is slower.")
        return work
    return graph.replay
