"""Training-time augmentation against NumPy, the views' own functions and PIL."""

import pickle

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from pydantic import ValidationError

from podium.imaging import views
from podium.training import augmentation_ops
from podium.training.augmentation import OPERATIONS, Augmentation

N, PX, K = 40, 16, 3
IMAGES = np.random.default_rng(0).integers(0, 256, (N, PX, PX, 3), dtype=np.uint8)
TARGETS = np.eye(K, dtype=np.float32)[np.arange(N) % K]
MIXING = ("mixup", "cutmix")
pytestmark = pytest.mark.keras


def apply(items, seed=0, images=IMAGES, targets=TARGETS):
    """Return the changed batch as arrays."""
    changed, mixed = Augmentation.model_validate(items).apply(images, targets, seed)
    return np.asarray(changed), np.asarray(mixed)


@pytest.fixture(params=OPERATIONS, scope="module")
def name(request):
    return request.param


def test_nothing_is_the_default():
    """No operation: the batch as float32."""
    images, targets = apply([])
    np.testing.assert_array_equal(images, IMAGES.astype(np.float32))
    np.testing.assert_array_equal(targets, TARGETS)


def test_the_seed_alone_decides(name):
    """The same seed gives the same bytes whatever was drawn before; another seed, or place in the list, others."""
    first = apply([name], seed=3)
    apply([name], seed=4)
    again, other = apply([name], seed=3), apply([name], seed=4)
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()
    placed = Augmentation.model_validate(["hflip", name]).operations[1]
    assert placed == Augmentation.model_validate([name]).operations[0]
    unmoved = apply([{"hflip": 0.0}, name], seed=3)[0]
    assert unmoved.tobytes() != first[0].tobytes()


def test_pixels_stay_pixels_and_only_mixing_touches_targets(name):
    """Float32 of the same shape in [0, 255]; neither the given array nor its neighbour is written to."""
    before = IMAGES.copy()
    for seed in range(3):
        images, targets = apply([name], seed)
        assert (images.shape, images.dtype) == (IMAGES.shape, np.float32)
        assert images.min() >= 0
        assert images.max() <= 255 + 1e-3
        assert (targets.shape, targets.dtype) == (TARGETS.shape, np.float32)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        assert np.array_equal(targets, TARGETS) == (name not in MIXING)
    np.testing.assert_array_equal(before, IMAGES)


def test_pictures_are_changed_one_by_one(name):
    """No two of a batch of equal pictures go the same way, but where there are two ways only."""
    same = np.repeat(IMAGES[:1], N, axis=0)
    if name in MIXING:
        pytest.skip("equal pictures mix to themselves")
    images, _ = apply([name], images=same)
    ways = len({picture.tobytes() for picture in images.round(3)})
    assert ways == 2 if name in views.VIEWS else ways > 5


@pytest.mark.parametrize("name", [name for name in views.VIEWS if name != "identity"])
def test_a_views_name_means_the_view(name):
    """Each picture is as it was or its view, about half of them; all of them at chance 1."""
    view = views.VIEWS[name]
    expected = np.stack([views.apply(image, view.operation, view.parameters) for image in IMAGES])
    np.testing.assert_array_equal(apply([{name: 1}])[0], expected)
    found, _ = apply([name])
    is_view = (found == expected).all(axis=(1, 2, 3))
    assert ((found == IMAGES).all(axis=(1, 2, 3)) ^ is_view).all()
    assert 0.25 < is_view.mean() < 0.75


def test_every_view_of_the_package_is_an_operation():
    """Names mean the same in `views` and `augment`."""
    assert set(views.VIEWS) - {"identity"} <= set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_another_process_gets_the_same_operation(name):
    """Several share the name of their class, by which pickle would look for them."""
    given = Augmentation.model_validate([name])
    taken = pickle.loads(pickle.dumps(given))
    assert taken == given
    assert type(taken.operations[0]) is OPERATIONS[name]


