#!/usr/bin/env python3
"""Writes the seed corpus, fuzz/corpus/<target>/: small files that readers must take, and hostile ones that each must
give one clear error. What is said of each stands in fuzz/corpus/<target>.txt; replay_<target> compares.

    fuzz/make_corpus.py build/release/bin/hwynn     (the program makes the checkpoint to start from)
"""

import gzip
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

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
    metadata("width_huge", "width (1e+300) must be positive and make at most", option__width="1e300")
    metadata("width_infinite", "width", option__width="inf")
    metadata("model_unknown", "there is no model \"resnet9000\"", option__model="resnet9000")
    metadata("epochs_text", "option \"epochs\" can't be \"five\"", option__epochs="five")


# ---- MessagePack, and the train states that Flax writes with it ----


class Array:
    def __init__(self, dtype, shape, data, kind=1):
        self.kind, self.payload = kind, pack([list(shape), dtype, data])


def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if value < 0:
            return struct.pack(">b", value) if value >= -32 else b"\xd3" + struct.pack(">q", value)
        for limit, code, form in (2**7, b"", "B"), (2**8, b"\xcc", "B"), (2**16, b"\xcd", "H"), (2**32, b"\xce", "I"):
            if value < limit:
                return code + struct.pack(">" + form, value)
        return b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return (bytes([0xA0 | len(data)]) if len(data) < 32 else b"\xd9" + bytes([len(data)])) + data
    if isinstance(value, bytes):
        return b"\xc4" + bytes([len(value)]) + value
    if isinstance(value, list):
        return bytes([0x90 | len(value)]) + b"".join(map(pack, value))
    if isinstance(value, dict):
        return bytes([0x80 | len(value)]) + b"".join(pack(k) + pack(v) for k, v in value.items())
    data = value.payload
    return (bytes([0xD4 + (1, 2, 4, 8, 16).index(len(data))]) if len(data) in (1, 2, 4, 8, 16) else b"\xc7" + bytes([len(data)])) + \
        bytes([value.kind]) + data


