"""Pictures from files: every common format gives the right pixels, and everything else one sentence."""

import os
import struct

import numpy as np
import pytest
from PIL import Image

from cifar_helpers.picture import BadPicture, pictures_in, read_picture

RED, BLUE = (200, 30, 20), (20, 40, 220)


def halves(size=(64, 64), left=RED, right=BLUE):
    """A picture whose left half is red and right half blue."""
    picture = Image.new("RGB", size, right)
    picture.paste(left, (0, 0, size[0] // 2, size[1]))
    return picture


def seen(path):
    return read_picture(path)[1]


def close(pixel, colour, by=12):
    return np.abs(pixel.astype(int) - colour).max() <= by


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp", "tif", "ppm", "avif"])
def test_common_formats(tmp_path, ending):
    path = tmp_path / f"picture.{ending}"
    halves().save(path)
    pixels = seen(path)
    assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
    assert close(pixels[16, 4], RED) and close(pixels[16, 28], BLUE)


def test_a_picture_of_the_right_size_keeps_every_value(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    assert (seen(tmp_path / "picture.png") == pixels).all()


def test_shrinking_averages_over_all_pixels(tmp_path):
    lines = np.zeros((512, 512, 3), np.uint8)
    lines[::2] = 255
    Image.fromarray(lines).save(tmp_path / "lines.png")
    assert np.abs(seen(tmp_path / "lines.png").astype(int) - 127).max() < 12


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_every_mode_becomes_three_colours(tmp_path, mode):
    picture = halves(left=(255, 255, 255), right=(0, 0, 0)).convert(mode)
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    picture.save(path)
    pixels = seen(path)
    assert close(pixels[16, 4], (255, 255, 255)) and close(pixels[16, 28], (0, 0, 0))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_values_beyond_eight_bits_are_scaled(tmp_path, dtype):
    white = 1.0 if dtype == np.float32 else 65535
    values = np.zeros((40, 40), dtype)
    values[:, :20] = white
    path = tmp_path / ("picture.png" if dtype == np.uint16 else "picture.tif")
    Image.fromarray(values).save(path)
    pixels = seen(path)
    assert close(pixels[16, 4], (255, 255, 255)) and close(pixels[16, 28], (0, 0, 0))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_photograph_is_turned_back(tmp_path, orientation):
    upright = halves((96, 64))
    turned = upright.rotate({3: 180, 6: 90, 8: 270}[orientation], expand=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    picture, pixels = read_picture(tmp_path / "turned.jpg")
    assert picture.size == (96, 64)
    assert close(pixels[16, 4], RED) and close(pixels[16, 28], BLUE)


def test_odd_exif_data_are_no_obstacle(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x0100] = 6, 1
    whole = exif.tobytes()
    width = whole.index(struct.pack("<H" if b"II" in whole[:8] else ">H", 0x0100))
    odd = (
        whole[: width + 2] + struct.pack("<H" if b"II" in whole[:8] else ">H", 7) + whole[width + 4 :]
    )  # of no defined type
    halves((96, 64)).rotate(90, expand=True).save(tmp_path / "odd.jpg", exif=odd, quality=95)
    picture, _ = read_picture(tmp_path / "odd.jpg")
    assert picture.size == (96, 64)


def transparent(value):
    """A picture of grey values, one of which is transparent."""
    picture = Image.new("P", (50, 50), value)
    picture.putpalette([value for value in range(256) for _ in range(3)])
    return picture


def wide():
    picture = Image.new("RGB", (300, 100), RED)
    picture.paste(BLUE, (100, 0, 200, 100))
    return picture


WHITE = (255, 255, 255)
MOVING = {"save_all": True, "append_images": [Image.new("RGB", (40, 40), BLUE)]}
DRAWN = {  # what it is: the picture, how it is saved, and the colour of one pixel
    "the centre is cut out": (wide(), "a.png", {}, BLUE),
    "a dark one of 16 bits stays dark": (Image.fromarray(np.full((40, 40), 2000, np.uint16)), "a.png", {}, (8, 8, 8)),
    "what is transparent becomes white": (Image.new("RGBA", (50, 50), (*RED, 0)), "a.png", {}, WHITE),
    "a transparent colour of a palette too": (transparent(3), "a.png", {"transparency": 3}, WHITE),
    "a moving one shows its first frame": (Image.new("RGB", (40, 40), RED), "a.gif", MOVING, RED),
    "one pixel": (Image.new("RGB", (1, 1), RED), "a.png", {}, RED),
    "one column": (Image.new("RGB", (1, 700), RED), "a.png", {}, RED),
    "a photograph's size": (Image.new("RGB", (6000, 4000), RED), "a.png", {}, RED),
}


@pytest.mark.parametrize("what", DRAWN)
def test_what_is_seen_of(tmp_path, what):
    picture, name, options, colour = DRAWN[what]
    picture.save(tmp_path / name, **options)
    assert close(seen(tmp_path / name)[9, 5], colour)


# --- what is refused ---


def refusal(path):
    with pytest.raises(BadPicture) as reason:
        read_picture(path)
    sentence = str(reason.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg xmlns='x'/>", bytes(range(256)) * 9]
)
def test_what_is_no_picture_is_refused(tmp_path, content):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    assert "is not a picture" in refusal(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp", "tif"])
def test_half_a_file_is_refused(tmp_path, ending):
    path = tmp_path / f"half.{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)).save(path)
    os.truncate(path, path.stat().st_size // 2)
    assert "damaged" in (sentence := refusal(path)) or "is not a picture" in sentence


@pytest.mark.parametrize("side", [7_100, 60_000])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, side):
    path = tmp_path / "bomb.bmp"
    path.write_bytes(b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0))
    assert "more than 50,000,000 pixels" in refusal(path)


def test_decoders_are_quiet_about_damage(tmp_path, capfd):
    whole, path = tmp_path / "whole.tif", tmp_path / "damaged.tif"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)).save(
        whole, compression="tiff_lzw"
    )
    content = bytearray(whole.read_bytes())
    content[20:60] = b"\xff" * 40
    path.write_bytes(content)
    assert "damaged" in refusal(path)
    assert capfd.readouterr().err == ""


def test_missing_files_folders_and_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "There is no file" in refusal(tmp_path / "missing.png")
    assert "There is no file" in refusal("zero\0byte.png")
    assert "There is no file" in refusal("n" * 5000)
    assert "is a folder" in refusal(tmp_path)
    assert "is not a regular file" in refusal(tmp_path / "pipe.png")


def test_a_folder_gives_its_pictures_in_order(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in pictures_in(tmp_path)] == ["a.jpg", "b.PNG"]


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(BadPicture, match="holds no pictures"):
        pictures_in(tmp_path)
