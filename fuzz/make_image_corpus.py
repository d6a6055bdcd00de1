"""Seeds of the targets idx, cifar, png and jpeg: data sets and images."""

import gzip
import json
import pathlib
import struct
import zlib

# ---- data sets ----


def add_idx(add):
    images = struct.pack(">4I", 0x803, 2, 2, 3) + bytes(range(12))
    labels = struct.pack(">2I", 0x801, 2) + bytes([0, 2])
    add("idx", "images", images)
    add("idx", "labels", labels)
    add("idx", "images.gz", gzip.compress(images, mtime=0))
    add("idx", "labels.gz", gzip.compress(labels, mtime=0))
    add("idx", "nothing", b"", "is an empty file")
    add("idx", "web_page", b"<html>", "is a web page")
    add("idx", "header_cut_off", images[:7], "ends at byte 7, 1 bytes before the end of its header")
    add("idx", "data_cut_off", images[:-1], "ends at byte 27, 1 bytes before the end of its images")
    add("idx", "left_over", images + b"x", "trailing bytes from byte 28 on")
    add("idx", "magic_of_floats", struct.pack(">4I", 0xD03, 1, 1, 1) + bytes(4), "the magic number at byte 0 is 3331")
    add("idx", "size_0", struct.pack(">4I", 0x803, 2, 0, 3), "the size at byte 8 is 0")
    add("idx", "sizes_overflow", struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1), "promise more data")
    add("idx", "sizes_huge", struct.pack(">4I", 0x803, 2, 2**15, 2**15) + bytes(12), "promise more data")
    add("idx", "three_images", struct.pack(">4I", 0x803, 3, 1, 1) + bytes(3), "holds 3 images")
    add("idx", "label_no_class", struct.pack(">2I", 0x801, 2) + bytes([0, 3]), "label 3 at byte 9 is not one of 3 classes")
    add("idx", "gzip_cut_off", gzip.compress(images, mtime=0)[:-4], "end at byte")
    add("idx", "gzip_header_alone", gzip.compress(images, mtime=0)[:10], "end at byte 10 in the middle of a stream")
    add("idx", "gzip_damaged", b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\xff" * 20, "damaged")
    add("idx", "gzip_wrong_checksum", gzip.compress(images, mtime=0)[:-8] + bytes(8), "damaged")
    add("idx", "gzip_left_over", gzip.compress(images, mtime=0) + b"x", "trailing bytes")
    add("idx", "gzip_bomb", gzip.compress(struct.pack(">4I", 0x803, 2, 2**15, 2**15) + bytes(100_000), mtime=0), "promise more data")


def add_cifar(add):
    pixels = zlib.decompress(zlib.compress(bytes(i * 7 % 256 for i in range(3072))))
    add("cifar", "record_10", b"\3" + pixels)
    add("cifar", "record_100", b"\0\x63" + pixels)
    add("cifar", "names_100", "".join(f"class {i}\n" for i in range(100)))
    add("cifar", "names_crlf", "".join(f"{i}\r\n\r\n" for i in range(100)))
    add("cifar", "label_10_of_10", b"\x0a" + pixels, "label 10 at byte 0 is not one of 10 classes")
    add("cifar", "label_100_of_100", b"\0\x64" + pixels, "label 100 at byte 1 is not one of 100 classes")
    add("cifar", "left_over", b"\3" + pixels + b"xyz", "3 bytes from byte 3073 on are not a whole record")
    add("cifar", "names_99", "".join(f"class {i}\n" for i in range(99)), "99 class names instead of 100")
    add("cifar", "names_not_utf8", b"\n\xff\xfe\n", "line 2 isn't UTF-8")
    add("cifar", "nothing", b"", "0 class names instead of 100")


# ---- images ----


def chunk(kind, data, length=None):
    return struct.pack(">I", len(data) if length is None else length) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, colour, rows, interlace=0, before=b""):
    header = struct.pack(">2I5B", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def exif(orientation):
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def add_png(add):
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0]))
    add("png", "grey_8", png(3, 2, 8, 0, bytes([0, 1, 2, 3, 2, 4, 5, 6])))
    add("png", "grey_1", png(9, 1, 1, 0, bytes([0, 0xAA, 0x80])))
    add("png", "rgb_8", png(2, 2, 8, 2, bytes([1, 1, 2, 3, 4, 5, 6, 4, 1, 2, 3, 4, 5, 6])))
    add("png", "rgba_16_interlaced", png(1, 1, 16, 6, bytes([0] + [9] * 8), interlace=1))
    add("png", "palette", png(8, 1, 1, 3, bytes([0, 0x5A]), before=palette + chunk(b"tRNS", b"\x80")))
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"hello " * 100))
    add("png", "text", png(1, 1, 8, 0, b"\0\7", before=text))
    good = png(3, 2, 8, 0, bytes([0, 1, 2, 3, 2, 4, 5, 6]))
    add("png", "nothing", b"", "is an empty file")
    add("png", "jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF", "the file ends before its image does")
    add("png", "no_png", b"GIF89a" + bytes(30), "is neither a PNG nor a JPEG image")
    add("png", "cut_off_header", good[:20], "end of stream")
    add("png", "cut_off_data", good[:50], "end of stream")
    add("png", "wrong_checksum", good[:29] + b"\0\0\0\0" + good[33:], "invalid chunk checksum")
    add("png", "rows_missing", png(3, 200, 8, 0, bytes(8)), "IDAT stream too short")
    add("png", "size_0", png(0, 2, 8, 0, b"\0"), "invalid image width")
    add("png", "palette_missing", png(8, 1, 1, 3, bytes([0, 0x5A])), "missing PLTE")
    add("png", "palette_index", png(8, 1, 2, 3, bytes([0, 0xFF, 0xFF]), before=palette))
    add("png", "huge", png(2**31 - 1, 2**31 - 1, 8, 2, b"\0"), "image width exceeds user limit")
    add("png", "large_square", png(8193, 8193, 8, 2, b"\0"), "8193x8193 pixels are more than 67108864")
    add("png", "large", png(8192, 8192, 8, 2, b"\0"), "8192x8192 pixels are more than a file of")
    add("png", "long", png(2**20, 1, 1, 0, b"\0" * (2**17 + 1)))
    add("png", "upside_down", png(3, 2, 8, 0, bytes([0, 1, 2, 3, 2, 4, 5, 6]), before=chunk(b"eXIf", exif(3))))
    add("png", "exif_broken", png(1, 1, 8, 0, b"\0\7", before=chunk(b"eXIf", exif(3)[:15])))
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000), 9))
    add("png", "text_bomb", png(1, 1, 8, 0, b"\0\7", before=bomb), "limits")