def test_a_crop_is_a_window_of_the_mirrored_surroundings():
    """Pad by two pixels, mirrored, and cut out: each result is one of the 25 windows, and most of them occur."""
    found, _ = apply([{"crop": 2 / PX}])
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric").astype(np.float32)
    seen = set()
    for picture, surroundings in zip(found, padded, strict=True):
        windows = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if np.allclose(picture, surroundings[y : y + PX, x : x + PX], atol=1e-2)
        ]
        assert len(windows) == 1
        seen.update(windows)
    assert len(seen) > 12
    assert {y for y, _ in seen} == {x for _, x in seen} == set(range(5))


def disc(px=65):
    """A smooth bright spot right of and above the centre, `(1, px, px, 3)`."""
    y, x = np.mgrid[:px, :px]
    spot = 250 * np.exp(-((x - 44) ** 2 + (y - 24) ** 2) / 20)
    return np.repeat(spot[None, ..., None], 3, axis=3).astype(np.float32)


def centre_of(picture):
    """Return the spot's place (x, y) from the picture's centre, right and up."""
    y, x = np.mgrid[:65, :65]
    weight = picture[..., 0] / picture[..., 0].sum()
    return np.array([(weight * x).sum() - 32, 32 - (weight * y).sum()])


def test_oblong_pictures_are_moved_by_shares_of_each_side():
    """A crop shifts by whole pixels, along each side by its own share at most; a turn is about the middle."""
    rng = np.random.default_rng(1)
    oblong = rng.integers(0, 256, (30, 8, 24, 3), dtype=np.uint8)
    moved, _ = apply([{"crop": 0.25}], images=oblong, targets=TARGETS[:30])
    down, right = set(), set()
    for picture, whole in zip(moved, oblong, strict=True):
        around = np.pad(whole, ((2, 2), (6, 6), (0, 0)), mode="symmetric")
        places = [
            (y - 2, x - 6)
            for y in range(5)
            for x in range(13)
            if np.allclose(around[y : y + 8, x : x + 24], picture, atol=1e-3)
        ]
        assert len(places) == 1
        down.add(places[0][0])
        right.add(places[0][1])
    assert down == {-2, -1, 0, 1, 2}
    assert min(right) < -3
    assert max(right) > 3
    half = np.asarray(
        augmentation_ops.warped(augmentation_ops.tensor(oblong), augmentation_ops.turned(np.full(30, 180)))
    )
    np.testing.assert_allclose(half, oblong[:, ::-1, ::-1], atol=0.01)
    boxes = augmentation_ops.boxes(np.full((2, 30), 0.5), rng.random((2, 30)), (8, 24))
    assert boxes.shape == (30, 8, 24, 1)
    assert (boxes.sum(axis=(1, 2, 3)) == 4 * 12).all()


def test_matrices_move_turn_and_slant_as_they_say():
    """A spot 12 right and 8 up lands where plane geometry puts it."""
    spot = disc()
    moved = np.asarray(augmentation_ops.warped(spot, augmentation_ops.moved(np.array([[5.0], [-3.0]]))))[0]
    assert centre_of(moved) == pytest.approx([17, 11], abs=0.1)
    turned = np.asarray(augmentation_ops.warped(spot, augmentation_ops.turned(np.array([90.0]))))[0]
    assert centre_of(turned) == pytest.approx([-8, 12], abs=0.1)
    np.testing.assert_allclose(turned, np.rot90(spot[0]), atol=1e-2)
    slanted = np.asarray(augmentation_ops.warped(spot, augmentation_ops.slanted(np.array([[0.5], [0.0]]))))[0]
    assert centre_of(slanted) == pytest.approx([12 + 0.5 * 8, 8], abs=0.1)


