"""The peers of benchmarks/extraction.py, in a Python of their own: torch and ONNX Runtime on EfficientNet-Lite0.

    python3.11 -m venv peers && peers/bin/pip install -r benchmarks/extraction_peers.txt
    python benchmarks/extraction.py --peers peers/bin/python

They read loose files with OpenCV, in a thread per core and two batches ahead, and run batches of 32, channels last,
with the weights of the same package. For each line of standard input: one round, and a line with images per second.
"""

import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from efficientnet_lite_pytorch import EfficientNet

BATCH, PX = 32, 224
Run = Callable[[np.ndarray], object]  # (n, px, px, 3) uint8 RGB -> features


class Features(torch.nn.Module):
    """The last feature map's mean over places."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return `(n, 1280)` of `(n, 3, px, px)`."""
        return self.network.extract_features((images - 127) / 128).mean(dim=(2, 3))


def peers(weights: str) -> dict[str, Run]:
    """Return the contenders by name."""
    model = Features(weights).eval().to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        torch.onnx.export(model, (torch.zeros(BATCH, 3, PX, PX),), path, dynamo=False, input_names=["images"])
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def float32(pixels: np.ndarray) -> object:
        return model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float()).numpy()

    def bfloat16(pixels: np.ndarray) -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float()).float().numpy()

    def onnx(pixels: np.ndarray) -> object:
        return session.run(None, {"images": pixels.transpose(0, 3, 1, 2).astype(np.float32)})

    return {"torch float32": float32, "torch bfloat16": bfloat16, "ONNX Runtime float32": onnx}


def batches(folder: Path) -> Iterator[np.ndarray]:
    """Yield whole batches of decoded images, decoded ahead by threads."""

    def decoded(path: Path) -> np.ndarray:
        pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        return cv2.resize(pixels, (PX, PX), interpolation=cv2.INTER_AREA)

    files = iter(sorted(folder.glob("*.png")))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ahead = deque(pool.submit(decoded, path) for path in islice(files, 2 * BATCH))
        while ahead:
            some = [ahead.popleft() for _ in range(BATCH)]
            yield np.stack([image.result() for image in some])
            ahead.extend(pool.submit(decoded, path) for path in islice(files, BATCH))


def main() -> None:
    """Measure a round for each line that comes in."""
    folder, weights = Path(sys.argv[1]), sys.argv[2]
    torch.set_grad_enabled(False)
    runs = peers(weights)
    for _ in sys.stdin:
        speeds = {}
        for name, run in runs.items():
            started, n_images = time.perf_counter(), 0
            for pixels in batches(folder):
                run(pixels)
                n_images += len(pixels)
            speeds[name] = n_images / (time.perf_counter() - started)
        print(json.dumps(speeds), flush=True)


if __name__ == "__main__":
    main()
