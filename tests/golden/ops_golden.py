"""Writes tests/golden/ops.safetensors: what JAX in float64 makes of the ops of op_driver.

Made with jax 0.10.2, numpy 2.4.6, safetensors 0.8.0 on x86-64:
    pip install jax==0.10.2 numpy safetensors && python tests/golden/ops_golden.py

Arrays: <case>/inputs/<tensor>, <case>/outputs/<tensor> and <case>/bounds/<tensor>, how far a float32 kernel may be from
the output (tools/op_references.py). The metadata "cases" are op and attributes by case, as JSON.
"""

import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools"))
import op_references  # noqa: E402

rng = np.random.default_rng(4)
arrays = {}
cases = {}


def normal(*shape, mean=0.0, std=1.0):
    return rng.normal(mean, std, shape).astype(np.float32)


def put(name, op, attributes, **inputs):
    expected = op_references.expected(op, inputs, attributes)
    cases[name] = {"op": op, "attributes": attributes}
    for tensor, x in inputs.items():
        arrays[f"{name}/inputs/{tensor}"] = x
    for tensor, e in expected.items():
        value = e.value.astype(np.float32)
        with np.errstate(invalid="ignore"):  # a maximum of nothing is -inf
            rounding = np.where(value == e.value, 0, abs(value - e.value))
        arrays[f"{name}/outputs/{tensor}"] = value
        arrays[f"{name}/bounds/{tensor}"] = (e.bound + rounding).astype(np.float32)


def convolution(name, image, filter_shape, attributes):
    x, w = normal(*image), normal(*filter_shape)
    put(f"{name}_forward", "conv2d_forward", attributes, input=x, filter=w, bias=normal(filter_shape[3]))
    g = normal(*arrays[f"{name}_forward/outputs/output"].shape)
    put(f"{name}_backward_input", "conv2d_backward_input", attributes | {"input_shape": image}, grad_output=g, filter=w)
    put(f"{name}_backward_filter", "conv2d_backward_filter", attributes | {"filter_shape": filter_shape}, input=x,
        grad_output=g)


convolution("conv", [2, 6, 5, 3], [3, 3, 3, 7], {})
convolution("conv_strided", [1, 8, 7, 4], [4, 3, 4, 5], {"stride": [2, 3], "padding": [[2, 1], [0, 3]]})
convolution("conv_dilated", [1, 6, 8, 3], [2, 3, 3, 4], {"dilation": [3, 2], "padding": "VALID"})
convolution("conv_groups", [1, 4, 5, 6], [3, 3, 2, 9], {"groups": 3})
convolution("conv_depthwise", [1, 6, 5, 18], [3, 3, 1, 18], {"groups": 18, "stride": [2, 2]})
convolution("conv_small_image", [2, 1, 2, 3], [5, 4, 3, 2], {})
convolution("conv_one_pixel", [3, 1, 1, 17], [1, 1, 17, 5], {"padding": "VALID"})


def batch_norm(mean, *shape):
    channels = shape[-1]
    return {"input": normal(*shape, mean=mean), "scale": normal(channels, mean=1.0, std=0.5), "bias": normal(channels)}


put("batch_norm_stable", "batch_norm_forward", {"relu": True}, **batch_norm(100.0, 2, 5, 4, 9),
    residual=normal(2, 5, 4, 9))
put("batch_norm_fast", "batch_norm_forward", {"variance": "fast", "epsilon": 1e-3}, **batch_norm(2.0, 2, 5, 4, 9))
put("batch_norm_two_pass", "batch_norm_forward", {"variance": "two_pass"}, **batch_norm(300.0, 70, 3))
put("batch_norm_mask", "batch_norm_forward", {}, **batch_norm(1.0, 2, 4, 3, 5), mask=rng.random((2, 4, 1, 1)) < 0.6)
put("batch_norm_row_mask", "batch_norm_forward", {}, **batch_norm(1.0, 9, 4), mask=np.uint8([1, 0, 0, 1, 1, 0, 1, 0, 1]))
put("batch_norm_one_row", "batch_norm_forward", {}, **batch_norm(1.0, 1, 6))
put("batch_norm_inference", "batch_norm_inference", {"relu": True}, **batch_norm(0.0, 3, 2, 2, 11), mean=normal(11),
    var=normal(11) ** 2, residual=normal(3, 2, 2, 11))
inputs = batch_norm(5.0, 2, 4, 4, 10)
del inputs["bias"]
put("batch_norm_backward", "batch_norm_backward", {"epsilon": 1e-4}, **inputs, grad_output=normal(2, 4, 4, 10))


def pool(name, image, attributes):
    # Small integers: windows with equal maxima.
    ties = rng.integers(-2, 3, image).astype(np.float32)
    for kind, x in ("max", ties), ("average", normal(*image)):
        put(f"{kind}_{name}_forward", f"{kind}_pool_forward", attributes, input=x)
        g = normal(*arrays[f"{kind}_{name}_forward/outputs/output"].shape)
        put(f"{kind}_{name}_backward", f"{kind}_pool_backward", attributes, input=x, grad_output=g)


pool("pool_same", [1, 7, 6, 5], {"window": [3, 3], "stride": [2, 2], "padding": "SAME"})
pool("pool_explicit", [1, 5, 4, 3], {"window": [2, 3], "padding": [[2, 1], [0, 2]]})

put("matmul", "matmul_forward", {}, a=normal(5, 33), b=normal(33, 18))
put("cross_entropy", "softmax_cross_entropy", {}, logits=normal(6, 11, std=5.0),
    labels=np.array([0, 10, 3, 3, 7, 1], np.int32))

path = HERE / "ops.safetensors"
save_file({name: np.ascontiguousarray(x) for name, x in arrays.items()}, path,
          {"cases": json.dumps(cases)})
print(len(cases), "cases,", path.stat().st_size, "bytes")