def add_flax_checkpoints():
    def floats(*values):
        return Array("float32", [len(values)], struct.pack(f"<{len(values)}f", *values))

    def state(**changes):
        params = {"Dense_0": {"bias": floats(1, 2), "kernel": Array("float32", [1, 2], struct.pack("<2f", 3, 4))}}
        step = Array("int32", [], struct.pack("<i", 7))
        document = {"step": step, "params": params, "opt_state": {"0": {"trace": params}, "1": {}},
                    "batch_stats": {"BatchNorm_0": {"mean": floats(0.5), "var": floats(1)}}}
        document.update(changes)
        return {key: value for key, value in document.items() if value is not None}

    def bad(name, expected, document):
        add("flax_checkpoint", name, document if isinstance(document, bytes) else pack(document), expected)

    dense = {"bias": floats(1, 2)}
    add("flax_checkpoint", "sgd_momentum", pack(state()))
    add("flax_checkpoint", "sgd", pack(state(opt_state={"0": {}, "1": {}})))
    add("flax_checkpoint", "plain_step", pack(state(step=7)))
    count = Array("int32", [], struct.pack("<i", 7), kind=3)
    adam = {"0": {"count": count, "mu": state()["params"], "nu": state()["params"]}, "1": {"count": count}}
    add("flax_checkpoint", "adam", pack(state(opt_state=adam)))
    chunks = {"__msgpack_chunked_array__": True, "shape": {"0": 2}, "chunks": {"0": floats(1), "1": floats(2)}}
    add("flax_checkpoint", "chunked", pack(state(params={"bias": chunks}, opt_state={})))
    add("flax_checkpoint", "other_fields", pack(state(epoch=3, loss=1.5, name="a" * 40, missing=None, flags=[True, None, -5, -500, 2**40])))

    add("flax_checkpoint", "half_precision", pack(state(params={"bias": Array("float16", [2], bytes(4))}, opt_state={})))
    lists = {"layers": {0: dense, 10: dense}}
    add("flax_checkpoint", "nnx_lists", pack(state(params=lists, opt_state={0: {"trace": lists}, 1: {}})))
    part = lambda trace: {"inner_state": {"0": {"trace": trace}, "1": {}}}
    bias, kernel = state()["params"]["Dense_0"].values()
    add("flax_checkpoint", "multi_transform", pack(state(opt_state={"inner_states": {
        "a": part({"Dense_0": {"bias": bias, "kernel": {}}}), "b": part({"Dense_0": {"bias": {}, "kernel": kernel}}),
        "c": {"inner_state": {}}}})))
    add("flax_checkpoint", "masked", pack(state(opt_state={"inner_state": {"trace": {"Dense_0": {}}}})))

    bad("nothing", "is an empty file", b"")
    bad("git_lfs", "is a git-lfs pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    bad("safetensors", "is a safetensors file", safetensors("{}"))
    bad("cut_off", "17 bytes must follow, but 14 are left", pack(state())[:-3])
    bad("left_over", "trailing", pack(state()) + b"x")
    bad("number", "isn't a dictionary", 7)
    bad("never_used_byte", "0xc1 starts no msgpack value", b"\x81\xa1a\xc1")
    bad("duplicate_key", "the key \"a\" is there twice", b"\x82\xa1a\xc0\xa1a\xc0")
    bad("duplicate_key_number", "the key 1 is there twice", b"\x82\x01\xc0\x01\xc0")
    bad("key_true", "the key of a map is neither a string nor an integer", b"\x81\xc3\xc0")
    bad("key_above_63_bits", "the key of a map is neither a string nor an integer", b"\x81\xcf" + b"\xff" * 8 + b"\xc0")
    bad("array_of_4_billion", "byte 9: 1 bytes must follow, but 0 are left", b"\x81\xa1a\xdd\xff\xff\xff\xff\xc0")
    bad("map_of_4_billion", "byte 8: 1 bytes must follow, but 0 are left", b"\xdf\xff\xff\xff\xff\xa1a\xc0")
    bad("binary_of_4_billion", "4294967295 bytes must follow, but 1 are left", b"\x81\xa1a\xc6\xff\xff\xff\xff\xc0")
    bad("nested_lists", "level", b"\x81\xa1a" + b"\x91" * 20000)
    bad("nested_maps", "level", b"\x81\xa1a" * 7000)
    bad("no_step", "has no \"step\"", state(step=None))
    bad("step_negative", "isn't a whole number", state(step=-1, opt_state={}))
    bad("step_text", "isn't a whole number", state(step="7", opt_state={}))
    bad("count_is_not_step", "is 8, the step is 7", state(opt_state={"count": 8}))
    bad("nan_scale", "holds nan at element 0, which is not finite", state(params={"scale": floats(float("nan"))}, opt_state={}))
    bad("negative_var", "holds -1 at element 0, which no variance can be", state(batch_stats={"var": floats(-1)}, opt_state={}))
    bad("integers", "is int32, not float32", state(params={"bias": Array("int32", [1], bytes(4))}, opt_state={}))
    bad("double_too_large", "holds inf at element 0", state(params={"bias": Array("float64", [1], struct.pack("<d", 1e300))}, opt_state={}))
    bad("dtype_unknown", "unknown dtype float31", state(params={"bias": Array("float31", [1], bytes(4))}, opt_state={}))
    bad("shape_too_large", "has 4 bytes, which are not a float32 array of [1099511627776]",
        state(params={"bias": Array("float32", [2**40], bytes(4))}, opt_state={}))
    bad("shape_overflows", "overflows", state(params={"bias": Array("float32", [2**32, 2**32], b"")}, opt_state={}))
    bad("shape_negative", "isn't a size", state(params={"bias": Array("float32", [-1], bytes(4))}, opt_state={}))
    bad("shape_rank_9", "rank 9 exceeds", state(params={"bias": Array("float32", [1] * 9, bytes(4))}, opt_state={}))
    bad("array_garbage", "0xc1 starts no msgpack value", state(params={"bias": type("", (), {"kind": 1, "payload": b"\xc1\xc1\xc1"})()}, opt_state={}))
    chunks_list = {"__msgpack_chunked_array__": True, "shape": [2], "chunks": [floats(1), floats(2)]}
    add("flax_checkpoint", "chunks_in_a_list", pack(state(params={"bias": chunks_list}, opt_state={})))
    bad("chunk_missing", "has an item \"2\" in a list of 2", state(params={"bias": {**chunks, "chunks": {"0": floats(1), "2": floats(2)}}}, opt_state={}))
    bad("chunk_too_short", "has 4 bytes", state(params={"bias": {**chunks, "chunks": {"0": floats(1)}}}, opt_state={}))
    bad("chunk_of_chunks", "isn't an array", state(params={"bias": {**chunks, "chunks": {"0": chunks}}}, opt_state={}))
    bad("chunk_number_key", "has an item \"0\" in a list of 2", state(params={"bias": {**chunks, "chunks": {"0": floats(1), 0: floats(2)}}}, opt_state={}))
    bad("not_masked", "has no array \"opt_state/0/trace/Dense_0/kernel\"", state(opt_state={"0": {"trace": {"Dense_0": {"bias": bias}}}}))
    bad("moment_of_nothing", "\"opt_state/0/trace/Dense_0/other\" isn't one of the model's", state(opt_state={"0": {"trace": {"Dense_0": {"other": bias}}}}))
    bad("moment_twice", "once more", state(params=dense, opt_state={"0": {"trace": dense}, "1": {"trace": dense}}))
    bad("leaf_twice", "two leaves", state(params={"a/b": floats(1), "a": {"b": floats(1)}}, opt_state={}))


# ---- what files of other programs begin with ----


def add_containers():
    def zip_of(name):
        return b"PK\3\4" + bytes(22) + struct.pack("<HH", len(name), 0) + name.encode() + b"content"

    add("container", "safetensors", safetensors("{}"))
    add("container", "safetensors_length_of_gzip", struct.pack("<Q", 0x088B1F) + b" {}")
    add("container", "msgpack", pack({"params": {}}))
    add("container", "msgpack_numbers", pack({0: {"kernel": 1}}))
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


# ---- data sets ----


def add_idx():
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


def add_cifar():
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


def add_png():
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
    add("png", "jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF", "is a JPEG picture")
    add("png", "no_png", b"GIF89a" + bytes(30), "signature")
    add("png", "cut_off_header", good[:20], "end of stream")
    add("png", "cut_off_data", good[:50], "end of stream")
    add("png", "wrong_checksum", good[:29] + b"\0\0\0\0" + good[33:], "invalid chunk checksum")
    add("png", "rows_missing", png(3, 200, 8, 0, bytes(8)), "IDAT stream too short")
    add("png", "size_0", png(0, 2, 8, 0, b"\0"), "invalid image width")
    add("png", "palette_missing", png(8, 1, 1, 3, bytes([0, 0x5A])), "missing PLTE")
    add("png", "palette_index", png(8, 1, 2, 3, bytes([0, 0xFF, 0xFF]), before=palette))
    add("png", "huge", png(2**31 - 1, 2**31 - 1, 8, 2, b"\0"), "image width exceeds user limit")
    add("png", "large_square", png(4097, 4097, 8, 2, b"\0"), "4097x4097 pixels at byte 16 are more than 16777216")
    add("png", "large", png(4096, 4096, 8, 2, b"\0"), "4096x4096 pixels at byte 16 are more than a file of")
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000), 9))
    add("png", "text_bomb", png(1, 1, 8, 0, b"\0\7", before=bomb), "limits")


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
    add_flax_checkpoints()
    add_containers()
    add_pytorch_imports()
    make_model_corpus.add_inference_models(add, safetensors)
    add_idx()
    add_cifar()
    add_png()
    add_recipe()
    add_history()
    add_op_attributes()
    for target, lines in EXPECTED.items():
        (CORPUS / f"{target}.txt").write_text("".join(sorted(lines)), encoding="utf-8")


main()
