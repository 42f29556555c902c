"""How fast this machine multiplies: the limit of every engine, in fp32 and in 8 bits.

    python -m benchmarks.products

One product of the network's largest kind, 20 s of frames: [500, 512] by [512, 2048], by ONNX Runtime, in
billions of operations a second, the best of many. int8 has signed weights; unsigned ones would allow all
their 8 bits on a CPU without VNNI.
"""

import argparse
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from medasr_service.engines.cpu import quota

ROWS, INNER, COLUMNS = 500, 512, 2048
ROUNDS = 60
UNSIGNED, SIGNED = np.dtype(np.uint8), np.dtype(np.int8)


def session(weight: np.dtype[np.generic] | None) -> onnxruntime.InferenceSession:
    """The product in fp32, or of bytes with weights of this type."""
    kind = np.dtype(np.float32) if weight is None else weight
    initializers = [numpy_helper.from_array(np.ones((INNER, COLUMNS), kind), "weight")]
    if weight is None:
        node, source = helper.make_node("MatMul", ["rows", "weight"], ["product"]), TensorProto.FLOAT
    else:
        zeros = {"zero": np.array(128, np.uint8), "weight_zero": np.zeros((), kind)}
        scales = {"one": np.ones((), np.float32), "scale": np.ones(COLUMNS, np.float32)}
        initializers += [numpy_helper.from_array(value, name) for name, value in {**zeros, **scales}.items()]
        inputs = ["rows", "weight", "one", "scale", "zero", "weight_zero"]
        node = helper.make_node("MatMulIntegerToFloat", inputs, ["product"], domain="com.microsoft")
        source = TensorProto.UINT8
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("rows", source, [ROWS, INNER])],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [ROWS, COLUMNS])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = quota()
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def rate(weight: np.dtype[np.generic] | None) -> float:
    """Billions of operations a second."""
    product, rows = session(weight), np.ones((ROWS, INNER), np.float32 if weight is None else np.uint8)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        product.run(None, {"rows": rows})
        times.append(time.perf_counter() - began)
    return 2 * ROWS * INNER * COLUMNS / min(times) / 1e9


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for name, weight in {"fp32": None, "8 bits, signed": SIGNED, "8 bits, unsigned": UNSIGNED}.items():
        print(f"{name:18} {rate(weight):5.0f} billion operations a second, {quota()} threads")


if __name__ == "__main__":
    main()
