"""MediaPipe's face detector alone, out of face_landmarker.task, in OpenVINO: a fifth of the landmarker's work.

In: RGB u8 (h, w, 3), any size. Out: where it may see faces. On the caller's thread, f32 on one thread. The network is
BlazeFace for short ranges (Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019);
its boxes are read as MediaPipe's `face_detection_short_range.pbtxt` and `SsdAnchorsCalculator` say.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.openvino_cpu import compiled_once
from engines.openvino_graph import openvino, openvino_core
from realtime.errors import EngineError
from realtime.types import RgbImage

SIDE = 128  # of the square it takes
SURE = 0.4  # the landmarker, which looks again at what is seen here, wants 0.5
_SURE_LOGIT = float(np.log(SURE / (1 - SURE)))
_GRIDS = ((16, 2), (8, 6))  # places a side, boxes at each


class FaceDetector:
    """Opening raises `EngineError`, and `ImportError` where OpenVINO is not installed."""

    def __init__(self, task: Path) -> None:
        try:
            with zipfile.ZipFile(task) as archive:
                network = archive.read("face_detector.tflite")
            made_from = f"{hashlib.sha256(network).hexdigest()} u8"
            self._request: Any = compiled_once("face-detector.openvino", made_from, lambda: _read(network))
        except (RuntimeError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise EngineError(f"OpenVINO cannot load the face detector in {task.name}: {error}") from error
        self._square = self._request.get_input_tensor().data[0]
        self._given = [self._request.get_output_tensor(number) for number in range(2)]

    def run(self, rgb: RgbImage) -> NDArray[np.float32]:
        """(n, 3): x and y of the middle and the height of each box that may hold a face, in pixels of the picture.

        One face has several boxes, from its eyebrows to its chin.
        """
        height, width = rgb.shape[:2]
        scale, left, top = max(height, width) / SIDE, min(width - height, 0) / 2, min(height - width, 0) / 2
        to_picture = np.array([[scale, 0, left], [0, scale, top]])  # in a black square, not averaged, as MediaPipe's
        how = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_CONSTANT}
        cv2.warpAffine(rgb, to_picture, (SIDE, SIDE), dst=self._square, **how)
        self._request.infer(share_inputs=True, share_outputs=True)
        given, logits = (tensor.data[0] for tensor in self._given)
        seen = np.flatnonzero(logits[:, 0] > _SURE_LOGIT)
        boxes = given[seen][:, [0, 1, 3]]
        boxes[:, :2] += _MIDDLES[seen]
        return np.asarray(boxes * scale + (left, top, 0), np.float32)


def _read(content: bytes) -> Any:
    """The network, of a u8 picture."""
    import openvino.opset13 as ops

    with TemporaryDirectory(prefix="livetoon-", ignore_cleanup_errors=True) as folder:  # Windows maps it
        file = Path(folder) / "face_detector.tflite"
        file.write_bytes(content)
        network = openvino_core().read_model(file)
    network.reshape([1, SIDE, SIDE, 3])
    picture = ops.parameter([1, SIDE, SIDE, 3], np.uint8)
    levels = ops.subtract(ops.divide(ops.convert(picture, "f32"), np.float32(127.5)), np.float32(1))
    network.input(0).replace(levels.output(0))
    return openvino().Model(network.get_results(), [picture])


def _middles() -> NDArray[np.float32]:
    """(896, 2): in pixels of the square, the x and y that each box is counted from."""
    grids = []
    for side, boxes in _GRIDS:
        y, x = np.indices((side, side)).reshape(2, -1) + 0.5
        grids.append(np.repeat(np.stack([x, y], axis=1) * (SIDE / side), boxes, axis=0))
    return np.concatenate(grids).astype(np.float32)


_MIDDLES = _middles()
