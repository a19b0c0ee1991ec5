import hashlib
import io
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from podium.imaging import images
from podium.imaging import pixels as pixels_module
from podium.imaging.images import (
    MAX_MEGAPIXELS,
    PADDING,
    Reader,
    Resize,
    UnreadableImageError,
    decode,
    dimensions,
    resize,
)

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (8, 6, 3), dtype=np.uint8)
RGB = Image.fromarray(PIXELS)


def encoded(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png(array):
    """Encode an OpenCV array (BGR or BGRA order) as PNG."""
    return cv2.imencode(".png", array)[1].tobytes()


def photograph(height, width):
    """Noise with detail at several scales, as `(h, w, 3)` uint8."""
    total = np.full((height, width, 3), 120.0)
    for step in (4, 16, 64):
        noise = RNG.normal(0, 20, (height // step + 1, width // step + 1, 3))
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return total.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("form", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("PPM", {})],
)
def test_lossless_formats_give_their_rgb_pixels(form, options):
    """Red stays red: no file comes out in BGR order."""
    np.testing.assert_array_equal(decode(encoded(RGB, form, **options)), PIXELS)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (17, 33), (300, 300)])
def test_gray_is_repeated_and_bgr_reversed(shape):
    """To the bit, whatever the size: three equal channels, and red first."""
    gray = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(decode(png(gray)), np.stack([gray] * 3, axis=2))
    colour = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode(png(colour)), colour[..., ::-1])


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "RGBA"])
def test_other_modes_become_rgb_as_pillow_has_them(mode):
    """Gray, 1 bit, palette, CMYK and opaque alpha agree with Pillow's conversion within one level."""
    data = encoded(RGB.convert(mode), *(("JPEG",) if mode == "CMYK" else ("PNG",)))
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.abs(decode(data).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_undone(form, orientation):
    """All eight orientations come out upright, as Pillow's exif_transpose turns them."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(RGB, form, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(decode(data), np.asarray(expected))


@pytest.mark.parametrize("alpha", [0, 100, 255])
def test_transparency_shows_white(alpha):
    """A transparent pixel is white, an opaque one itself, and one between is mixed."""
    bgra = np.dstack([PIXELS[..., ::-1], np.full((8, 6), alpha, np.uint8)])
    expected = np.rint(PIXELS * (alpha / 255) + 255 * (1 - alpha / 255))
    assert np.abs(decode(png(bgra)) - expected).max() <= 1


def test_sixteen_bits_keep_black_and_white():
    """0 stays 0, 65535 becomes 255, and between them the levels are rounded."""
    levels = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    assert decode(png(levels))[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_sixteen_bit_alpha():
    """Alpha of 16 bits is scaled like the colours."""
    bgra = np.zeros((1, 2, 4), np.uint16)
    bgra[0, 0, 3] = 65535
    assert decode(png(bgra))[0].tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_file_that_is_cut_short_is_refused(form):
    """Half a file is no image, not one whose lower half is gray."""
    data = encoded(Image.fromarray(RNG.integers(0, 256, (200, 200, 3), dtype=np.uint8)), form)
    with pytest.raises(UnreadableImageError, match="damaged or cut short"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"<html>Sign in</html>", "web page"), (b"\x00" * 50, "no image"), (b"GIF8", "cut short")],
)
def test_what_is_no_image_is_refused_with_a_reason(data, reason):
    """An empty file, a web page and noise are told apart."""
    with pytest.raises(UnreadableImageError, match=reason):
        decode(data)


def test_floating_point_pixels_are_refused():
    """Nobody knows which number is white."""
    data = cv2.imencode(".tiff", RNG.random((4, 4, 3)).astype(np.float32))[1].tobytes()
    with pytest.raises(UnreadableImageError, match="float32"):
        decode(data)


FORMS = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"]


@pytest.mark.parametrize("form", FORMS)
def test_dimensions_come_from_the_header(form):
    """Of every format that is read, as many as OpenCV decodes; a bound is the largest number of pixels that passes."""
    data = encoded(Image.new("RGB", (200, 100)), form)
    assert dimensions(data) == (200, 100)
    assert decode(data, max_megapixels=0.02).shape == (100, 200, 3)
    with pytest.raises(UnreadableImageError, match=r"says 200 x 100 .*max_megapixels \(0\.019\)"):
        decode(data, max_megapixels=0.019)


# Format -> what says 200 x 100 in its header, and the same with a side of 60,000.
SIDES = {
    "PNG": (struct.pack(">II", 200, 100), struct.pack(">II", 60000, 60000)),
    "JPEG": (struct.pack(">HH", 100, 200), struct.pack(">HH", 60000, 60000)),
    "GIF": (struct.pack("<HH", 200, 100), struct.pack("<HH", 60000, 60000)),
    "BMP": (struct.pack("<ii", 200, 100), struct.pack("<ii", 60000, 60000)),
    "PPM": (b"200 100", b"60000 60000"),
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_opencv_4_turns_pictures_too(form, orientation, monkeypatch):
    """It does not say what a camera wrote; the pixels are the same."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(RGB, form, exif=exif)
    expected = decode(data)
    monkeypatch.delattr(cv2, "imdecodeWithMetadata")
    np.testing.assert_array_equal(decode(data), expected)
    with pytest.raises(UnreadableImageError, match="damaged or cut short"):
        decode(data[:30])


@pytest.mark.parametrize("form", SIDES)
def test_a_false_header_asks_for_no_memory(form, monkeypatch):
    """A few kilobytes that stand for 3.6 billion pixels never reach the decoder."""
    data = encoded(Image.new("RGB", (200, 100)), form).replace(*SIDES[form])
    monkeypatch.delattr(cv2, "imdecodeWithMetadata")
    monkeypatch.delattr(cv2, "imdecode")
    with pytest.raises(UnreadableImageError, match=r"its header says 60000 x 60000 pixels"):
        decode(data, MAX_MEGAPIXELS)


@pytest.mark.parametrize("data", [b"x" * 100, png(PIXELS)[:20], b"GIF89a", b"<html>"])
def test_a_bound_refuses_what_has_no_header(data):
    """What no size is known of is not decoded."""
    with pytest.raises(UnreadableImageError):
        decode(data, MAX_MEGAPIXELS)


@pytest.mark.parametrize("strip", [1, 7, 50, 10**6])
def test_strips_do_not_show(strip, monkeypatch):
    """Large images are converted a few rows at a time: the same pixels, whatever the rows."""
    deep = RNG.integers(0, 2**16, (9, 7, 4), dtype=np.uint16)
    expected = decode(png(deep))
    monkeypatch.setattr(pixels_module, "_STRIP_PX", strip)
    np.testing.assert_array_equal(decode(png(deep)), expected)


def test_a_damaged_sheet_is_decoded_once(tmp_path, monkeypatch):
    """Not anew for each of its ten thousand rows."""
    (tmp_path / "sheet.png").write_bytes(png(PIXELS)[:-30])
    calls = []
    monkeypatch.setattr(images, "decode", lambda *args: calls.append(1) or decode(*args))
    with Reader(tmp_path) as reader:
        for row in range(5):
            with pytest.raises(UnreadableImageError, match="damaged"):
                reader.read(f"sheet.png#{row}")
    assert len(calls) == 1


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"comment": b"\xff\xc0" * 40}, {"restart_marker_rows": 2}]
)
@pytest.mark.parametrize(
    ("shape", "least_px", "factor"),
    [((640, 808), 40, 8), ((640, 808), 81, 4), ((640, 808), 160, 4), ((640, 808), 161, 2), ((640, 319), 160, 1)],
)
def test_a_reduced_jpeg_is_what_pillow_s_draft_gives(shape, least_px, factor, options):
    """The same scaled transform, by the greatest factor that leaves both sides long enough."""
    data = encoded(Image.fromarray(photograph(*shape)), "JPEG", quality=95, **options)
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (shape[1] // factor, shape[0] // factor))
    expected = np.asarray(image)
    assert expected.shape[:2] == (shape[0] // factor, shape[1] // factor)
    found = decode(data, least_px=least_px)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_reduced_jpeg_is_upright_and_rgb(mode, orientation):
    """Gray and CMYK too: what is reduced is the image that `decode` gives otherwise."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(photograph(160, 240)).convert(mode), "JPEG", exif=exif, quality=95)
    whole, found = decode(data), decode(data, least_px=40)
    assert found.shape == (whole.shape[0] // 4, whole.shape[1] // 4, 3)
    averaged = cv2.resize(whole, found.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(found.astype(int) - averaged).mean() < 2


@pytest.mark.parametrize(
    "data", [png(np.zeros((400, 400, 3), np.uint8)), encoded(RGB, "JPEG")], ids=["PNG", "small JPEG"]
)
def test_what_is_no_large_jpeg_is_decoded_whole(data):
    """To the bit as without the choice."""
    np.testing.assert_array_equal(decode(data, least_px=20), decode(data))


def test_a_reduced_jpeg_that_is_damaged_has_a_reason():
    """Cut short in its header, in its size and in its pixels."""
    data = encoded(Image.fromarray(photograph(160, 240)), "JPEG")
    for end in (3, 12, data.index(b"\xff\xc0") + 6, len(data) // 2):
        with pytest.raises(UnreadableImageError, match="damaged or cut short"):
            decode(data[:end], least_px=20)


def test_the_least_size_is_twice_the_square_and_part_of_the_description():
    """Only where it is asked for: other fingerprints stay what they were."""
    reduced = Resize(px=100, mode="crop", decode="reduced")
    assert (reduced.least_px(224), Resize(decode="reduced").least_px(224), Resize().least_px(224)) == (200, 448, None)
    assert Resize(px=100).description(224) == "100 px, squash, area"
    assert reduced.description(224) == "100 px, crop, area, reduced decoding"


def test_a_square_is_read_reduced(tmp_path):
    """The reader and the choice together: the square differs from the whole image's by less than a level."""
    (tmp_path / "a.jpg").write_bytes(encoded(Image.fromarray(photograph(640, 808)), "JPEG", quality=95))
    with Reader(tmp_path) as reader:
        whole = reader.resized("a.jpg", Resize(), 40)
        found = reader.resized("a.jpg", Resize(decode="reduced"), 40)
        by_hand = resize(reader.read("a.jpg", 80), Resize(), 40)
    np.testing.assert_array_equal(found, by_hand)
    assert 0 < np.abs(found.astype(int) - whole).mean() < 1


def test_pad_adds_gray_and_crop_cuts_both_sides():
    """A wide image is padded above and below, or loses its left and right."""
    wide = np.zeros((2, 6, 3), np.uint8)
    wide[:, 2:4] = 255
    padded = resize(wide, Resize(mode="pad"), 6)
    assert padded[:, 0, 0].tolist() == [127, 127, 0, 0, 127, 127]
    assert (resize(wide, Resize(mode="crop"), 2) == 255).all()


def test_squash_averages_when_it_shrinks():
    """`area` of an 8 x 4 image in 2 x 2 is the mean of each 4 x 2 part."""
    image = RNG.integers(0, 256, (8, 4, 3), dtype=np.uint8)
    expected = image.reshape(2, 4, 2, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, Resize(), 2), expected, atol=0.5)


def test_area_is_smooth_where_it_enlarges():
    """A ramp of four pixels stays a ramp in 28: no two neighbours differ by a whole step, as blocks would."""
    ramp = np.repeat(np.arange(4, dtype=np.uint8)[None, :, None] * 60, 4, axis=0).repeat(3, axis=2)
    enlarged = resize(ramp, Resize(), 28).astype(int)
    assert np.abs(np.diff(enlarged[14, :, 0])).max() < 20


@pytest.mark.parametrize("interpolation", ["area", "linear", "cubic", "lanczos", "nearest"])
def test_resize_takes_px_before_the_native_size(interpolation):
    """Every interpolation gives the asked size, and an even image stays even."""
    even = np.full((5, 7, 3), 90, np.uint8)
    resized = resize(even, Resize(px=9, interpolation=interpolation), 224)
    assert resized.shape == (9, 9, 3)
    assert (resized == 90).all()
    assert resize(even, Resize(), 12).shape == (12, 12, 3)


def test_a_picture_may_become_an_oblong():
    """4 wide and 2 high: a square is padded left and right, or cut above and below; squashed it fills all of it."""
    even = np.full((6, 6, 3), 200, np.uint8)
    how = {"width": 8, "height": 4}
    padded = resize(even, Resize(**how, mode="pad"), 224)
    assert padded.shape == (4, 8, 3)
    assert (padded[:, 2:6] == 200).all()
    assert (padded[:, [0, 1, 6, 7]] == PADDING).all()
    banded = np.concatenate([np.zeros((2, 8, 3)), np.full((4, 8, 3), 200), np.zeros((2, 8, 3))]).astype(np.uint8)
    assert (resize(banded, Resize(**how, mode="crop"), 224) == 200).all()
    assert (resize(even, Resize(**how), 224) == 200).all()
    assert resize(even, Resize(), (3, 5)).shape == (3, 5, 3)


@pytest.mark.parametrize("mode", ["squash", "pad", "crop"])
@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (7, 7), (1, 30)])
def test_every_mode_gives_the_asked_shape(mode, shape):
    """Wide pictures in tall frames and the reverse."""
    for height, width in ((4, 11), (11, 4), (6, 6)):
        assert resize(np.zeros((*shape, 3), np.uint8), Resize(width=width, height=height, mode=mode), 1).shape == (
            height,
            width,
            3,
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [({"width": 8}, "`width` and `height` go together"), ({"px": 8, "width": 8, "height": 8}, "`px` is the side")],
)
def test_a_shape_is_a_side_or_two(given, message):
    """Never half of one, and never both."""
    with pytest.raises(ValueError, match=message):
        Resize(**given)


