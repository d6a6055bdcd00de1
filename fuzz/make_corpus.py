#!/usr/bin/env python3
"""Writes the seed corpus, fuzz/corpus/<target>/: small files that readers must take, and hostile ones that each must
give one clear error. What is said of each stands in fuzz/corpus/<target>.txt; replay_<target> compares.

    fuzz/make_corpus.py build/release/bin/hwynn     (the program makes the checkpoint to start from)
"""

import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

import make_data_corpus
import make_flax_corpus
import make_image_corpus
import make_model_corpus

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
EXPECTED = {}


def add(target, name, data, expected="taken"):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    EXPECTED.setdefault(target, []).append(f"{name}: {expected}\n")


# ---- safetensors ----


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def add_safetensors():
    def good(name, *args):
        add("safetensors", name, safetensors(*args))

    def bad(name, expected, *args, **kwargs):
        add("safetensors", name, safetensors(*args, **kwargs), expected)

    floats = struct.pack("<4f", 1.5, -2.0, float("nan"), 3.0)
    good("empty", "{}")
    good("scalar", {"a": entry("F64", [], 0, 8)}, bytes(8))
    good("no_elements", {"a": entry("F32", [0, 4], 0, 0), "b": entry("U8", [2], 0, 2)}, b"ab")
    good("four_bits", {"a": entry("F4", [2, 3], 0, 3)}, b"abc")
    good("many_dtypes", {"a": entry("F32", [2, 2], 0, 16), "b": entry("I64", [1], 16, 24), "é": entry("BF16", [1], 24, 26),
                         "__metadata__": {"format": "pt", "é\n": "\"\\"}}, floats + bytes(10))
    good("spaces", b"{ \"a\" : {\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]} }   ", b"a")

    tree = {"a": ["array", None, "str:text"], "step": "int", "rate": "float", "on": "bool"}
    good("flax_tree", {"a.0": entry("F32", [1], 0, 4), "step": entry("I64", [], 4, 12), "rate": entry("F64", [], 12, 20),
                       "on": entry("BOOL", [], 20, 21), "__metadata__": {"tree": json.dumps(tree)}}, bytes(21))

    one = json.dumps(entry("U8", [1], 0, 1))
    good("spaces_in_front", f" \n{{\"a\":{one}}}", b"a")
    good("metadata_null", f"{{\"__metadata__\":null,\"a\":{one}}}", b"a")
    good("shape_rank_8", {"a": entry("U8", [1] * 8, 0, 1)}, b"a")
    good("unknown_keys", {"a": {**entry("U8", [1], 0, 1), "x": {"y": [1, {"z": [2]}]}}}, b"a")
    good("flax_tree_numbers", {"a.0": entry("F32", [1], 0, 4), "__metadata__": {
        "tree": json.dumps({"a": {"int:0": "array"}, "str:int:1": None}), "tree_keys": "int:<number>, str:<text>"}}, bytes(4))

    add("safetensors", "nothing", b"", "is an empty file")
    add("safetensors", "seven_bytes", bytes(7), "ends at byte 7, before the 8 bytes of the header's length")
    bad("header_longer_than_file", "the header's length at byte 0 is 100, but the file ends at byte 10", "{}", length=100)
    bad("header_length_overflows", "the header's length at byte 0 is 18446744073709551615, above", "{}", length=2**64 - 1)
    bad("header_length_above_limit", "above 100000000", "{}", length=100_000_001)
    bad("header_cut_off", "not JSON at byte", "{\"a\":")
    bad("header_empty", "doesn't start with '{'", "")
    bad("header_zero_byte", "a zero byte in the header at byte 10", b"{}\0\0")
    bad("header_list", "doesn't start with '{'", "[]")
    bad("header_not_utf8", "not JSON", b"{\"\xff\":1}")
    bad("nested_lists", "nests too deeply", "{\"a\":" + "[" * 20000)
    bad("nested_objects", "nests too deeply", "{\"a\":" * 2000)
    bad("number_out_of_range", "number out of range", "{\"a\":1e999}")
    bad("duplicate_name", "names \"a\" twice", f"{{\"a\":{one},\"a\":{one}}}", b"a")
    bad("duplicate_name_escaped", "names \"a\" twice", f"{{\"a\":{one},\"\\u0061\":{one}}}", b"a")
    bad("duplicate_key", "names \"dtype\" twice", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1]}}", b"a")
    bad("dtype_unknown", "unknown dtype \"F33\"", {"a": entry("F33", [1], 0, 4)}, bytes(4))
    bad("dtype_number", "a dtype that is not a string", {"a": entry(32, [1], 0, 4)}, bytes(4))
    bad("dtype_too_small", "has 8 bytes, which are not a F32 array of [1]", {"a": entry("F32", [1], 0, 8)}, bytes(8))
    bad("entry_no_shape", "has no shape", {"a": {"dtype": "U8", "data_offsets": [0, 1]}}, b"a")
    bad("entry_number", "is not an object", {"a": 1})
    bad("metadata_number", "which is not a string", {"__metadata__": {"a": 1}})
    bad("shape_negative", "shape with -1, not a size", {"a": entry("U8", [-1], 0, 1)}, b"a")
    bad("shape_fraction", "shape with 1.0, not a size", {"a": entry("U8", [1.0], 0, 1)}, b"a")
    bad("shape_wraps_to_0", "overflows", {"a": entry("F32", [2**32, 2**32], 0, 0)})
    bad("shape_wraps_to_4", "overflows", {"a": entry("F32", [2**62 + 1], 0, 4)}, bytes(4))
    bad("shape_above_63_bits", "has the extent 18446744073709551615", {"a": entry("U8", [2**64 - 1], 0, 0)})
    bad("shape_above_64_bits", "not a size", {"a": entry("U8", [2**64], 0, 0)})
    bad("shape_rank_9", "rank 9 exceeds", {"a": entry("U8", [1] * 9, 0, 1)}, b"a")
    bad("shape_bits_wrap_to_0", "has 0 bytes, which are not a F64 array", {"a": entry("F64", [2**58], 0, 0)})
    bad("dtype_missing", "has no dtype", {"a": {"shape": [1], "data_offsets": [0, 1]}}, b"a")
    bad("offsets_missing", "has no data_offsets", {"a": {"dtype": "U8", "shape": [1]}}, b"a")
    bad("shape_number", "has a shape that is not a list", {"a": entry("U8", 1, 0, 1)}, b"a")
    bad("metadata_list", "\"__metadata__\" is not an object", {"__metadata__": []})
    bad("four_bits_odd", "which are not a F4 array of [3]", {"a": entry("F4", [3], 0, 2)}, b"ab")
    bad("byte_order_mark", "doesn't start with '{'", b"\xef\xbb\xbf{}")
    bad("shape_huge", "has 0 bytes, which are not a F32 array of [1099511627776]", {"a": entry("F32", [2**40], 0, 0)})
    bad("offsets_overlap", "\"b\" begins at byte", {"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6))
    bad("offsets_same", "begins at byte", {"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 0, 4)}, bytes(4))
    bad("offsets_hole", "\"b\" begins at byte", {"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, bytes(3))
    bad("offsets_outside", "ends at byte 8 of the data, which have 4", {"a": entry("U8", [8], 0, 8)}, bytes(4))
    bad("offsets_reversed", "ends at 0, before it begins at 4", {"a": entry("U8", [4], 4, 0)}, bytes(4))
    bad("offsets_overflow", "ends at byte 18446744073709551615", {"a": entry("U8", [1], 2**64 - 2, 2**64 - 1)}, b"a")
    bad("offsets_three", "3 data_offsets instead of 2", {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1, 2]}}, b"a")
    bad("data_cut_off", "ends at byte 16 of the data, which have 15", {"a": entry("F32", [4], 0, 16)}, floats[:15])
    bad("data_left_over", "trailing bytes from byte", {"a": entry("F32", [4], 0, 16)}, floats + b"x")


# ---- checkpoints ----


class Checkpoint:
    def __init__(self, data):
        length = struct.unpack("<Q", data[:8])[0]
        self.header = json.loads(data[8:8 + length])
        self.metadata = self.header.pop("__metadata__")
        self.arrays = {name: (e["dtype"], e["shape"], bytearray(data[8 + length:][slice(*e["data_offsets"])]))
                       for name, e in self.header.items()}

    def bytes(self, arrays=True):
        header, data = {"__metadata__": self.metadata}, b""
        for name, (dtype, shape, values) in self.arrays.items() if arrays else []:
            header[name] = entry(dtype, shape, len(data), len(data) + len(values))
            data += values
        return safetensors(header, data)


def add_checkpoints(program):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "train", "--dataset=synthetic", "--model=resnet20", "--width=0.0625", "--max-steps=1",
                        "--batch-size=4", "--momentum=0", "--no-nesterov", "--output", folder], check=True, stdout=subprocess.DEVNULL)
        original = (pathlib.Path(folder) / "checkpoint.safetensors").read_bytes()
    add("checkpoint", "resnet20", original)

    def bad(name, expected, change, arrays=True):
        checkpoint = Checkpoint(original)
        change(checkpoint)
        add("checkpoint", name, checkpoint.bytes(arrays), expected)

    def put(array, element, value):
        return lambda c: struct.pack_into("<f", c.arrays[array][2], 4 * element, value)

    bad("nan_scale", "array \"params.bn_init.scale\" holds nan at element 0, which is not finite", put("params.bn_init.scale", 0, float("nan")))
    bad("infinite_mean", "array \"batch_stats.bn_init.mean\" holds inf at element 0", put("batch_stats.bn_init.mean", 0, float("inf")))
    bad("negative_var", "holds -1 at element 0, which no variance can be", put("batch_stats.bn_init.var", 0, -1.0))

    def half(c):
        shape, values = c.arrays["params.Dense_0.bias"][1:]
        c.arrays["params.Dense_0.bias"] = ("F16", shape, values[:len(values) // 2])

    bad("half_precision", "array \"params.Dense_0.bias\" has dtype F16, not F32", half)

    # Without arrays: what is wrong in the metadata shows first.
    def metadata(name, expected, **changes):
        def change(c):
            for key, value in changes.items():
                c.metadata.update({key.replace("__", ".").replace("_DASH_", "-"): value})
        bad(name, expected, change, arrays=False)

    bad("no_arrays", "the model has more than the 0 elements allowed", lambda c: None, arrays=False)
    bad("no_format", "not a checkpoint of hwynn", lambda c: c.metadata.pop("format"), arrays=False)
    metadata("format_of_tomorrow", "format \"hwynn checkpoint 9\" isn't", format="hwynn checkpoint 9")
    metadata("step_negative", "step -1 is out of range", step="-1")
    metadata("step_overflows", "step -9223372036854775808 is out of range", step="9223372036854775808")
    metadata("step_text", "the metadata's \"step\" can't be read", step="one")
    metadata("hits_above_images", "5 hits in 4 images of the epoch are out of range", epoch_correct="5")
    metadata("image_shape_rank_2", "image shape [28,28] isn't [H,W,C]", image_shape="[28,28]")
    metadata("image_shape_huge", "image shape [1000000,1000000,1] has more than", image_shape="[1000000,1000000,1]")
    metadata("image_shape_overflows", "element count overflows", image_shape="[4294967296,4294967296,1]")
    metadata("class_names_empty", "there are no class names", class_names="[]")
    metadata("class_names_nested", "\"class_names\" nests too deeply", class_names="[" * 5000)
    metadata("stddev_zero", "channel 0 has mean", stddev="[0.0]")
    square = dict(image_shape="[28,28,1]")
    metadata("transform_small", "image_size 28 and resize 27", evaluation_transform='{"image_size":28,"resize":27,"interpolation":"bilinear"}', **square)
    metadata("transform_other_size", "those of the transform 224 pixels wide", evaluation_transform='{"image_size":224,"resize":256,"interpolation":"bicubic"}', **square)
    metadata("transform_text", "EvaluationTransform: the text isn't one", evaluation_transform="[224,256]", **square)
    metadata("width_huge", "width (1e+300) must be positive and make at most", option__width="1e300")
    metadata("width_infinite", "width", option__width="inf")
    metadata("model_unknown", "there is no model \"resnet9000\"", option__model="resnet9000")
    metadata("epochs_text", "option \"epochs\" can't be \"five\"", option__epochs="five")


# ---- what files of other programs begin with ----


def add_containers():
    def zip_of(name):
        return b"PK\3\4" + bytes(22) + struct.pack("<HH", len(name), 0) + name.encode() + b"content"

    add("container", "safetensors", safetensors("{}"))
    add("container", "safetensors_length_of_gzip", struct.pack("<Q", 0x088B1F) + b" {}")
    add("container", "msgpack", make_flax_corpus.pack({"params": {}}))
    add("container", "msgpack_numbers", make_flax_corpus.pack({0: {"kernel": 1}}))
    add("container", "unknown", b"\1\2\3\4")
    add("container", "bzip2_cut_off", b"BZh")
    tar = bytearray(512)
    tar[257:262] = b"ustar"
    for name, data, expected in [
            ("empty", b"", "is an empty file"), ("git_lfs", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            ("web_page", b" <!DOCTYPE html>", "is a web page"), ("xml", b"<?xml version='1.0'?>", "is XML"),
            ("json", b"{\"weight_map\": {}}", "is JSON"), ("text", b"Not found", "is text"),
            ("pytorch", zip_of("archive/data.pkl"), "PyTorch's"), ("pickle", b"\x80\2}q\0.", "is a Python pickle"),
            ("npz", zip_of("a.npy"), "NumPy's .npz"), ("zip", zip_of("a"), "is a zip archive"), ("zip_short", b"PK\3\4", "is a zip archive"),
            ("zip_name_outside", b"PK\3\4" + b"\xff" * 26, "is a zip archive"), ("npy", b"\x93NUMPY\1\0", "NumPy's .npy"),
            ("gzip", b"\x1f\x8b\x08", "gunzip"), ("xz", b"\xfd7zXZ\0", "unxz"), ("zstd", b"\x28\xb5\x2f\xfd", "unzstd"),
            ("bzip2", b"BZh91AY&SY", "bunzip2"), ("tar", bytes(tar), "tar -xf"), ("onnx", b"\x08\x07\x12\7pytorch", "is an ONNX model"),
            ("gguf", b"GGUF\3\0\0\0", "is a GGUF model"), ("hdf5", b"\x89HDF\r\n\x1a\n", "is HDF5"),
            ("tflite", b"\x1c\0\0\0TFL3", "is a TensorFlow Lite model"), ("png", b"\x89PNG\r\n\x1a\n", "is a PNG picture"),
            ("jpeg", b"\xff\xd8\xff\xe0", "is a JPEG picture")]:
        add("container", name, data, expected)


# ---- ResNets with PyTorch's names ----


def torch_resnet18(filters=1, classes=2):
    shapes = {}

    def conv(name, outputs, inputs, size):
        shapes[f"{name}.weight"] = [outputs, inputs, size, size]

    def norm(name, channels):
        shapes.update({f"{name}.{part}": [channels] for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = []

    conv("conv1", filters, 3, 7)
    norm("bn1", filters)
    inputs = filters
    for stage in range(4):
        outputs = filters << stage
        for block in range(2):
            name = f"layer{stage + 1}.{block}"
            conv(f"{name}.conv1", outputs, inputs, 3)
            norm(f"{name}.bn1", outputs)
            conv(f"{name}.conv2", outputs, outputs, 3)
            norm(f"{name}.bn2", outputs)
            if inputs != outputs:
                conv(f"{name}.downsample.0", outputs, inputs, 1)
                norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    shapes.update({"fc.weight": [classes, inputs], "fc.bias": [classes]})
    header, data = {}, b""
    for name, shape in shapes.items():
        size = 1
        for extent in shape:
            size *= extent
        values = bytes(8) if not shape else struct.pack(f"<{size}e", *([1.0] * size))
        header[name] = entry("F16" if shape else "I64", shape, len(data), len(data) + len(values))
        data += values
    return header, data


def add_pytorch_imports():
    header, data = torch_resnet18()
    add("pytorch_import", "resnet18", safetensors(header, data))

    def bad(name, expected, arrays):
        text, values = {}, b""
        for array, (dtype, shape, content) in arrays.items():
            text[array] = entry(dtype, shape, len(values), len(values) + len(content))
            values += content
        add("pytorch_import", name, safetensors(text, values), expected)

    conv = ("F32", [1, 3, 7, 7], bytes(588))
    bad("nothing", "has no array \"conv1.weight\"", {})
    bad("stem_alone", "has no array \"fc.weight\"", {"conv1.weight": conv})
    bad("stem_without_end", "\"conv1.weight\" is empty", {"conv1.weight": ("F32", [2**59, 0, 7, 7], b"")})
    bad("stem_overflows", "\"conv1.weight\" is empty", {"conv1.weight": ("F32", [0, 3, 2**40, 2**40], b"")})
    bad("stem_infinite", "holds inf at element 2", {"conv1.weight": ("F64", [1, 3, 1, 1], struct.pack("<3d", 1, 2, 1e300))})
    bad("negative_variance", "no variance can be", {"conv1.weight": conv, "bn1.running_var": ("F32", [1], struct.pack("<f", -1))})
    bad("stem_of_no_filters", "is empty", {"conv1.weight": ("F32", [0, 3, 7, 7], b"")})
    bad("stem_of_rank_1", "has 1 dimensions, not 4", {"conv1.weight": ("F32", [4], bytes(16))})
    bad("stem_of_integers", "is I32, not F32", {"conv1.weight": ("I32", [1, 3, 7, 7], bytes(588))})
    bad("block_of_a_billion", "isn't one of a ResNet", {"conv1.weight": conv, "layer1.999999999.conv1.weight": conv})
    bad("block_overflows", "isn't one of a ResNet", {"conv1.weight": conv, "layer1.99999999999999999999.conv1.weight": conv})
    def filters(*shape):
        size = 1
        for extent in shape:
            size *= extent
        return ("F16", list(shape), struct.pack(f"<{size}e", *([1.0] * size)))

    bottleneck = {"conv1.weight": conv, "fc.weight": filters(2, 16), "layer1.0.conv1.weight": filters(4, 1, 1, 1),
                  "layer1.0.conv3.weight": filters(4, 4, 1, 1)}
    bad("groups_that_do_not_divide", "can't be cut into", {**bottleneck, "layer1.0.conv2.weight": filters(4, 3, 3, 3)})
    bad("groups_of_other_channels", "of a ResNet of 1 bottleneck blocks of 2x128", {**bottleneck, "layer1.0.conv2.weight": filters(3, 2, 3, 3)})
    bad("bottleneck_without_its_middle", "has no array \"layer1.0.conv2.weight\"", bottleneck)
    deep = {"conv1.0.weight": filters(1, 3, 3, 3), "conv1.6.weight": filters(2, 1, 3, 3), "fc.weight": filters(2, 16)}
    bad("deep_stem_alone", "has no array for", deep)
    bad("deep_stem_too_deep", "more than three convolutions", {**deep, "conv1.9.weight": filters(1)})
    mobile = {"features.0.0.weight": filters(8, 3, 3, 3)}
    bad("mobilenet_stem_alone", "has no array \"features.1.conv.1.weight\"", mobile)
    bad("mobilenet_other_name", "isn't one of a MobileNetV2", {**mobile, "features.99.conv.0.0.weight": filters(1)})
    bad("mobilenet_of_timm", "has no array \"features.1.conv.1.weight\"", {"conv_stem.weight": filters(8, 3, 3, 3)})
    bad("mobilenet_block_overflows", "isn't one of a MobileNetV2", {**mobile, "features.99999999999.conv.0.0.weight": filters(1)})
    ends = {"conv_head.weight": filters(9, 8, 1, 1), "classifier.weight": filters(2, 9)}
    projections = {f"blocks.{s}.0.conv_pw{'l' if s else ''}.weight": filters(8, 8, 1, 1) for s in range(7)}
    bad("mobilenet_of_odd_channels", "of mobilenet_v2", {**mobile, **ends, **projections})
    bad("other_name", "isn't one of a ResNet", {"conv1.weight": conv, "conv1.weights": conv})


# ---- text ----


def add_recipe():
    add("recipe", "defaults", "")
    add("recipe", "adamw", "optimizer=adamw\nlearning-rate=0.001\nweight-decay=1e-2\nclip-norm=1\nbeta2=0.95\nflip=false\n")
    add("recipe", "steps", "schedule=step\ndecay-epochs=2,3,4\ndecay-factor=0.5\nwarmup-epochs=0\nepochs=5\n")
    add("recipe", "augmentation", "pad-crop=4\nrandom-erasing=0.25\nerasing-fill=mean\nlabel-smoothing=0.1\n")
    add("recipe", "missing", "epochs\n", "option \"epochs\" is missing")
    add("recipe", "unknown", "colour=green\n", "option \"colour\" is unknown")
    add("recipe", "epochs_overflow", "epochs=9223372036854775808\n", "option \"epochs\" can't be")
    add("recipe", "epochs_too_many", "epochs=9223372036854775807\n", "epochs are too many")
    add("recipe", "epochs_0", "epochs=0\n", "epochs (0)")
    add("recipe", "epochs_fraction", "epochs=1.5\n", "option \"epochs\" can't be \"1.5\"")
    add("recipe", "rate_nan", "learning-rate=nan\n", "learning rate (nan) must be positive")
    add("recipe", "rate_infinite", "learning-rate=inf\n", "learning rate (inf) must be positive")
    add("recipe", "rate_negative", "learning-rate=-1\n", "learning rate (-1) must be positive")
    add("recipe", "momentum_nan", "momentum=nan\n", "momentum (nan) must be")
    add("recipe", "warmup_infinite", "warmup-epochs=inf\n", "warm-up (inf epochs)")
    add("recipe", "decay_order", "schedule=step\ndecay-epochs=3,2\n", "decay epochs must ascend")
    add("recipe", "decay_text", "decay-epochs=3,x\n", "option \"decay-epochs\" can't be \"3,x\"")
    add("recipe", "erasing_2", "random-erasing=2\n", "random_erasing 2 is not a probability")
    add("recipe", "crop_negative", "pad-crop=-1\n", "pad_crop -1 is not in")
    add("recipe", "flip_maybe", "flip=maybe\n", "option \"flip\" can't be \"maybe\"")


def add_history():
    columns = "epoch,step,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds\n"
    row = "1,468,0.2,0.75,0.72,0.5,0.81,6000.5,11.25\n"
    add("history", "two_epochs", columns + row + "2,936,0.1,0.45,0.82,0.4,0.86,6100,11\n")
    add("history", "no_epoch", columns)
    add("history", "not_numbers", columns + "0.5,234,0.2,nan,0.1,inf,-inf,0,0\n")
    add("history", "infinite_loss", columns + row.replace("0.75", "-inf") + "2,936,0.1,0.45,0.82,0.4,0.86,6100,11\n")
    add("history", "steep", columns + row.replace("0.75", "1e308") + row.replace("0.75", "-1e308"))
    add("history", "flat", columns + "1,1,1,1e20,1e20,1e20,1e20,1,1\n")
    add("history", "wide", columns + "1e300,1,0,1e308,-1e308,1e-320,0,0,1e300\n")
    add("history", "nothing", "", "line 1 isn't the header of a history")
    add("history", "no_history", "a,b\n1,2\n", "line 1 isn't the header of a history")
    add("history", "column_missing", columns + "1,2,3\n", "line 2 isn't a row of a history")
    add("history", "column_too_many", columns + row + row.strip() + ",1\n", "line 3 isn't a row of a history")
    add("history", "cut_off", columns + row + row[:20], "line 3 isn't a row of a history")
    add("history", "step_overflows", columns + row.replace("468", "9223372036854775808"), "line 2 isn't a row")
    add("history", "text", columns + row.replace("468", "four"), "line 2 isn't a row of a history")


def add_op_attributes():
    shapes = '"input_shape":[2,9,9,4],"filter_shape":[3,3,2,6]'
    add("op_attributes", "conv", f'{{{shapes},"stride":[2,1],"dilation":[1,2],"padding":[[1,2],[0,3]],"groups":2}}')
    add("op_attributes", "words", f'{{{shapes},"padding":"VALID","variance":"two_pass","relu":true,"epsilon":1e-3,"window":[2,3],"groups":2}}')
    big = 2**62
    for name, text, expected in [
            ("nothing", "", "JSON"), ("list", "[]", "JSON object"), ("nested_lists", '{"padding":' + "[" * 20000, "nest too deeply"),
            ("twice", '{"groups":1,"groups":1}', "twice"), ("unknown", '{"colour":1}', "colour"),
            ("number_out_of_range", '{"epsilon":1e999}', "out of range"), ("stride_0", '{"stride":[0,1]}', "stride"),
            ("stride_text", '{"stride":"2"}', "stride"), ("groups_fraction", '{"groups":1.5}', "groups"),
            ("epsilon_negative", '{"epsilon":-1}', "epsilon"), ("no_shape", "{}", "input_shape"),
            ("shape_overflows", f'{{"input_shape":[{big},{big},2,2]}}', "product below 2^60"),
            ("padding_overflows", f'{{{shapes},"groups":2,"padding":[[{2**63 - 1},{2**63 - 1}],[0,0]]}}', "exceeds 2147483647"),
            ("dilation_overflows", f'{{{shapes},"groups":2,"dilation":[{big},{big}]}}', "exceeds 2147483647"),
            ("window_overflows", f'{{{shapes},"groups":2,"window":[{2**63 - 1},{2**63 - 1}]}}', "exceeds 2147483647"),
            ("groups_do_not_divide", f'{{{shapes},"groups":3}}', "groups")]:
        add("op_attributes", name, text, expected)


def main():
    shutil.rmtree(CORPUS, ignore_errors=True)
    add_safetensors()
    add_checkpoints(sys.argv[1])
    make_flax_corpus.add_flax_checkpoints(add, safetensors)
    add_containers()
    add_pytorch_imports()
    make_model_corpus.add_inference_models(add, safetensors)
    make_image_corpus.add_idx(add)
    make_image_corpus.add_cifar(add)
    make_image_corpus.add_png(add)
    make_image_corpus.add_jpeg(add)
    make_data_corpus.add_cifar_pickle(add)
    make_data_corpus.add_npz(add)
    make_data_corpus.add_photo_list(add)
    add_recipe()
    add_history()
    add_op_attributes()
    for target, lines in EXPECTED.items():
        (CORPUS / f"{target}.txt").write_text("".join(sorted(lines)), encoding="utf-8")


main()
