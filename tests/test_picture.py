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


def test_the_centre_is_cut_out(tmp_path):
    wide = Image.new("RGB", (300, 100), RED)
    wide.paste(BLUE, (100, 0, 200, 100))
    wide.save(tmp_path / "wide.png")
    assert close(seen(tmp_path / "wide.png").reshape(-1, 3)[100], BLUE)


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


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path):
    Image.fromarray(np.full((40, 40), 2000, np.uint16)).save(tmp_path / "dark.png")
    assert close(seen(tmp_path / "dark.png")[5, 5], (8, 8, 8))


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_what_is_transparent_becomes_white(tmp_path, mode):
    if mode == "RGBA":
        Image.new("RGBA", (50, 50), (*RED, 0)).save(tmp_path / "clear.png")
    else:
        picture = Image.new("P", (50, 50), 3)
        picture.putpalette([value for value in range(256) for _ in range(3)])
        picture.save(tmp_path / "clear.png", transparency=3)
    assert close(seen(tmp_path / "clear.png")[10, 10], (255, 255, 255))


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
    odd = whole[: width + 2] + struct.pack("<H" if b"II" in whole[:8] else ">H", 7) + whole[width + 4 :]  # of no defined type
    halves((96, 64)).rotate(90, expand=True).save(tmp_path / "odd.jpg", exif=odd, quality=95)
    picture, _ = read_picture(tmp_path / "odd.jpg")
    assert picture.size == (96, 64)


def test_a_moving_picture_shows_its_first_frame(tmp_path):
    first, second = Image.new("RGB", (40, 40), RED), Image.new("RGB", (40, 40), BLUE)
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    assert close(seen(tmp_path / "moving.gif")[9, 9], RED)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (3, 2), (6000, 4000)])
def test_any_size(tmp_path, size):
    Image.new("RGB", size, RED).save(tmp_path / "picture.png")
    assert close(seen(tmp_path / "picture.png")[20, 20], RED)


# --- what is refused ---


def refusal(path):
    with pytest.raises(BadPicture) as reason:
        read_picture(path)
    sentence = str(reason.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


@pytest.mark.parametrize("content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg xmlns='x'/>", bytes(range(256)) * 9])
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