def test_ranges_are_kept_by_what_moves():
    """Shifts, angles and zooms reach about their bounds in many draws, both ways, and do not pass them."""
    spots = np.repeat(disc(), 300, axis=0)
    centres = np.array([centre_of(picture) for picture in apply([{"shift": 0.1}], 0, spots, np.zeros((300, 1)))[0]])
    by = (centres - [12, 8]) / 65
    assert np.abs(by).max() == pytest.approx(0.1, abs=0.01)
    assert by.min() == pytest.approx(-0.1, abs=0.01)
    centres = np.array([centre_of(picture) for picture in apply([{"rotation": 20}], 0, spots, np.zeros((300, 1)))[0]])
    angles = np.rad2deg(np.arctan2(centres[:, 1], centres[:, 0]) - np.arctan2(8, 12))
    assert (angles.min(), angles.max()) == (pytest.approx(-20, abs=1), pytest.approx(20, abs=1))
    centres = np.array([centre_of(picture) for picture in apply([{"zoom": 0.2}], 0, spots, np.zeros((300, 1)))[0]])
    factors = np.hypot(*centres.T) / np.hypot(12, 8)
    assert (factors.min(), factors.max()) == (pytest.approx(0.8, abs=0.02), pytest.approx(1.25, abs=0.02))


def test_what_moves_is_interpolated_once():
    """A shift and the shift back, joined, give the picture itself: nothing is blurred twice, in the list's order."""
    there, back = augmentation_ops.moved(np.full((2, N), 0.5)), augmentation_ops.moved(np.full((2, N), -0.5))
    blurred = np.asarray(augmentation_ops.warped(np.asarray(augmentation_ops.warped(IMAGES, there)), back))
    joined = np.asarray(augmentation_ops.warped(IMAGES.astype(np.float32), there @ back))
    np.testing.assert_allclose(joined, IMAGES, atol=1e-2)
    assert np.abs(blurred - IMAGES).mean() > 10
    shift, turn = augmentation_ops.moved(np.array([[6.0], [0.0]])), augmentation_ops.turned(np.array([90.0]))
    both = np.asarray(augmentation_ops.warped(disc(), shift @ turn))[0]  # moved right to (18, 8), then turned
    assert centre_of(both) == pytest.approx([-8, 18], abs=0.1)


@pytest.mark.parametrize(
    ("name", "enhance"),
    [("brightness", ImageEnhance.Brightness), ("color", ImageEnhance.Color), ("contrast", ImageEnhance.Contrast)],
)
@pytest.mark.parametrize("factor", [0.3, 1.6])
def test_colours_are_pils(name, enhance, factor):
    """Within the rounding of PIL's bytes."""
    found = np.asarray(augmentation_ops.blended(IMAGES.astype(np.float32), name, np.full(N, factor)))
    expected = np.stack([np.asarray(enhance(Image.fromarray(image)).enhance(factor)) for image in IMAGES])
    assert np.abs(found - expected).max() < 2.0


def test_sharpness_is_away_from_pils_smooth():
    """Factor 0 is PIL's SMOOTH filter, inside its border of one pixel."""
    found = np.asarray(augmentation_ops.blended(IMAGES.astype(np.float32), "sharpness", np.zeros(N)))[:, 1:-1, 1:-1]
    smooth = np.stack([np.asarray(Image.fromarray(image).filter(ImageFilter.SMOOTH)) for image in IMAGES])
    assert np.abs(found - smooth[:, 1:-1, 1:-1]).max() < 1.0


def test_mixup_mixes_pictures_and_targets_by_the_same_share():
    """With one-hot rows as targets, the result's target says which pictures were mixed, and how."""
    rows = np.eye(N, dtype=np.float32)
    images, shares = apply([{"mixup": 0.5}], targets=rows)
    np.testing.assert_allclose(images, np.tensordot(shares, IMAGES, axes=1), atol=1e-2)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert ((shares > 0.01).sum(axis=1) == 2).mean() > 0.5
    np.testing.assert_array_equal(apply([{"mixup": {"chance": 0}}])[0], IMAGES)


