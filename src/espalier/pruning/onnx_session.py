"""Runs ONNX files with onnxruntime, on one thread of the CPU."""

import statistics
import time
from pathlib import Path

import torch

from espalier.errors import InputError


def session_of(content):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of an operator that it does not have
        raise InputError(f"onnxruntime does not run the network: {str(error).splitlines()[0]}") from None


def run(session, names, values):
    feed = {name: value.numpy() for name, value in zip(names, values) if name in {i.name for i in session.get_inputs()}}
    try:
        return [torch.from_numpy(one) for one in session.run(None, feed)]
    except Exception as error:  # of a shape that it does not take
        raise InputError(f"onnxruntime does not run the network: {str(error).splitlines()[0]}") from None


def milliseconds(row, values, repeats=30):
    """Median time of a forward pass of an exported file by onnxruntime, on one thread.  row: what `export` returned; values:
    its inputs, flat.
    """
    session, taken = session_of(Path(row["path"]).read_bytes()), []
    for k in range(repeats + 2):
        started = time.perf_counter()
        run(session, row["inputs"], values)
        if k > 1:  # the first two warm up
            taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)
