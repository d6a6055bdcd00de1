"""Seeds of the targets cifar_pickle and npz: data sets as Python's programs write them."""

import pathlib
import struct

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "data"


def string(data):
    return b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data


def dictionary(**items):
    return b"\x80\2}(" + b"".join(string(key.encode()) + value for key, value in items.items()) + b"u."


def array(shape, data, dtype=b"u1", fortran=b"\x89", made=b"numpy.core.multiarray\n_reconstruct"):
    head = b"c" + made + b"\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1" + shape
    return head + b"cnumpy\ndtype\n" + string(dtype) + b"K\0K\1\x87R" + fortran + data + b"tb"


def add_cifar_pickle(add):
    name = "cifar_pickle"
    one = b"K\1M\0\x0c\x86"  # (1, 3072)
    pixels = bytes(i * 7 % 256 for i in range(3072))
    add(name, "batch", dictionary(labels=b"](K\3e", data=array(one, string(pixels))))
    add(name, "batch_columns", dictionary(labels=b"](K\3e", data=array(one, string(pixels), fortran=b"\x88")))
    for golden in ("batch_protocol2", "batch_protocol4", "batch_columns5"):
        add(name, golden, (GOLDEN / golden).read_bytes())
    add(name, "nothing", b"", "is an empty file")
    add(name, "no_pickle", b"\1\2\3", "doesn't begin as a pickle of protocol 2 to 5 at byte 0")
    add(name, "protocol_0", b"(dp0\n.", "doesn't begin as a pickle")
    add(name, "protocol_9", b"\x80\x09}.", "protocol 9 at byte 1")
    add(name, "cut_off", dictionary(labels=b"](K\3e")[:-1], "ends at byte 18 without its last opcode")
    add(name, "left_over", dictionary() + b"}", "trailing bytes from byte 6 on")
    add(name, "no_dictionary", b"\x80\2].", "is a pickle of a list, not of a dictionary")
    add(name, "no_labels", dictionary(), "has no \"labels\"")
    add(name, "no_data", dictionary(labels=b"]"), "has no \"data\"")
    add(name, "labels_twice", dictionary(labels=b"]")[:-2] + string(b"labels") + b"]u.", "has \"labels\" twice")
    add(name, "labels_of_text", dictionary(labels=b"]U\1xa"), "holds bytes at element 0, not a whole number")
    add(name, "list_in_itself", dictionary(labels=b"]q\0h\0a"), "holds a list at element 0")
    add(name, "names", dictionary(label_names=b"](U\1aX\1\0\0\0be"), "has no \"labels\"")
    add(name, "label_10", dictionary(labels=b"](K\x0ae", data=array(one, string(pixels))), "label 10 at element 0")
    add(name, "label_negative", dictionary(labels=b"](J\xff\xff\xff\xffe", data=array(one, string(pixels))), "label -1")
    add(name, "label_missing", dictionary(labels=b"]", data=array(one, string(pixels))), "shape [1,3072], not [0,3072]")
    add(name, "data_short", dictionary(labels=b"](K\3e", data=array(one, string(b"ab"))), "[1,3072] holds 2 bytes")
    huge = b"\x8a\x08\0\0\0\0\0\0\0\x40"
    add(name, "shape_overflows", dictionary(labels=b"]", data=array(huge + b"K\x04\x86", string(b""))), "holds 0 bytes")
    add(name, "shape_negative", dictionary(labels=b"]", data=array(b"J\xff\xff\xff\xffK\1\x86", string(b"x"))), "is empty")
    add(name, "shape_of_three", dictionary(labels=b"]", data=array(b"K\1K\1K\1\x87", string(b"x"))), "two dimensions")
    add(name, "floats", dictionary(labels=b"]", data=array(one, string(b"abcd"), dtype=b"f4")), "isn't of type uint8")
    add(name, "no_state", dictionary(labels=b"]", data=b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n)U\1b\x87R"), "no state")
    add(name, "state_of_self", b"\x80\2}q\0h\0b.", "sets a state that is no tuple")
    add(name, "os_system", b"\x80\2cos\nsystem\nU\4true\x85R.", "names os.system")
    add(name, "builtins_eval", b"\x80\4\x8c\x08builtins\x8c\4eval\x93.", "names builtins.eval")
    add(name, "object", b"\x80\2}\x81.", "is 0x81")
    add(name, "out_of_band", b"\x80\5}\x97.", "is 0x97")
    add(name, "persistent", b"\x80\2K\1Q.", "is 0x51")
    add(name, "length_huge", b"\x80\4\x8e" + b"\xff" * 8 + b"x", "wants 18446744073709551615 bytes")
    add(name, "frame_huge", b"\x80\4\x95" + b"\xff" * 8 + b"}.", "frames 18446744073709551615 bytes")
    add(name, "memo_missing", b"\x80\2j\xff\xff\xff\xff.", "takes value 4294967295, which was not kept")
    add(name, "marks", b"\x80\2((((u", "wants a dictionary")
    add(name, "stack_empty", b"\x80\2.", "takes a value where none is left")
    latin1 = b"c_codecs\nencode\nX\2\0\0\0\xc4\x80U\6latin1\x86R"
    add(name, "latin1_above", dictionary(labels=b"](K\1e", data=array(b"K\1K\1\x86", latin1)), "no text of Latin-1 at its byte 0")
