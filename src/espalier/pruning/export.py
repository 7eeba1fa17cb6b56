"""Ship: a network as ONNX, checked against onnxruntime, and as a state dict with the lines that rebuild it."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning import onnx
from espalier.pruning.rebuild import lines
from espalier.pruning.running import maker
from espalier.runs import files

#: suffix -> what is written; a path without suffix gets both
KINDS = {".onnx": ("onnx",), ".pt": ("torch",), ".c": ("c",), "": ("onnx", "torch")}


@torch.random.fork_rng(devices=[])
def export(model, path, example=None, say=print, names=None, stream=False, quantize=None, layout=None):
    """Write a network to `path`: `.onnx`; `.pt`, a state dict, with a `.py` of the lines that rebuild the network beside it;
    `.c`, a program of its own with its header beside it; without suffix, the first two.

    ONNX: opset 17, evaluation mode, single precision, one RNN, GRU or LSTM node per layer. Batch and time are free where that
    can be: it is found out by varying the example, and run by onnxruntime on all of these shapes, where it must give torch's
    outputs to 1e-5, else nothing is written. Nests go in and come out as their tensors, named by the signature of `forward`
    and the keys of dicts; None is left out.

    C: C99, nothing but libm; functions that reset a state, take a step, and run a sequence. Every matrix is dense, in tiles or
    CSR, whichever its zeros make fastest. It holds what is made of embeddings, recurrent layers and cells, linear layers, batch
    norms and element-wise functions. Compiled, run and held against torch (1e-5 of the largest output) where there is a
    compiler (cc, or what CC names), else it says that it was not.

    model: any module with recurrent layers; it stays as it is.
    example: its inputs, a tensor, a tuple (several arguments), a dict (by name), or a function from (batch, time) to one of
    these. Needed where they cannot be told: our own models know theirs, and one that takes a sequence of features or tokens
    needs none.
    say: called with a line per file; None: nothing.  names: `{"inputs": [...], "outputs": [...]}`, other names for ONNX.
    stream: one step, with the states of the recurrent layers as further inputs and outputs, zeros at first; checked over 50
    steps against the whole sequence.
    quantize: `int8`, weights in eight bits per output channel (onnxruntime's dynamic quantization; activations are quantised as
    they come; the weights take seven of the eight, for products of eight overflow on processors without VNNI); the float
    network is checked first, and the error against it told. In C: per row, activations in floats.
    layout: of all matrices in C: `dense`, `tiles_8x4`, `tiles_4x4`, `tiles_1x8` or `csr`.

    Returns: list of dicts with `path`, `bytes` (of C, of its constants), `difference` from torch (largest; absolute, of C
    relative to the largest output), `shapes` (how many were checked), of int8 `error` (largest, relative to the largest
    output), and, where something is to be said, `note`. Of ONNX also `free` (of `batch` and `time`), `inputs` (their names)
    and, of int8, `left` (kinds of nodes that stayed as they were); of C `layouts` (lines) and bytes: `state`, `stack_step`,
    `stack_run`.
    Raises: InputError: an unknown suffix, a `.py` or `.h` beside it that is somebody else's, what ONNX cannot hold, inputs that
    do not fit, missing packages, an unequal result.
    """
    path = Path(path)
    if path.suffix not in KINDS:
        raise InputError(f"{path}: the suffix must be .onnx, .pt or .c, or none for the first two")
    if quantize not in (None, "int8"):
        raise InputError(f"quantize must be int8, or None, got {quantize!r}")
    if path.suffix == ".c" and (names or stream):
        raise InputError("names and stream are of ONNX: in C a step is a function of its own")
    if path.suffix != ".c" and layout is not None:
        raise InputError("layout is of C: write to a path that ends with .c")
    if names is not None and not isinstance(names, Mapping):
        raise InputError(f'names must be {{"inputs": [...], "outputs": [...]}}, got {names!r}')
    if not isinstance(model, nn.Module):
        raise InputError(f"export takes a torch.nn.Module, got {type(model).__name__}")
    _refuse_meta(model)
    for suffix, mark in ((".py", "load_state_dict(torch.load("), (".h", "written by espalier")):
        other = path.with_suffix(suffix)
        beside = "torch" in KINDS[path.suffix] if suffix == ".py" else "c" in KINDS[path.suffix]
        if beside and other.exists() and mark not in other.read_text(encoding="utf-8", errors="replace"):
            raise InputError(f"{other} would be written beside it, and is there and not ours: take another name")
    told = []
    if "onnx" in KINDS[path.suffix]:
        given = maker(model) if example is None else example
        told.append(onnx.write(model, path.with_suffix(".onnx"), given, names, stream, quantize))
    if "torch" in KINDS[path.suffix]:
        told.append(_torch(model, path.with_suffix(".pt")))
    if "c" in KINDS[path.suffix]:
        from espalier.pruning.c.network import Network  # here, for it is seldom asked for

        told.append(Network(model, example).write(path, layout, quantize))
    for row in told if say else ():
        more = f", equal to torch to {row['difference']:.1e} on {row['shapes']} shapes" if "difference" in row else ""
        say(f"{row['path']}: {row['bytes']:,} bytes{more}")
        for line in (*row.get("layouts", ()), *([row["note"]] if "note" in row else ())):
            say(f"  {line}")
    return told


def _refuse_meta(model):
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            raise InputError(f"{name} is on the meta device and has no values; materialize the model first")


# State dict


def _torch(model, path):
    files.save_tensors(path, {name: value.detach().cpu() for name, value in model.state_dict().items()})
    files.write_text(path.with_suffix(".py"), "\n".join(lines(model, path.name)) + "\n")
    return {"path": str(path), "bytes": path.stat().st_size}
