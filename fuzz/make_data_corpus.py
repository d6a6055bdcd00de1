"""Seeds of the targets cifar_pickle, npz and photo_list: data sets as Python's programs write them."""

import io
import pathlib
import struct
import zipfile

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


def npy(descr, shape, elements, version=1, fortran=False):
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + elements


def archive(method=zipfile.ZIP_STORED, **files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name, content in files.items():
            member = zipfile.ZipInfo(name + ".npy")
            member.compress_type = method
            target.writestr(member, content)
    return out.getvalue()


def add_npz(add):
    x, y = npy("|u1", "(2, 1, 2)", b"abcd"), npy("<i8", "(2,)", struct.pack("<2q", 0, 2))
    good = archive(x=x, y=y)
    add("npz", "stored", good)
    add("npz", "deflated", archive(zipfile.ZIP_DEFLATED, x=x, y=y))
    add("npz", "comment", good[:-2] + b"\3\0abc")
    floats = struct.pack(">8f", *range(8))
    add("npz", "floats_columns", archive(x=npy(">f4", "(2, 2, 2, 1)", floats, 2, True), y=npy("|u1", "(2, 1)", b"\0\1", 3)))
    for name in ("keras", "medmnist", "rows", "columns"):
        add("npz", name, (GOLDEN / f"{name}.npz").read_bytes())
    add("npz", "nothing", b"", "is an empty file")
    add("npz", "one_array", x, "is NumPy's .npy")
    add("npz", "web_page", b"<html>", "is a web page")
    add("npz", "cut_off", good[:-1], "without a zip archive's directory")
    add("npz", "no_arrays", archive(), "has no array \"x_train\"")
    add("npz", "other_arrays", archive(a=x, b=y), "has no array \"x_train\"; it has a, b")
    add("npz", "no_labels", archive(x=x), "has no array \"y\"; it has x")
    add("npz", "no_npy", archive(x=b"abc", y=y), "isn't NumPy's .npy")

    def changed(data, offset, new):
        return data[:offset] + new + data[offset + len(new):]

    entry = good.index(b"PK\1\2")
    add("npz", "wrong_checksum", changed(good, entry + 16, bytes(4)), "its checksum is another one")
    add("npz", "encrypted", changed(good, entry + 8, b"\1"), "is encrypted")
    add("npz", "method_lzma", changed(good, entry + 10, b"\x0e"), "is compressed by method 14")
    add("npz", "size_larger", changed(good, entry + 24, b"\xff\xff\xff\x7f"), "says that it holds 2147483647 bytes, which")
    add("npz", "offset_outside", changed(good, entry + 42, b"\xff\xff\xff\x7f"), "isn't at byte 2147483647")
    add("npz", "many_entries", changed(good, len(good) - 12, b"\xfe\xff"), "directory of 65534 entries can't be")
    add("npz", "directory_outside", changed(good, len(good) - 6, b"\xfe\xff\xff\xff"), "can't be at byte 4294967294")
    add("npz", "zip64_missing", changed(good, len(good) - 6, b"\xff\xff\xff\xff"), "zip64 locator isn't before")
    bomb = archive(zipfile.ZIP_DEFLATED, x=npy("|u1", "(1, 400, 500)", bytes(200_000)), y=npy("|u1", "(1,)", b"\0"))
    add("npz", "zeros", bomb)
    entry = bomb.index(b"PK\1\2")
    add("npz", "bomb", changed(bomb, entry + 24, struct.pack("<I", 2**31)), "says that it holds 2147483648 bytes, which")
    twice = archive(x=x, y=y, z=x).replace(b"z.npy", b"x.npy")
    add("npz", "twice", twice, "has \"x.npy\" twice")

    def bad(name, expected, x=x, y=y):
        add("npz", name, archive(x=x, y=y), expected)

    bad("header_cut_off", "is longer than the file", x=x[:20])
    bad("header_not_closed", "a number", x=npy("|u1", "(2, ", b"abcd"))
    bad("header_code", "expected a number", x=npy("|u1", "(__import__('os'),)", b"abcd"))
    bad("shape_huge", "out of range", x=npy("|u1", f"({2**62}, {2**62}, 4)", b""))
    bad("shape_overflows", "out of range", x=npy("<f8", f"({2**62}, 1, 1)", b""))
    bad("shape_larger", "are not 2000000 elements", x=npy("|u1", "(2, 1000, 1000)", b"abcd"))
    bad("objects", "Python objects, a pickle", x=npy("|O", "(2, 1, 2)", b"\x80\2}."))
    bad("label_negative", "label -1 at element 1", y=npy("|i1", "(2,)", b"\0\xff"))
    bad("label_huge", "label 65536 at element 0", y=npy("<i4", "(2,)", struct.pack("<2i", 65536, 0)))
    bad("label_wraps", "element 0 is 18446744073709551615", y=npy("<u8", "(2,)", b"\xff" * 8 + bytes(8)))
    bad("labels_one_hot", "has shape [2,2]", y=npy("|u1", "(2, 2)", b"\0\1\1\0"))
    bad("labels_three", "has shape [3]", y=npy("|u1", "(3,)", b"\0\1\1"))
    bad("not_finite", "which is not finite", x=npy("<f4", "(2, 1, 1)", struct.pack("<2f", 1, float("nan"))))
    bad("planes", "colour planes", x=npy("|u1", "(2, 3, 5, 5)", bytes(150)))


def add_photo_list(add):
    name = "photo_list"
    add(name, "plain", "a.png,cat\nsub/b.jpg,dog\n")
    add(name, "header", "path,label\r\na.png,cat\r\n")
    add(name, "columns", "id,Class,Filename\n1,cat,a.png\n")
    add(name, "quotes", '"a, b.png","say ""cat"""\n"two\nlines.png",dog')
    add(name, "mark", b"\xef\xbb\xbfa.png,cat")
    add(name, "nothing", "")
    add(name, "empty_lines", "\n\r\n\na.png,cat\n\n")
    add(name, "carriage_return", "a\rb.png,cat\n")
    add(name, "one_field", "a.png,cat\nb.png\n", "line 2 has 1 fields, a path and a label are needed")
    add(name, "no_label", "a.png,\n", "line 1 lacks a label")
    add(name, "no_path", ",cat\n", "line 1 lacks a path")
    add(name, "quote_open", 'a.png,"cat\n', "line 1: a quote isn't closed")
    add(name, "quote_at_end", 'a.png,"', "line 1: a quote isn't closed")
    add(name, "quote_within", 'a.png,c"at\n', "line 1: there is a quote within a field")
    add(name, "text_behind", 'a.png,"cat"s\n', "line 1: there is text behind a closing quote")
    add(name, "latin1", b"caf\xe9.png,cat\n", "isn't UTF-8 text")
    add(name, "nul", b"a\0.png,cat\n", "holds a NUL")
    add(name, "commas", "," * 3000, "line 1 lacks a path")
