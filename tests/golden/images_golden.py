#!/usr/bin/env python3
"""Writes images.safetensors beside itself: small PNG and JPEG files, and what Pillow reads from them and makes of them
(numpy, pillow==12.0.0, and jpegtran of Debian's libjpeg-turbo-progs).

"NAME" is a file's bytes; "NAME.rgb" and "NAME.grey" its pixels; "NAME.S.R.FILTER" what torchvision's Resize(R),
CenterCrop(S) give, by torchvision's arithmetic over Pillow (bench/peers/images.py compares with torchvision itself).
"""

import io
import json
import pathlib
import struct
import subprocess
import tempfile
import zlib

import numpy
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def drawing(height, width):
    """Slopes, edges and grain: what subsampling and filters answer differently."""
    y, x = numpy.mgrid[0:height, 0:width]
    red = 255 * x / width + 40 * ((x // 7 + y // 5) % 2)
    green = 255 * y / height + 60 * ((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2)
    blue = 128 + 100 * numpy.sin(x * 0.4) * numpy.cos(y * 0.3)
    grain = (x * 7919 + y * 104729 + x * y * 31) % 17
    return numpy.clip(numpy.stack([red, green, blue], axis=2) + grain[:, :, None] - 20, 0, 255).astype(numpy.uint8)


def encoded(image, format_, **options):
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, colour, rows, interlace=0, before=b""):
    header = struct.pack(">2I5B", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def packed(values, bits):
    """Rows of numbers as PNG's unfiltered rows."""
    rows = b""
    for row in values:
        text = "".join(f"{int(value):0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    return rows


def png_files():
    image = Image.fromarray(drawing(21, 34))
    yield "rgb.png", encoded(image, "PNG")
    yield "grey.png", encoded(image.convert("L"), "PNG")
    with_alpha = image.copy()
    with_alpha.putalpha(image.convert("L"))
    yield "rgba.png", encoded(with_alpha, "PNG")
    yield "grey_alpha.png", encoded(image.convert("LA"), "PNG")
    yield "palette.png", encoded(image.quantize(50), "PNG")
    yield "palette_transparent.png", encoded(image.quantize(3), "PNG", transparency=1)
    y, x = numpy.mgrid[0:5, 0:13]
    for bits in (1, 2, 4):
        yield f"grey_{bits}.png", png(13, 5, bits, 0, packed((x * 3 + y * 5) % 2**bits, bits))
    # Of 16 bits the upper eight count; of these files the lower ones are 0, as Pillow doesn't read all of them.
    high = drawing(6, 9).astype(numpy.int64) * 256
    rows = packed(high.reshape(6, -1), 16)
    yield "rgb_16.png", png(9, 6, 16, 2, rows)
    interlaced = b"".join(packed(high[y0::dy, x0::dx].reshape(-1, len(range(x0, 9, dx)) * 3), 16)
                          for y0, x0, dy, dx in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
                          if len(range(y0, 6, dy)) and len(range(x0, 9, dx)))
    yield "rgb_16_interlaced.png", png(9, 6, 16, 2, interlaced, interlace=1)


def jpeg_files():
    image = Image.fromarray(drawing(45, 67))
    for name, subsampling in [("444", "4:4:4"), ("422", "4:2:2"), ("420", "4:2:0")]:
        yield f"{name}.jpg", encoded(image, "JPEG", subsampling=subsampling, quality=80)
    yield "progressive.jpg", encoded(image, "JPEG", progressive=True, quality=85)
    yield "restarts.jpg", encoded(image, "JPEG", restart_marker_blocks=3, optimize=True)
    yield "grey.jpg", encoded(image.convert("L"), "JPEG")
    yield "grey_progressive.jpg", encoded(image.convert("L"), "JPEG", progressive=True)
    # Two scans without refinement, which may follow again and again.
    with tempfile.NamedTemporaryFile("w") as script:
        script.write("0: 0-0, 0, 0; 0: 1-63, 0, 0;")
        script.flush()
        yield "two_scans.jpg", subprocess.run(["jpegtran", "-scans", script.name], check=True, capture_output=True,
                                              input=encoded(image.convert("L"), "JPEG")).stdout
    yield "cmyk.jpg", encoded(image.convert("CMYK"), "JPEG")


def transformed(image, size, resize, filter_):
    """torchvision.transforms.functional.resize and center_crop, over Pillow."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    new_long = int(resize * long / short)
    image = image.resize((resize, new_long) if width <= height else (new_long, resize), filter_)
    width, height = image.size
    top, left = int(round((height - size) / 2.0)), int(round((width - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


def main():
    arrays = {}
    for name, data in [*png_files(), *jpeg_files()]:
        arrays[name] = numpy.frombuffer(data, numpy.uint8)
        if name == "cmyk.jpg":
            continue
        image = Image.open(io.BytesIO(data))
        # A palette's colours, and alpha, as they are: nothing is blended.
        rgb = image.convert("RGBA").convert("RGB") if image.mode in ("P", "LA", "RGBA") else image.convert("RGB")
        arrays[name + ".rgb"] = numpy.asarray(rgb)
        arrays[name + ".grey"] = numpy.asarray(rgb.convert("L"))[:, :, None]
    image = Image.open(io.BytesIO(arrays["420.jpg"].tobytes()))
    tall = image.transpose(Image.Transpose.TRANSPOSE)
    for size, resize in [(28, 32), (29, 33), (45, 45), (96, 110), (1, 2)]:
        for name, filter_ in FILTERS.items():
            arrays[f"420.jpg.{size}.{resize}.{name}"] = numpy.asarray(transformed(image, size, resize, filter_))
            arrays[f"tall.{size}.{resize}.{name}"] = numpy.asarray(transformed(tall, size, resize, filter_))

    header, offset, data = {}, 0, b""
    for name, array in arrays.items():
        header[name] = {"dtype": "U8", "shape": list(array.shape), "data_offsets": [offset, offset + array.size]}
        offset += array.size
        data += array.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (HERE / "images.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    print(len(data), "bytes")


main()
