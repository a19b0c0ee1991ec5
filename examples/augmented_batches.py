"""A generator of batches, augmented as they are made, shown as a contact sheet.

    python examples/augmented_batches.py [PICTURE.png]

Each epoch takes every picture once, in another order; the last batch is as long as what is left. Augmentations are
podium's own, as a finetune in params.yaml names them; seed, epoch and step decide them: a batch can be made again.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from podium.imaging import contact_sheet
from podium.imaging.images import Resize, resize
from podium.splits.folds import seed_of
from podium.training.augmentation import Augmentation

AUGMENT = Augmentation.model_validate(
    ["hflip", {"crop": 0.125}, {"rotation": 10}, {"brightness": 0.2}, {"erasing": 0.3}]
)


def batches(
    images: np.ndarray, labels: np.ndarray, size: int, augment: Augmentation, seed: int, epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield one epoch: pictures `(b, px, px, 3)` uint8 RGB, b at most `size`, and their labels `(b, k)` float32.

    Args:
        images: `(n, px, px, 3)` uint8 RGB, which stay as they are.
        labels: `(n, k)` float32; operations that mix pictures mix these too.
        size: of a batch.
        augment: operations, applied in their order.
        seed: with the epoch, all that decides order and augmentation.
        epoch: from 0.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(images))
    for step, start in enumerate(range(0, len(order), size)):
        chosen = order[start : start + size]
        changed, targets = augment.apply(images[chosen], labels[chosen], seed_of(seed, epoch, step))
        yield np.asarray(changed).round().clip(0, 255).astype(np.uint8), np.asarray(targets)


def pictures(px: int) -> tuple[np.ndarray, list[str]]:
    """Return five photographs that come with scikit-image, `(5, px, px, 3)` uint8 RGB, and their names."""
    from skimage import data

    names = ["astronaut", "chelsea", "coffee", "rocket", "immunohistochemistry"]
    return np.stack([resize(getattr(data, name)(), Resize(mode="crop"), px) for name in names]), names


def main(picture: Path, epochs: int = 4, px: int = 160, augment: Any = AUGMENT) -> Sequence[int]:
    """Write each picture as it is, and as each epoch sees it; returns how many batches of which size an epoch has."""
    images, names = pictures(px)
    labels = np.eye(len(images), dtype=np.float32)
    lines, sizes = [[image] for image in images], []
    for epoch in range(epochs):
        made = list(batches(images, labels, 2, augment, seed=1, epoch=epoch))
        sizes = [len(batch) for batch, _ in made]
        for changed, own in zip(*(np.concatenate(part) for part in zip(*made, strict=True)), strict=True):
            lines[own.argmax()].append(changed)
    picture.write_bytes(contact_sheet.draw(["picture", *(f"epoch {epoch}" for epoch in range(epochs))], lines))
    print(f"{len(names)} pictures in batches of {', '.join(map(str, sizes))}, {epochs} epochs")
    return sizes


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "augmented_batches.png"))