def test_cutmix_takes_a_box_and_its_share_of_the_target():
    """Each pixel is the picture's own or the other's; the target counts them; the others lie in one box."""
    rows = np.eye(N, dtype=np.float32)
    images, shares = apply([{"cutmix": {"chance": 1}}], targets=rows)
    mixed = 0
    for n in range(N):
        other = int(np.where(np.arange(N) == n, -1, shares[n]).argmax())
        is_own = (images[n] == IMAGES[n]).all(axis=-1)
        if shares[n, n] == 1:
            assert is_own.all()
            continue
        assert ((images[n] == IMAGES[other]).all(axis=-1) | is_own).all()
        assert shares[n, n] == pytest.approx(is_own.mean(), abs=0.01)
        places = np.argwhere(~is_own)
        height, width = np.ptp(places, axis=0) + 1
        assert abs(height * width - len(places)) <= 2  # a pixel may be the same in both
        mixed += 1
    assert mixed > N / 2


def test_erasing_leaves_all_but_a_box_of_one_colour():
    """About half of the pictures; no box is larger than the share that is allowed."""
    images, _ = apply([{"erasing": {"area": 0.3}}])
    is_erased = (images != IMAGES).any(axis=-1)
    assert 0.25 < is_erased.any(axis=(1, 2)).mean() < 0.75
    for picture, mask in zip(images, is_erased, strict=True):
        if mask.any():
            assert len(np.unique(picture[mask], axis=0)) == 1
            assert 0 < mask.mean() <= 0.36  # whole pixels
            height, width = np.ptp(np.argwhere(mask), axis=0) + 1
            assert height * width == mask.sum()


def test_rand_augment_uses_all_its_operations_in_a_batch():
    """Dealt once, forty equal pictures go at least fifteen ways: thirteen operations, most with two directions."""
    gradient = np.linspace(20, 200, PX)[None, None, :, None] * np.array([1.0, 0.7, 0.4])
    same = np.repeat(np.broadcast_to(gradient, (1, PX, PX, 3)), N, axis=0).astype(np.float32)
    images, _ = apply([{"rand_augment": {"ops": 1, "strength": 0.5}}], images=same)
    ways = {picture.round(1).tobytes() for picture in images}
    assert 15 <= len(ways) <= 23
    few, _ = apply([{"rand_augment": {"ops": 1, "strength": 0.5}}], images=same[:3], targets=TARGETS[:3])
    assert few.shape == (3, PX, PX, 3)


def test_rand_augments_own_operations_by_hand():
    """Posterize drops bits, solarize turns what is bright, autocontrast uses the whole range."""
    images, signs = IMAGES.astype(np.float32), np.ones(N)
    posterized = np.asarray(augmentation_ops.RAND_AUGMENT["posterize"](images, 0.5, signs))
    np.testing.assert_array_equal(posterized, IMAGES & 0b11111100)
    solarized = np.asarray(augmentation_ops.RAND_AUGMENT["solarize"](images, 0.4, signs))
    np.testing.assert_array_equal(solarized, np.where(IMAGES < 153, IMAGES, 255 - IMAGES))
    dull = 100 + images / 10
    stretched = np.asarray(augmentation_ops.RAND_AUGMENT["autocontrast"](dull, 0.5, signs))
    low, high = dull.min(axis=(1, 2), keepdims=True), dull.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(stretched, (dull - low) / (high - low) * 255, atol=1e-2)
    flat = np.full_like(images, 7.0)
    np.testing.assert_array_equal(np.asarray(augmentation_ops.RAND_AUGMENT["autocontrast"](flat, 0.5, signs)), flat)


