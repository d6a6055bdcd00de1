"""Seeds of the target flax_checkpoint: MessagePack as Flax writes it."""

import struct


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


def add_flax_checkpoints(add, safetensors):
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
