"""Seeds of the target inference_model: compiled models, whole ones and programs alone, which the target gives weights."""

import json
import struct

MASK = 2**64 - 1


def mix(state, word):
    state = ((state ^ word) * 0x9E3779B97F4A7C15) & MASK
    return state ^ (state >> 32)


def checksum_of_block(data):
    """That of formats/checksum.cc."""
    lanes, words = [1, 2, 3, 4], [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]
    lines = len(data) // 32
    for i, word in enumerate(words[: 4 * lines]):
        lanes[i % 4] = mix(lanes[i % 4], word)
    total = mix(0, len(data))
    for word in words[4 * lines :] + lanes:
        total = mix(total, word)
    return total


def checksum(data):
    blocks = [checksum_of_block(data[i : i + 2**20]) for i in range(0, len(data), 2**20)]
    return f"{checksum_of_block(struct.pack(f'<{len(blocks)}Q', *blocks)):x}"


class Program:
    """The steps of a small network for images [9,8,3], and the places of its arrays."""

    def __init__(self):
        self.floats, self.value, self.steps = 0, 0, []

    def array(self, *shape):
        size, offset = 1, self.floats
        for extent in shape:
            size *= extent
        self.floats += -(-size // 16) * 16
        return {"offset": offset, "shape": list(shape)}

    def step(self, kind, **fields):
        self.steps.append({"kind": kind, "path": f"layer_{len(self.steps)}", "input": len(self.steps), **fields})
        return self.steps[-1]

    def conv(self, filter_shape, stride=(1, 1), padding="same", groups=1, **fields):
        self.step("conv2d", stride=stride, dilation=[1, 1], padding=padding, groups=groups, highest_precision=False,
                  filter=self.array(*filter_shape), bias=self.array(filter_shape[3]), **fields)

    def pool(self, kind, padding="valid"):
        self.step(kind, window=[2, 2], stride=[2, 2], dilation=[1, 1], padding=padding, ceil_mode=True, count_include_pad=False)

    def json(self):
        return {"steps": self.steps, "output": len(self.steps), "image_shape": [9, 8, 3], "class_names": ["a", "naïve"],
                "mean": [0.1, 0.2, 0.3], "stddev": [1, 2, 0.1]}


def network():
    program = Program()
    program.step("normalize", mean=program.array(3), scale=program.array(3), bias=program.array(3), relu=True)
    program.conv((3, 3, 3, 8), relu=True, upper=6)
    program.conv((3, 3, 8, 8), padding=[1, 1, 1, 1])
    program.step("add", addend=2, relu=True)
    program.conv((3, 2, 1, 8), padding=[1, 0, 2, -1], groups=8)
    program.pool("max_pool", [0, 1, 1, 0])
    program.step("relu", relu=True, upper=0.5)
    program.pool("average_pool")
    program.step("global_average_pool")
    program.step("flatten")
    program.step("dense", filter=program.array(1, 1, 8, 2), bias=program.array(2))
    return program


def add_inference_models(add, safetensors):
    """add(target, name, data, expected); safetensors(header, data) makes a file."""
    whole = network()
    values = [((i * 37) % 17 - 8) / 16 for i in range(whole.floats)]

    def model(text, weights, pad=True, **metadata):
        data = struct.pack(f"<{len(weights)}f", *weights)
        info = {"format": "hwynn inference", "version": "1", "program": text, "checksum": checksum(data) + checksum(text.encode()), **metadata}
        entry = {"dtype": "F32", "shape": [len(weights)], "data_offsets": [0, len(data)]}
        header = json.dumps({"__metadata__": info, "weights": entry})
        return safetensors(header + " " * (-(len(header.encode()) + 8) % 64 if pad else 1), data)

    text = json.dumps(whole.json())
    good = model(text, values)
    add("inference_model", "whole", good)
    add("inference_model", "whole_no_steps", model(json.dumps({**whole.json(), "steps": [], "output": 0}), values))
    add("inference_model", "nothing", b"", "empty")
    add("inference_model", "cut_off", good[:-9], "input")
    add("inference_model", "changed_weight", good[:-9] + bytes([good[-9] ^ 1]) + good[-8:], "the checksum doesn't fit")
    add("inference_model", "changed_program", model(text, values, program=text.replace("0.5", "0.6")), "the checksum doesn't fit")
    add("inference_model", "version_2", model(text, values, version="2"), "is of version 2")
    add("inference_model", "other_format", model(text, values, format="pt"), "isn't a compiled model")
    add("inference_model", "not_aligned", model(text, values, pad=False), "multiple of 64")
    add("inference_model", "infinite_weight", model(text, [float("inf")] + values[1:]), "not finite")

    def change(name, expected, edit):
        program = network().json()
        edit(program, program["steps"])
        add("inference_model", f"program_{name}", json.dumps(program), expected)

    def field(name, expected, step, **fields):
        change(name, expected, lambda _, steps: steps[step].update(fields))

    add("inference_model", "program", text)
    change("one_conv", "taken", lambda p, steps: p.update(steps=[dict(steps[1], input=0)], output=1))
    change("no_classes", "taken", lambda p, _: p.update(class_names=[], mean=[], stddev=[]))
    field("path_of_quotes", "taken", 1, path='a"\\\u0000\n/b')
    field("padded_far", "taken", 2, padding=[65536] * 4)  # refused when an image comes
    field("window_huge", "taken", 5, window=[65536, 65536])
    field("strides_huge", "taken", 1, stride=[65536, 65536])
    field("dilation_huge", "taken", 4, dilation=[65536, 65536])
    field("crops_all", "taken", 2, padding=[-65536] * 4)
    field("channels_do_not_fit", "taken", 2, input=1)
    field("adds_other_shape", "taken", 3, addend=0)
    field("dense_of_image", "taken", 10, input=2)
    field("output_of_input", "taken", 9, input=0)
    add("inference_model", "program_no_json", "{\"steps\":", "isn't JSON")
    add("inference_model", "program_nested", "{\"steps\":" + "[" * 20000, "nests too deeply")
    nested = json.dumps({**whole.json(), "steps": [dict(whole.steps[0], kind="@")]}).replace('"@"', "[" * 100_000 + "]" * 100_000)
    add("inference_model", "program_kind_nested", nested, "nests too deeply")
    change("steps_text", "no list of steps", lambda p, _: p.update(steps="none"))
    change("output_later", "\"output\" is 12", lambda p, _: p.update(output=12))
    change("names_number", "\"class_names\"", lambda p, _: p.update(class_names=[1]))
    change("rank_4", "is not [H,W,C]", lambda p, _: p.update(image_shape=[1, 9, 8, 3]))
    change("image_huge", "\"image_shape\" is not a whole number", lambda p, _: p.update(image_shape=[9, 5e113, 3]))
    change("mean_huge", "\"mean\"", lambda p, _: p.update(mean=[0, 1e300, 0]))
    change("stddev_0", "standard deviation 0", lambda p, _: p.update(stddev=[1, 0, 1]))
    change("transform", "taken", lambda p, _: p.update(image_shape=[8, 8, 3], transform='{"image_size":8,"resize":9,"interpolation":"bicubic"}'))
    change("transform_no_square", "those of the transform 8 pixels wide", lambda p, _: p.update(transform='{"image_size":8,"resize":9,"interpolation":"bicubic"}'))
    change("transform_small", "image_size 8 and resize 7", lambda p, _: p.update(image_shape=[8, 8, 3], transform='{"image_size":8,"resize":7,"interpolation":"bilinear"}'))
    change("transform_nearest", "not \"nearest\"", lambda p, _: p.update(transform='{"image_size":8,"resize":9,"interpolation":"nearest"}'))
    change("transform_number", "is not a string", lambda p, _: p.update(transform=8))
    field("kind_unknown", "unknown kind \"execute\"", 1, kind="execute")
    field("input_later", "\"input\" is 7", 1, input=7)
    field("addend_of_relu", "adds nothing", 6, addend=0)
    field("stride_0", "\"stride\" is 0", 1, stride=[0, 1])
    field("groups_0", "\"groups\" is 0", 4, groups=0)
    field("upper_negative", "\"upper\"", 1, upper=-1)
    field("filter_outside", "\"filter\" is", 1, filter={"offset": 2048, "shape": [3, 3, 3, 8]})
    field("filter_wraps", "larger than the file", 1, filter={"offset": 0, "shape": [2048, 2048, 2048, 2048]})
    field("filter_empty", "\"filter\" is 0", 1, filter={"offset": 0, "shape": [3, 3, 0, 8]})
    field("filter_twice", "larger than \"weights\"", 2, filter={"offset": 0, "shape": [15, 15, 1, 8]})