@pytest.fixture
def raw(tmp_path):
    """A raw folder: a loose image, an archive, and a sheet of nine 2 x 2 images in it."""
    loose = encoded(RGB, "PNG")
    (tmp_path / "loose.png").write_bytes(loose)
    sheet = png(PIXELS_OF_SHEET[..., ::-1])
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("train/a.png", loose)
        archive.writestr("sheet.png", sheet)
        archive.writestr("odd#1", loose)
        archive.writestr("oblong.png", png(np.zeros((2, 3, 3), np.uint8)))
    return tmp_path


PIXELS_OF_SHEET = RNG.integers(0, 256, (9, 4, 3), dtype=np.uint8)


def test_files_and_members_have_the_digest_of_their_bytes(raw):
    """The same bytes have one digest, loose or in an archive."""
    expected = hashlib.sha256((raw / "loose.png").read_bytes()).hexdigest()
    with Reader(raw) as reader:
        for source in ("loose.png", "images.zip#train/a.png", "images.zip#odd#1"):
            pixels, digest = reader.read_with_digest(source)
            np.testing.assert_array_equal(pixels, PIXELS)
            assert digest == expected


def test_a_row_of_a_sheet_is_a_square_image_with_the_digest_of_its_pixels(raw):
    """Rows are read row-major, by many threads as by one."""
    expected = PIXELS_OF_SHEET.reshape(9, 2, 2, 3)
    with Reader(raw) as reader, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(reader.read_with_digest, [f"images.zip#sheet.png#{row % 9}" for row in range(90)]))
    for row, (pixels, digest) in enumerate(found):
        np.testing.assert_array_equal(pixels, expected[row % 9])
        assert digest == hashlib.sha256(expected[row % 9].tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("absent.png", "no file absent.png"),
        ("images.zip#absent.png", "no member absent.png in images.zip"),
        ("images.zip#sheet.png#9", "row 9"),
        ("images.zip#oblong.png#0", "not a square image"),
        ("../loose.png", "leads out"),
    ],
)
def test_a_source_that_is_not_there_has_a_reason(raw, source, reason):
    """A missing file is an unreadable image, to be quarantined like a damaged one."""
    with Reader(raw) as reader, pytest.raises(UnreadableImageError, match=reason):
        reader.read(source)