def test_operations_are_read_from_names_numbers_and_fields():
    """A lone number is the first field."""
    first, second, third = Augmentation.model_validate(["hflip", {"shift": 0.3}, {"mixup": {"chance": 0.5}}]).operations
    assert first.chance == 0.5
    assert second.share == 0.3
    assert (third.alpha, third.chance) == (0.2, 0.5)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["hflipp"], "unknown operation 'hflipp'; choose from: hflip, vflip, rot90"),
        (["identity"], "unknown operation 'identity'; choose from:"),
        ([{"shift": {"by": 1}}], "shift: unknown key 'by'; choose one of: share"),
        ([{"shift": 3}], "shift.share: Input should be less than or equal to 0.5, not 3"),
        ([{"mixup": {"alpha": "x"}}], "mixup.alpha: Input should be a valid number, .*, not 'x'"),
        ([{"shift": 0.1, "hflip": 0.5}], "an operation is a name or one name with its parameters, not"),
        ([3], "an operation is a name or one name with its parameters, not 3"),
        ("hflip", "must be a list of operations"),
        ({"hflip": 0.5}, "must be a list of operations"),
    ],
)
def test_a_wrong_list_is_told_in_one_line(items, message):
    """With the valid choices."""
    with pytest.raises(ValidationError, match=f"Value error, {message}"):
        Augmentation.model_validate(items)


def test_the_sheet_shows_pictures_beside_what_became_of_them():
    """One line a picture, six columns, the first as it is."""
    black = np.zeros((2, PX, PX, 3), np.uint8)
    augmentation = Augmentation.model_validate([{"erasing": {"chance": 1, "area": 0.5}}])
    sheet = cv2.imdecode(np.frombuffer(augmentation.contact_sheet(black, seed=0), np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape == (24 + 2 * 164, 6 * 164, 3)
    cells = sheet[24 : 24 + 160].reshape(160, 6, 164, 3)[:, :, :160]
    assert cells[:, 0].max() == 0
    assert (cells[:, 1:].max(axis=(0, 2, 3)) > 30).all()
    assert augmentation.contact_sheet(black, seed=0) == augmentation.contact_sheet(black, seed=0)


def masks_of(images):
    """Return `(n, h, w, 2)`: masks that can be told from the pixels, so that they must move with them."""
    return np.stack([images[..., 0] > 127, images[..., 1] > 127], axis=-1).astype(np.float32)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if OPERATIONS[name].moves])
def test_a_mask_moves_with_its_pixels(name):
    """Drawn as colours, masks are moved and mixed by the function that moves and mixes colours: the oracle."""
    masks = masks_of(IMAGES)
    painted = np.concatenate([masks, np.zeros_like(masks[..., :1])], axis=-1) * 255
    done = Augmentation.model_validate([name])
    images, moved = (np.asarray(part) for part in done.apply_with_masks(IMAGES, masks, seed=5))
    np.testing.assert_array_equal(images, apply([name], seed=5)[0])
    np.testing.assert_allclose(moved, apply([name], seed=5, images=painted)[0][..., :2] / 255, atol=1e-5)
    assert np.abs(moved - masks).max() > 0.5


@pytest.mark.parametrize("name", ["hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "antitranspose"])
def test_an_exact_view_leaves_a_mask_on_its_pixels(name):
    """No pixel is off by one: the mask can still be read from the moved image."""
    images, moved = Augmentation.model_validate([{name: 1.0}]).apply_with_masks(IMAGES, masks_of(IMAGES), seed=1)
    np.testing.assert_array_equal(np.asarray(moved), masks_of(np.asarray(images)))
    assert (np.asarray(images) != IMAGES).any()


@pytest.mark.parametrize("name", ["brightness", "contrast", "color", "sharpness", "erasing"])
def test_what_recolours_leaves_masks(name):
    """Images change as they do without masks."""
    masks = masks_of(IMAGES)
    images, kept = Augmentation.model_validate([name]).apply_with_masks(IMAGES, masks, seed=5)
    np.testing.assert_array_equal(np.asarray(kept), masks)
    np.testing.assert_array_equal(np.asarray(images), apply([name], seed=5)[0])
