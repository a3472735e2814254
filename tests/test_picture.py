"""Pictures from files: every common format gives the right pixels, and everything else one sentence."""

import os
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from cifar_helpers.picture import BadPicture, pictures_in, read_picture

RED, BLUE = (200, 30, 20), (20, 40, 220)


def halves(size=(64, 64), left=RED, right=BLUE):
    """A picture whose left half is red and right half blue."""
    picture = Image.new("RGB", size, right)
    picture.paste(left, (0, 0, size[0] // 2, size[1]))
    return picture


def noise(side):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


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


def test_a_picture_of_the_right_size_keeps_every_value_and_a_larger_one_is_averaged(tmp_path):
    noise(32).save(tmp_path / "picture.png")
    assert (seen(tmp_path / "picture.png") == np.asarray(noise(32))).all()
    Image.fromarray(np.tile(np.uint8([[0], [255]]), (256, 512))).save(tmp_path / "lines.png")
    assert np.abs(seen(tmp_path / "lines.png").astype(int) - 127).max() < 12


def of_values(dtype, white):
    """A picture of numbers of that type, whose left half is white."""
    return Image.fromarray(np.repeat(np.array([[white, 0]], dtype), 20, axis=1).repeat(40, axis=0))


MODES = {mode: halves(left=(255,) * 3, right=(0,) * 3).convert(mode) for mode in ("L", "1", "P", "LA", "RGBA", "CMYK")}
MODES |= {"16 bits": of_values(np.uint16, 65535), "32": of_values(np.int32, 65535), "float": of_values(np.float32, 1)}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_three_colours_of_eight_bits(tmp_path, mode):
    path = tmp_path / ("picture.tif" if mode in ("CMYK", "32", "float") else "picture.png")
    MODES[mode].save(path)
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
    short = "<H" if b"II" in whole[:8] else ">H"
    width = whole.index(struct.pack(short, 0x0100))
    odd = whole[: width + 2] + struct.pack(short, 7) + whole[width + 4 :]  # of no defined type
    halves((96, 64)).rotate(90, expand=True).save(tmp_path / "odd.jpg", exif=odd, quality=95)
    assert read_picture(tmp_path / "odd.jpg")[0].size == (96, 64)


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


# --- colour profiles ---

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"gXYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"gXYZ", b"bXYZ", 1)  # red and blue
GREY = SRGB.replace(b"RGB XYZ ", b"GRAYXYZ ").replace(b"rTRC", b"kTRC")
LINEAR = GREY.replace(struct.pack(">i", round(2.4 * 2**16)), struct.pack(">i", 2**16))


def of_inks(lab):
    """A profile that prints every ink in this one colour."""
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *[2**16, 0, 0, 0] * 2, 2**16)
    table += bytes(range(256)) * 4 + bytes(lab) * 16 + bytes(range(256)) * 3
    head = SRGB[4:8] + b"\2\x40\0\0prtrCMYKLab " + SRGB[24:128] + struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    return struct.pack(">I", 4 + len(head) + len(table)) + head + table


# What it is: the ending of a red picture's file, its mode, its profile, and the colour that is seen; or as without one.
PROFILES = {
    "red and blue swapped": ("png", "RGB", SWAPPED, RED[::-1]),
    "in a JPEG file": ("jpg", "RGB", SWAPPED, RED[::-1]),
    "in a WebP file": ("webp", "RGB", SWAPPED, RED[::-1]),
    "in an AVIF file": ("avif", "RGB", SWAPPED, RED[::-1]),
    "transparent and swapped": ("tif", "RGBA", SWAPPED, RED[::-1]),
    "a palette, swapped": ("tif", "P", SWAPPED, RED[::-1]),
    "sRGB": ("tif", "RGB", SRGB, None),
    "grey": ("tif", "L", LINEAR, (160, 160, 160)),
    "grey, transparent": ("tif", "LA", LINEAR, (160, 160, 160)),
    "inks": ("tif", "CMYK", of_inks([255, 128, 128]), WHITE),
    "inks in a picture of lights": ("tif", "RGB", of_inks([255, 128, 128]), None),
    "lights in a picture of inks": ("tif", "CMYK", SWAPPED, None),
    "grey in a picture of colours": ("tif", "RGB", LINEAR, None),
    "colours in a grey picture": ("tif", "L", SWAPPED, None),
    "damaged": ("tif", "RGB", SWAPPED[:300], None),
    "noise": ("tif", "RGB", bytes(range(256)), None),
    "of too many steps": ("tif", "RGB", SWAPPED + b"mpet", None),
    "large": ("png", "RGB", SWAPPED + bytes(2 * 10**6), RED[::-1]),
    "huge": ("tif", "RGB", SWAPPED + bytes(10**7), None),
}


@pytest.mark.parametrize("what", PROFILES)
def test_a_colour_profile_counts_where_it_makes_sense(tmp_path, what):
    ending, mode, profile, colour = PROFILES[what]
    picture = Image.new("RGB", (40, 40), RED).convert(mode)
    picture.save(tmp_path / f"plain.{ending}")
    picture.save(tmp_path / f"profile.{ending}", icc_profile=profile)
    pixels = seen(tmp_path / f"profile.{ending}")
    assert close(pixels[9, 5], colour, 30) if colour else (pixels == seen(tmp_path / f"plain.{ending}")).all()


# --- what is refused ---


def refusal(path):
    with pytest.raises(BadPicture) as reason:
        read_picture(path)
    sentence = str(reason.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp", "tif"])
def test_half_a_file_is_refused(tmp_path, ending):
    path = tmp_path / f"half.{ending}"
    noise(90).save(path)
    os.truncate(path, path.stat().st_size // 2)
    assert "damaged" in (sentence := refusal(path)) or "is not a picture" in sentence


def test_a_folder_gives_its_pictures_in_order_and_one_of_other_things_is_refused(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for name in ("notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    with pytest.raises(BadPicture, match="holds no pictures"):
        pictures_in(tmp_path)
    names = ["a.jpg", "b.PNG", "c.heic", "d.svg", "e.cr2", "f.PSD", "g.pdf"]  # the last ones to be refused by name
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in pictures_in(tmp_path)] == names
