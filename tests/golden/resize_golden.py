#!/usr/bin/env python3
"""What Pillow makes of images that a formula draws: the table of tests/kernels/resize_test.cc. It needs numpy and
pillow==12.0.0: from 13.0 on Pillow resizes the columns of some images first."""

import hashlib

import numpy
from PIL import Image

CASES = [
    # height, width, channels, new height, new width
    (300, 400, 3, 256, 341),
    (341, 257, 3, 128, 96),
    (17, 33, 3, 224, 300),
    (50, 1, 3, 7, 5),
    (1, 50, 3, 9, 120),
    (99, 101, 3, 1, 1),
    (64, 48, 3, 64, 20),
    (64, 48, 3, 100, 48),
    (480, 640, 1, 100, 131),
    (31, 29, 1, 63, 28),
    (40, 30, 4, 21, 37),
    (37, 41, 2, 20, 60),
]
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBX"}


def drawn(height, width, channels):
    y, x, c = numpy.meshgrid(numpy.arange(height), numpy.arange(width), numpy.arange(channels), indexing="ij")
    return ((y * y * 7 + x * 13 + x * y * 3 + c * 101 + (x // 5 % 2) * 120) % 256).astype(numpy.uint8)


def resized(pixels, size, filter_):
    # Pillow weighs "LA" by its alpha: channels that stand alone are resized alone.
    if pixels.shape[2] == 2:
        return numpy.stack([resized(pixels[:, :, c : c + 1], size, filter_)[:, :, 0] for c in range(2)], axis=2)
    mode = MODES[pixels.shape[2]]
    image = Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels, mode)
    return numpy.asarray(image.resize(size, filter_)).reshape(size[1], size[0], -1)


for height, width, channels, new_height, new_width in CASES:
    pixels = drawn(height, width, channels)
    hashes = [
        hashlib.sha1(resized(pixels, (new_width, new_height), filter_).tobytes()).hexdigest()
        for filter_ in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    ]
    print(f'    {{{height}, {width}, {channels}, {new_height}, {new_width}, "{hashes[0]}", "{hashes[1]}"}},')
