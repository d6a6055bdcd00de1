#!/usr/bin/env python3
"""Writes tests/golden/data/: batches of CIFAR's Python version as pickle and NumPy write them, and NumPy's .npz.

    python tests/golden/data_golden.py      (numpy 2)

A batch holds two images; byte i of image n is (31 n + 7 i + i // 256) mod 256.
"""

import io
import pathlib
import pickle
import struct
import zipfile

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent / "data"
BYTES = 3 * 32 * 32


def images():
    i = np.arange(BYTES)
    return np.stack([31 * n + 7 * i + i // 256 for n in range(2)]).astype(np.uint8)


def batch(as_bytes):
    def text(value):
        return value.encode() if as_bytes else value

    return {text("batch_label"): text("training batch 1 of 5"), text("labels"): [3, 9], text("data"): images(),
            text("filenames"): [text("leptodactylus_pentadactylus_s_000004.png"), text("camion_s_000148.png")]}


def python2_string(data):
    return b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data


def python2_batch():
    """What cPickle of Python 2 made of a batch, opcode by opcode as pickletools.dis shows those of the archive."""
    put = iter(b"q" + bytes([i]) for i in range(1, 100))

    def text(data):
        return python2_string(data) + next(put)

    shape = b"K\x02M\x00\x0c\x86"
    out = b"\x80\x02}" + next(put) + b"(" + text(b"batch_label") + text(b"training batch 1 of 5")
    out += text(b"labels") + b"]" + next(put) + b"(K\x03K\x09e" + text(b"data")
    out += b"cnumpy.core.multiarray\n_reconstruct\n" + next(put) + b"cnumpy\nndarray\n" + next(put)
    out += b"K\x00\x85U\x01b\x87R" + next(put) + b"(K\x01" + shape
    out += b"cnumpy\ndtype\n" + next(put) + python2_string(b"u1") + b"K\x00K\x01\x87R" + next(put)
    out += b"(K\x03" + python2_string(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    out += python2_string(images().tobytes()) + b"tb"
    out += text(b"filenames") + b"]" + next(put) + b"(" + text(b"leptodactylus_pentadactylus_s_000004.png")
    return out + text(b"camion_s_000148.png") + b"eu."


def write_batches():
    (FOLDER / "batch_python2").write_bytes(python2_batch())
    for protocol in range(2, 6):
        data = pickle.dumps(batch(as_bytes=protocol % 2 == 0), protocol=protocol)
        (FOLDER / f"batch_protocol{protocol}").write_bytes(data)
    columns = {**batch(as_bytes=False), "data": np.asfortranarray(images())}
    for protocol in (4, 5):
        (FOLDER / f"batch_columns{protocol}").write_bytes(pickle.dumps(columns, protocol=protocol))
    for folder in FOLDER.glob("batch_*"):
        loaded = pickle.loads(folder.read_bytes(), encoding="bytes")
        data = loaded.get(b"data", loaded.get("data"))
        assert (data == images()).all(), folder


def archive(name, files, method):
    """A zip archive as numpy.savez writes it, with the time of zip's beginning: the same arrays are the same file."""
    with zipfile.ZipFile(FOLDER / name, "w") as out:
        for file, data in files.items():
            member = zipfile.ZipInfo(file + ".npy")
            member.compress_type = method
            with out.open(member, "w", force_zip64=True) as content:
                content.write(data)


def npy(array, version=None):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    return buffer.getvalue()


def npz(name, method, **arrays):
    archive(name, {key: npy(array) for key, array in arrays.items()}, method)


def write_npz():
    x = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    y = np.array([2, 0, 1])
    npz("keras.npz", zipfile.ZIP_DEFLATED, x_train=x, y_train=y.astype(np.uint8), x_test=x[:1] + 100, y_test=y[:1].astype(np.uint8))
    npz("medmnist.npz", zipfile.ZIP_DEFLATED, train_images=x, train_labels=y[:, None], val_images=x, val_labels=y[:, None],
        test_images=x[1:], test_labels=y[1:, None])
    values = (np.arange(2 * 3 * 4 * 2) / 8 - 1).reshape(2, 3, 4, 2)
    npz("rows.npz", zipfile.ZIP_STORED, x=values.astype("<f4"), y=y[:2].astype(">i4"))
    npz("columns.npz", zipfile.ZIP_STORED, x=np.asfortranarray(values.astype(">f8")), y=y[:2].astype("<u2"))


def write_npy():
    """One array in every version, byte order and order of elements: element i by rows is i."""
    files = {}
    for version in (1, 2, 3):
        for dtype in ("u1", "<u4", ">i8", "<f2", ">f4", "<f8"):
            for order in "CF":
                array = np.asarray(np.arange(24).reshape(2, 3, 4).astype(dtype), order=order)
                files[f"{dtype} {order} {version}"] = npy(array, version=(version, 0))
    archive("types.npz", files, zipfile.ZIP_DEFLATED)


def main():
    FOLDER.mkdir(exist_ok=True)
    write_batches()
    write_npz()
    write_npy()


main()
