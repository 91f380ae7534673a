"""What Pillow makes of images, for `tests/pillow.rs` and `examples/crops.rs`.

    python make_pillow_reference.py fixtures            # the tiny images and fixtures/crops.tsv
    python make_pillow_reference.py crops SIZE FILES    # one line a file: name, tab, SHA-256 of its crop's values
    python make_pillow_reference.py raw SIZE OUT FILES  # all crops' values, one after another, into OUT

A crop is torchvision's Resize(SIZE, BICUBIC) and CenterCrop(SIZE) on Image.open(file).convert("RGB"), written out so
that only Pillow and NumPy are needed. Made with Pillow 13.0.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def crop(path, size):
    image = Image.open(path).convert("RGB")
    width, height = image.size
    if width <= height:
        width, height = size, int(size * height / width)
    else:
        width, height = int(size * width / height), size
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = int(round((width - size) / 2.0)), int(round((height - size) / 2.0))
    return np.asarray(image.crop((left, top, left + size, top + size)))


def digest(values):
    return hashlib.sha256(values.tobytes()).hexdigest()


def fixtures(folder):
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)

    def noise(*shape):
        # Edges and noise: both ends of the range are reached, so that overshoot is clipped.
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        image[: shape[0] // 2] = np.where(image[: shape[0] // 2] > 127, 255, 0)
        return image

    Image.fromarray(noise(40, 31, 3)).save(folder / "tall.png")
    Image.fromarray(noise(9, 50, 3)).save(folder / "wide.png")
    Image.fromarray(noise(24, 24, 3)).save(folder / "square.png")
    Image.fromarray(noise(24, 27, 3)).save(folder / "height_kept.png")
    Image.fromarray(noise(1, 1, 3)).save(folder / "one_pixel.png")
    Image.fromarray(noise(3, 40, 3)).save(folder / "strip.png")
    Image.fromarray(noise(20, 33)).save(folder / "gray.png")
    Image.fromarray(noise(20, 33)).convert("1").save(folder / "black_white.png")
    Image.fromarray(noise(20, 33, 2), "LA").save(folder / "gray_alpha.png")
    Image.fromarray(noise(20, 33, 4), "RGBA").save(folder / "alpha.png")
    palette = Image.fromarray(noise(20, 33, 3)).quantize(7)
    palette.save(folder / "palette.png")
    palette.save(folder / "palette_transparent.png", transparency=2)
    Image.fromarray(noise(20, 33, 3)).save(folder / "photo.jpg", quality=90)
    Image.fromarray(noise(20, 33)).save(folder / "gray.jpg", quality=90)
    Image.fromarray(noise(8, 8, 4), "CMYK").save(folder / "cmyk.jpg")
    gray16 = rng.integers(0, 65536, (8, 8), dtype=np.uint16)
    Image.fromarray(gray16).save(folder / "gray16.png")
    rgb16(folder / "rgb16.png", rng.integers(0, 65536, (20, 33, 3), dtype=np.uint16))
    Image.fromarray(noise(40, 33, 3)).save(folder / "progressive.jpg", quality=90, progressive=True)
    Image.fromarray(noise(40, 33, 3)).save(folder / "restart.jpg", quality=90, restart_marker_blocks=2)
    # Columns are scaled first where height shrinks by more than twice what width does.
    Image.fromarray(noise(90, 31, 3)).save(folder / "portrait.png")
    # Stray bytes between headers, which libjpeg passes over.
    photo = (folder / "photo.jpg").read_bytes()
    (folder / "stray.jpg").write_bytes(photo[:20] + b"stray" + photo[20:])
    refused = {"cmyk.jpg", "gray16.png"}
    with open(folder / "crops.tsv", "w") as table:
        for path in sorted(folder.glob("*.png")):
            if path.name not in refused:
                print(path.name, digest(crop(path, 24)), sep="\t", file=table)


def rgb16(path, values):
    """Pillow does not write 16-bit colours."""
    import struct
    import zlib

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def main():
    match sys.argv[1:]:
        case ["fixtures"]:
            fixtures(Path(__file__).parent / "fixtures")
        case ["crops", size, *files]:
            for path in files:
                print(path, digest(crop(path, int(size))), sep="\t")
        case ["raw", size, out, *files]:
            with open(out, "wb") as file:
                for path in files:
                    file.write(crop(path, int(size)).tobytes())
        case _:
            sys.exit(__doc__)


main()
