"""A session of ONNX Runtime, as all of them are set."""

from pathlib import Path

import onnxruntime
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

LARGE_BYTES = 1024  # a tensor that is kept beside the graph


def session(
    model: Path, *, threads: int, bf16: bool = False, packed: bool = False, packed_into: Path | None = None
) -> InferenceSession:
    """``bf16``: products of fp32 are made of numbers in bfloat16 and summed in fp32, where the CPU is an
    ARM64 that can (``cpu.has_bf16``); elsewhere it does nothing.

    ``packed``: the graph is optimised already, and its weights are mapped (see packed).
    ``packed_into``: where it is written so. Raises whatever ONNX Runtime does: it has no narrower class.
    """
    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # the CPU is shared
    if bf16:
        options.add_session_config_entry("mlas.enable_gemm_fastmath_arm64_bfloat16", "1")
    if packed:
        options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    if packed_into:
        prefix = "session.optimized_model_external_initializers"
        options.log_severity_level = 3  # it warns that the file is for this machine
        options.optimized_model_filepath = str(packed_into)
        options.add_session_config_entry(f"{prefix}_file_name", f"{packed_into.name}.data")
        options.add_session_config_entry(f"{prefix}_min_size_in_bytes", str(LARGE_BYTES))
        options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
