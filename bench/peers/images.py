#!/usr/bin/env python3
"""Times hwynn beside Pillow and torchvision: from a file's bytes to a model's input, and the parts of it, on one thread.

    ./dev build hwynn_images_peer && python3 bench/peers/images.py build/release/lib/libhwynn_images_peer.so [PHOTO…]

Needs pillow and numpy; with torchvision its transforms are what is compared, else its arithmetic over Pillow and NumPy.
Without photos, drawings are compressed as JPEG. All contenders are in this process and take turns; reported are
medians of the thread's CPU time, the medians of each turn's ratio, and by how many levels of 255 the pixels differ.
"""

import argparse
import ctypes
import io
import statistics
import time

import numpy
from PIL import Image, features

try:
    import torch
    import torchvision
    from torchvision.transforms import v2
except ImportError:
    torch = None

MEAN, STDDEV = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def drawing(height, width):
    """Not a photograph, but with as much detail: slopes, edges, waves and grain."""
    y, x = numpy.mgrid[0:height, 0:width]
    waves = numpy.sin(x * 0.05 + y * 0.02) * 50 + numpy.sin(x * 0.31) * numpy.cos(y * 0.27) * 25
    edges = 60 * ((x // 61 + y // 47) % 2)
    grain = numpy.random.default_rng(0).normal(0, 6, (height, width))
    channels = [100 + waves + edges + grain, 120 - waves + 80 * y / height + grain, 90 + edges + 90 * x / width + grain]
    return Image.fromarray(numpy.clip(numpy.stack(channels, axis=2), 0, 255).astype(numpy.uint8))


def jpeg(image, quality=90):
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


class Hwynn:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)

    def prepare(self, file, size, resize, bicubic):
        output = numpy.empty((size, size, 3), numpy.float32)
        assert self.library.hwynn_prepare(file, ctypes.c_size_t(len(file)), ctypes.c_int64(size), ctypes.c_int64(resize),
                                          int(bicubic), ctypes.c_void_p(output.ctypes.data)) == 0
        return output

    def decode(self, file, shape):
        output = numpy.empty(shape, numpy.uint8)
        assert self.library.hwynn_decode(file, ctypes.c_size_t(len(file)), ctypes.c_void_p(output.ctypes.data),
                                         ctypes.c_size_t(output.size)) == 0
        return output

    def resize(self, pixels, size, resize, bicubic):
        output = numpy.empty((size, size, 3), numpy.uint8)
        height, width, _ = pixels.shape
        assert self.library.hwynn_resize(ctypes.c_void_p(pixels.ctypes.data), ctypes.c_int64(height), ctypes.c_int64(width),
                                         ctypes.c_int64(size), ctypes.c_int64(resize), int(bicubic),
                                         ctypes.c_void_p(output.ctypes.data)) == 0
        return output


def resized(image, resize, bicubic):
    width, height = image.size
    short, long = min(width, height), max(width, height)
    new_long = int(resize * long / short)
    size = (resize, new_long) if width <= height else (new_long, resize)
    return image.resize(size, Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR)


def cropped(image, size):
    width, height = image.size
    top, left = int(round((height - size) / 2.0)), int(round((width - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


def peer_prepare(size, resize, bicubic):
    """A function of a file's bytes: torchvision's transforms, or what they do, over Pillow and NumPy."""
    if torch is not None:
        mode = v2.InterpolationMode.BICUBIC if bicubic else v2.InterpolationMode.BILINEAR
        transform = torchvision.transforms.Compose([
            torchvision.transforms.Resize(resize, interpolation=mode), torchvision.transforms.CenterCrop(size),
            torchvision.transforms.ToTensor(), torchvision.transforms.Normalize(MEAN, STDDEV)])
        return lambda file: transform(Image.open(io.BytesIO(file)).convert("RGB")).permute(1, 2, 0).numpy()

    def prepare(file):
        image = cropped(resized(Image.open(io.BytesIO(file)).convert("RGB"), resize, bicubic), size)
        values = numpy.asarray(image, numpy.float32) / numpy.float32(255)
        return (values - numpy.float32(MEAN)) / numpy.float32(STDDEV)

    return prepare


def take_turns(seconds, ours, theirs):
    """Medians of both, in milliseconds, and the median of their ratios, theirs to ours."""
    ours(), theirs()
    mine, other, end = [], [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(mine) < 5:
        for work, times in ((ours, mine), (theirs, other)):
            begin = time.thread_time()  # other programs take none of it
            work()
            times.append(time.thread_time() - begin)
    return statistics.median(mine) * 1e3, statistics.median(other) * 1e3, statistics.median(b / a for a, b in zip(mine, other))


def files_of(photos):
    for path in photos:
        with open(path, "rb") as file:
            yield path.rpartition("/")[2], file.read()
    if not photos:
        yield "drawing 400x300", jpeg(drawing(300, 400))
        yield "drawing 1200x800", jpeg(drawing(800, 1200))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("library")
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--resize", type=int, default=256)
    parser.add_argument("--bicubic", action="store_true")
    parser.add_argument("--seconds", type=float, default=2, help="of a case")
    options = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(1)
    hwynn = Hwynn(options.library)
    size, resize, bicubic = options.size, options.resize, options.bicubic
    peer = f"torchvision {torchvision.__version__}" if torch is not None else "torchvision's arithmetic in NumPy"
    print(f"{peer}, Pillow {Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}")
    print(f"{'image':28} {'part':8} {'hwynn ms':>9} {'peer ms':>9} {'ratio':>6}  levels")
    for name, file in files_of(options.photos):
        pixels = numpy.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        image = Image.fromarray(pixels)
        label = f"{name} {image.size[0]}x{image.size[1]}"
        theirs = peer_prepare(size, resize, bicubic)
        cases = [
            ("decode", lambda: hwynn.decode(file, pixels.shape), lambda: numpy.asarray(Image.open(io.BytesIO(file)).convert("RGB")), 1),
            ("resize", lambda: hwynn.resize(pixels, size, resize, bicubic), lambda: numpy.asarray(cropped(resized(image, resize, bicubic), size)), 1),
            ("all", lambda: hwynn.prepare(file, size, resize, bicubic), lambda: theirs(file), 255 * numpy.float32(STDDEV)),
        ]
        for part, ours, other, level in cases:
            difference = numpy.abs((ours().astype(numpy.float64) - other()) * level).max()
            mine, peers, ratio = take_turns(options.seconds, ours, other)
            print(f"{label:28.28} {part:8} {mine:9.3f} {peers:9.3f} {ratio:6.2f}  {difference:.3f}")


main()
