"""Random changes of training images, as data: an ordered list of operations, applied to a batch on the device.

Every random number is drawn by NumPy from the given seed, so a step that is repeated after a crash, or on another
backend of Keras, sees the same crops; `keras.ops` then does the work wherever KERAS_BACKEND computes. Keras's own
random layers keep a state instead, and three of them do something else: RandomCrop cuts a whole batch at one place,
RandAugment does the same to a whole batch (and computes every operation to keep two, which takes 7 times as long at
224 px), and RandomSaturation leaves [0, 255].
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, ValidationError, model_validator

from podium.imaging import contact_sheet
from podium.imaging.images import Shape
from podium.settings import Settings
from podium.training import augmentation_ops

_DRAWS = 5  # on the sheet
_COLORS = 3


class Operation(Settings):
    """One item of the list; its first field is what a lone number in params.yaml sets."""

    moves: ClassVar[bool] = False  # whether what is drawn on the pixels, such as masks, changes along with them

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how another process makes the same operation: by its name, since kinds share the names of classes."""
        name = next(name for name, kind in OPERATIONS.items() if kind is type(self))
        return _operation, ({name: self.model_dump()},)

    def apply(self, images: Any, targets: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """Return `(n, h, w, 3)` float32 in [0, 255] and `(n, k)` float32, changed; both are tensors."""
        raise NotImplementedError


class _View(Operation):
    """A view of podium.imaging.views, of every picture with the same chance."""

    moves: ClassVar[bool] = True
    view: ClassVar[str]

    chance: float = Field(0.5, ge=0, le=1)
    """That a picture is changed."""

    def apply(self, images: Any, targets: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """See Operation."""
        from keras import ops

        drawn = self.drawn(len(images), rng)
        return ops.where(augmentation_ops.per_image(drawn), self.seen(images), images), targets

    def drawn(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return `(n,)` bool: the images that `apply` changes."""
        return np.asarray(rng.random(n) < self.chance)

    def seen(self, images: Any) -> Any:
        """Return the view of every image."""
        from keras import ops

        is_transposed, flipped = _VIEWS[self.view]
        view = ops.transpose(images, (0, 2, 1, 3)) if is_transposed else images
        return ops.flip(view, flipped) if flipped else view


# View -> whether rows become columns first, and the axes that are reversed then.
_VIEWS = {
    "hflip": (False, (2,)),
    "vflip": (False, (1,)),
    "rot90": (True, (1,)),
    "rot180": (False, (1, 2)),
    "rot270": (True, (2,)),
    "transpose": (True, ()),
    "antitranspose": (True, (1, 2)),
}


class _Affine(Operation):
    """Moves pixels; neighbours in the list are joined into one interpolation. Beyond its edge a picture is mirrored."""

    moves: ClassVar[bool] = True

    def matrices(self, n: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Return `(n, 3, 3)`: from a place (x, y, 1) of the result, in pixels from the centre, to one of the image."""
        raise NotImplementedError


class Crop(_Affine):
    """Pad by `share` of the side and cut the picture out anywhere: a shift by whole pixels, so nothing is blurred."""

    share: float = Field(0.125, gt=0, le=0.5)
    """The most that is cut off, of the side."""

    def matrices(self, n: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """See _Affine."""
        pads = [round(self.share * px) for px in reversed(shape)]  # to the right, and down
        by = np.stack([rng.integers(-pad, pad, n, endpoint=True) for pad in pads])
        return augmentation_ops.moved(by.astype(np.float64))


class Shift(_Affine):
    """Move by up to `share` of the side, along either side."""

    share: float = Field(0.1, gt=0, le=0.5)
    """The furthest move, of the side."""

    def matrices(self, n: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """See _Affine."""
        return augmentation_ops.moved(rng.uniform(-self.share, self.share, (2, n)) * np.array(shape[::-1])[:, None])


class Rotation(_Affine):
    """Turn by up to `degrees`, either way."""

    degrees: float = Field(15.0, gt=0, le=180)
    """The largest angle, either way."""

    def matrices(self, n: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002  # an angle has no size
        """See _Affine."""
        return augmentation_ops.turned(rng.uniform(-self.degrees, self.degrees, n))


class Zoom(_Affine):
    """Enlarge or shrink by a factor between 1 - share and 1 / (1 - share), in both directions alike."""

    share: float = Field(0.2, gt=0, lt=1)
    """The strongest zoom: a factor of 1 - share."""

    def matrices(self, n: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002  # it is relative
        """See _Affine."""
        matrices = augmentation_ops.unchanged(n)
        matrices[:, 0, 0] = matrices[:, 1, 1] = np.exp(rng.uniform(-1, 1, n) * math.log(1 - self.share))
        return matrices


class Shear(_Affine):
    """Slant by up to `share` pixels a pixel, along both sides."""

    share: float = Field(0.1, gt=0, le=1)
    """The strongest shear."""

    def matrices(self, n: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002  # it is relative
        """See _Affine."""
        return augmentation_ops.slanted(rng.uniform(-self.share, self.share, (2, n)))


class _Blend(Operation):
    """Away from, or towards, a picture that lacks something, by a factor between 1 - share and 1 + share."""

    degenerate: ClassVar[str]

    share: float = Field(0.2, gt=0, le=1)
    """The strongest change: a factor between 1 - share and 1 + share."""

    def apply(self, images: Any, targets: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """See Operation."""
        return augmentation_ops.blended(
            images, self.degenerate, 1 + rng.uniform(-self.share, self.share, len(images))
        ), targets


class RandAugment(Operation):
    """`ops` operations for each picture, drawn from thirteen: Cubuk et al. 2019, less slow equalisation.

    A shuffled batch is split among the operations, each of which computes its own part only.
    """

    strength: float = Field(0.3, gt=0, le=1)
    """Of each operation, from 0 to 1."""
    ops: int = Field(2, ge=1)
    """Operations in a row."""

    def apply(self, images: Any, targets: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """See Operation."""
        from keras import ops

        names = list(augmentation_ops.RAND_AUGMENT)
        for _ in range(self.ops):
            order = rng.permutation(len(images))
            parts = []
            # In another order each time, since the first ones get what cannot be divided.
            for name, part in zip(rng.permutation(names), np.array_split(order, len(names)), strict=True):
                if len(part):
                    signs = rng.choice((-1.0, 1.0), len(part))
                    some = ops.take(images, part, axis=0)
                    parts.append(augmentation_ops.RAND_AUGMENT[name](some, self.strength, signs))
            images = ops.take(ops.concatenate(parts), np.argsort(order), axis=0)
        return images, targets


class MixUp(Operation):
    """A weighted mean of each picture with another, and of their targets (Zhang et al. 2017): beta(alpha, alpha)."""

    moves: ClassVar[bool] = True

    alpha: float = Field(0.2, gt=0)
    """Of the Beta(alpha, alpha) that the share is drawn from."""
    chance: float = Field(1.0, ge=0, le=1)
    """That a picture is mixed."""

    def apply(self, images: Any, targets: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """See Operation."""
        n = len(images)
        share = np.where(rng.random(n) < self.chance, rng.beta(self.alpha, self.alpha, n), 1.0)
        other = rng.permutation(n)
        return augmentation_ops.mixed(images, other, augmentation_ops.per_image(share)), augmentation_ops.mixed(
            targets, other, augmentation_ops.tensor(share[:, None])
        )


class CutMix(Operation):
    """A box of another picture, and of its target as much as the box has pixels (Yun et al. 2019)."""

    moves: ClassVar[bool] = True

    alpha: float = Field(1.0, gt=0)
    """Of the Beta(alpha, alpha) that the share of the area is drawn from."""
    chance: float = Field(0.5, ge=0, le=1)
    """That a picture gets a box of another."""

    def apply(self, images: Any, targets: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """See Operation."""
        from keras import ops

        n, shape = len(images), images.shape[1:3]
        area = np.where(rng.random(n) < self.chance, 1 - rng.beta(self.alpha, self.alpha, n), 0.0)
        is_other = augmentation_ops.boxes(np.sqrt([area, area]), rng.random((2, n)), shape)
        other = rng.permutation(n)
        images = ops.where(ops.convert_to_tensor(is_other), ops.take(images, other, axis=0), images)
        share = 1 - is_other.mean(axis=(1, 2, 3))
        return images, augmentation_ops.mixed(targets, other, augmentation_ops.tensor(share[:, None]))


class Erasing(Operation):
    """A box of one random colour (Zhong et al. 2017): up to `area` of the picture, up to 3 times as long as wide."""

    chance: float = Field(0.5, ge=0, le=1)
    """That a box of a picture is erased."""
    area: float = Field(0.33, gt=0.02, lt=1)
    """The largest part of the picture that is erased."""

    def apply(self, images: Any, targets: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """See Operation."""
        from keras import ops

        n, shape = len(images), images.shape[1:3]
        area = np.where(rng.random(n) < self.chance, rng.uniform(0.02, self.area, n), 0.0)
        ratio = np.exp(rng.uniform(-1, 1, n) * math.log(3))
        box = augmentation_ops.boxes(np.sqrt([area * ratio, area / ratio]), rng.random((2, n)), shape)
        color = augmentation_ops.tensor(rng.uniform(0, 255, (n, 1, 1, 3)))
        return ops.where(ops.convert_to_tensor(box), color, images), targets


def _kind(base: type[Operation], **constants: str) -> type[Operation]:
    """Return a class of its own for a view or a degenerate image."""
    return type(base.__name__, (base,), {**constants, "__module__": __name__, "__doc__": base.__doc__})


OPERATIONS: dict[str, type[Operation]] = {
    **{name: _kind(_View, view=name) for name in _VIEWS},
    "crop": Crop,
    "shift": Shift,
    "rotation": Rotation,
    "zoom": Zoom,
    "shear": Shear,
    **{name: _kind(_Blend, degenerate=name) for name in ("brightness", "contrast", "color", "sharpness")},
    "rand_augment": RandAugment,
    "mixup": MixUp,
    "cutmix": CutMix,
    "erasing": Erasing,
}


class Augmentation(Settings):
    """A list of operations: each a name, a name with its number, or a name with its fields.

    `[hflip, {shift: 0.1}, {mixup: {alpha: 0.2, chance: 0.5}}]`
    """

    operations: tuple[Operation, ...] = ()
    """In the order in which they are applied."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, items: Any) -> Any:
        if isinstance(items, dict) and set(items) <= {"operations"}:  # made in Python
            return items
        if not isinstance(items, list | tuple):
            raise ValueError("must be a list of operations")  # noqa: TRY004  # pydantic takes this one
        return {"operations": tuple(_operation(item) for item in items)}

    @property
    def names(self) -> list[str]:
        """Return the names of the operations, in their order."""
        kinds = {kind: name for name, kind in OPERATIONS.items()}
        return [kinds[type(operation)] for operation in self.operations]

    def apply(self, images: Any, targets: Any, seed: int) -> tuple[Any, Any]:
        """Return a changed batch; the seed alone decides how, and the same seed gives the same bytes.

        Args:
            images: `(n, h, w, 3)` RGB in [0, 255], of any dtype, an array or a tensor.
            targets: `(n, k)`, mixed wherever pictures are; further columns (a weight) may ride along.
            seed: 0 or more; one of its own for each epoch and step.

        Returns:
            Both as float32 tensors of Keras's backend.
        """
        return self._changed(augmentation_ops.tensor(images), augmentation_ops.tensor(targets), seed)

    def apply_with_masks(self, images: Any, masks: Any, seed: int) -> tuple[Any, Any]:
        """Return a changed batch with its masks, moved and mixed alike; the images are those of `apply`, to the bit.

        Args:
            images: `(n, h, w, 3)` RGB in [0, 255], of any dtype, an array or a tensor.
            masks: `(n, h, w, k)` in [0, 1]; between 0 and 1 where pixels are interpolated or mixed.
            seed: as of `apply`.

        Returns:
            Both as float32 tensors of Keras's backend.
        """
        from keras import ops

        images, masks = augmentation_ops.tensor(images), augmentation_ops.tensor(masks)
        both = ops.concatenate([images, masks], axis=-1)
        both, _ = self._changed(both, ops.zeros((len(images), 1)), seed)
        return both[..., :_COLORS], both[..., _COLORS:]

    def _changed(self, pixels: Any, targets: Any, seed: int) -> tuple[Any, Any]:
        """Return `(n, h, w, 3 + k)`, colours and what lies upon them, and targets, changed."""
        joined: np.ndarray | None = None
        for place, operation in enumerate(self.operations):
            rng = np.random.default_rng([seed, place])
            if isinstance(operation, _Affine):
                matrices = operation.matrices(len(pixels), pixels.shape[1:3], rng)
                joined = matrices if joined is None else joined @ matrices
                continue
            if joined is not None:
                pixels, joined = augmentation_ops.warped(pixels, joined), None
            pixels, targets = _applied(operation, pixels, targets, rng)
        return (pixels if joined is None else augmentation_ops.warped(pixels, joined)), targets

    @property
    def is_exact(self) -> bool:
        """Return whether it is a list of views: pixels move and keep their values, and targets stay."""
        return all(isinstance(one, _View) for one in self.operations)

    @property
    def is_affine(self) -> bool:
        """Return whether pixels are interpolated, and so what lies beyond a picture's edges comes into it."""
        return any(isinstance(one, _Affine) for one in self.operations)

    def drawn(self, n: int, seed: int) -> np.ndarray:
        """Return `(n, operations)` bool: which of its views, where it is exact, `apply` gives each of `n` images."""
        views = [one.drawn(n, np.random.default_rng([seed, k])) for k, one in self._views()]
        return np.stack(views, axis=1) if views else np.zeros((n, 0), bool)

    def seen(self, images: Any, drawn: Iterable[bool]) -> Any:
        """Return what `apply` makes of images for which these views, of an exact list, were drawn."""
        images = augmentation_ops.tensor(images)
        for (_, one), is_drawn in zip(self._views(), drawn, strict=True):
            images = one.seen(images) if is_drawn else images
        return images

    def _views(self) -> list[tuple[int, _View]]:
        return [(k, one) for k, one in enumerate(self.operations) if isinstance(one, _View)]

    def contact_sheet(self, images: np.ndarray, seed: int) -> bytes:
        """Return a PNG of training images `(n, h, w, 3)` uint8 as they are, and five times augmented."""
        none = np.zeros((len(images), 1), np.float32)
        draws = [np.asarray(self.apply(images, none, seed + n)[0]) for n in range(_DRAWS)]
        columns = [images, *(pixels.round().clip(0, 255).astype(np.uint8) for pixels in draws)]
        titles = ["as it is", *(f"augmented {n + 1}" for n in range(_DRAWS))]
        return contact_sheet.draw(titles, list(zip(*columns, strict=True)))


def _applied(operation: Operation, pixels: Any, targets: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return `(n, h, w, 3 + k)` and targets, changed; what only recolours leaves all but the first three channels."""
    from keras import ops

    if operation.moves or pixels.shape[-1] == _COLORS:
        return operation.apply(pixels, targets, rng)
    colors, targets = operation.apply(pixels[..., :_COLORS], targets, rng)
    return ops.concatenate([colors, pixels[..., _COLORS:]], axis=-1), targets


def _operation(item: Any) -> Operation:
    """Return one operation; raises ValueError naming what is wrong and what would be right."""
    name, options = (item, None) if isinstance(item, str) else _only(item)
    if name not in OPERATIONS:
        raise ValueError(f"unknown operation {name!r}; choose from: {', '.join(OPERATIONS)}")
    kind = OPERATIONS[name]
    if not isinstance(options, Mapping):
        options = {} if options is None else {next(iter(kind.model_fields)): options}
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ValueError(f"{name}: unknown key {key!r}; choose one of: {', '.join(kind.model_fields)}") from None
        raise ValueError(f"{name}.{key}: {first['msg']}, not {first['input']!r}") from None


def _only(item: Any) -> tuple[Any, Any]:
    if not isinstance(item, Mapping) or len(item) != 1:
        raise ValueError(f"an operation is a name or one name with its parameters, not {item!r}")
    return next(iter(item.items()))