def golden_files():
    """The image files of tests/golden/images.safetensors."""
    data = (pathlib.Path(__file__).resolve().parent.parent / "tests/golden/images.safetensors").read_bytes()
    length = struct.unpack_from("<Q", data)[0]
    for name, entry in json.loads(data[8 : 8 + length]).items():
        begin, end = entry["data_offsets"]
        if len(entry["shape"]) == 1:
            yield name, data[8 + length + begin : 8 + length + end]


def add_jpeg(add):
    files = {name[:-4]: data for name, data in golden_files() if name.endswith(".jpg")}
    for name, data in files.items():
        add("jpeg", name, data, "is a JPEG in CMYK" if name == "cmyk" else "taken")
    good, scans = files["420"], files["two_scans"]
    frame = good.index(b"\xff\xc0")

    def changed(at, value):
        return good[:at] + value + good[at + len(value) :]

    def with_exif(data):
        return good[:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 8) + b"Exif\0\0" + data + good[2:]

    for orientation in (6, 7):
        add("jpeg", f"orientation_{orientation}", with_exif(exif(orientation)))
    add("jpeg", "exif_broken", with_exif(exif(6)[:17]))
    add("jpeg", "no_end_marker", good[:-2])
    add("jpeg", "cut_off_header", good[:100], "the file ends before its image does")
    add("jpeg", "cut_off_data", good[: len(good) // 2 + 400], "the file ends before its image does")
    add("jpeg", "cut_off_scans", files["progressive"][:-40], "the file ends before its image does")
    add("jpeg", "start_alone", b"\xff\xd8\xff", "the file ends before its image does")
    add("jpeg", "no_image", b"\xff\xd8\xff\xd9", "JPEG datastream contains no image")
    add("jpeg", "huge", changed(frame + 5, b"\xff\xdc\xff\xdc"), "pixels are more than 67108864")
    add("jpeg", "large", changed(frame + 5, b"\x20\0\x20\0"), "8192x8192 pixels are more than a file of")
    add("jpeg", "size_0", changed(frame + 7, b"\0\0"), "Empty JPEG image")
    add("jpeg", "twelve_bits", changed(frame + 4, b"\x0c"), "precision")
    add("jpeg", "arithmetic", changed(frame, b"\xff\xc9"), "arithmetic coding")
    add("jpeg", "lossless", changed(frame, b"\xff\xc3"), "Unsupported JPEG process")
    add("jpeg", "two_components", changed(frame + 9, b"\x02"), "Bogus marker length")
    add("jpeg", "codes_damaged", good[:-300] + bytes(b ^ 0x5A for b in good[-300:-2]) + good[-2:], "Corrupt JPEG data")
    scan = scans[scans.rindex(b"\xff\xda") : -2]
    add("jpeg", "scans_65", scans[:-2] + 63 * scan + scans[-2:], "more than 64 scans")
