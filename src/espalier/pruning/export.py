"""Ship: a network as ONNX, checked against onnxruntime, and as a state dict with the lines that rebuild it."""

import copy
import importlib.util
import inspect
import io
import warnings
from pathlib import Path

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning.units import RECURRENT
from espalier.runs import files

#: suffix -> what is written; a path without suffix gets both
KINDS = {".onnx": ("onnx",), ".pt": ("torch",), "": ("onnx", "torch")}
#: Largest difference from torch that counts as equal, relative to the largest output where that is above 1.
TOLERANCE = 1e-5


def export(model, path, example=None, say=print):
    """Write a network to `path`: `.onnx`; `.pt`, a state dict, with a `.py` of the lines that rebuild the network beside it;
    without suffix, both.

    ONNX: opset 17, evaluation mode, single precision, one RNN, GRU or LSTM node per layer, the first two dimensions of every
    input dynamic (batch and time), the first of vectors. It is run by onnxruntime on inputs of several shapes and must give
    torch's outputs to 1e-5, else nothing is written.

    model: any module with recurrent layers; it stays as it is.
    example: its inputs, a tensor or a tuple of tensors, or a function from (batch, time) to such a tuple. Needed where the
    inputs cannot be told: our own models know theirs, and a model that takes one sequence of features or tokens needs none.
    say: called with a line per file; None: nothing.

    Returns: list of dicts with `path`, `bytes`, and for ONNX `difference` (largest, absolute) and `shapes` (checked).
    Raises: InputError: an unknown suffix, `proj_size` (ONNX), inputs that do not fit, missing packages, an unequal result.
    """
    path = Path(path)
    if path.suffix not in KINDS:
        raise InputError(f"{path}: the suffix must be .onnx or .pt, or none for both")
    _refuse_meta(model)
    told = []
    if "onnx" in KINDS[path.suffix]:
        told.append(_onnx(model, path.with_suffix(".onnx"), example))
    if "torch" in KINDS[path.suffix]:
        told.append(_torch(model, path.with_suffix(".pt")))
    for row in told if say else ():
        more = f", equal to torch to {row['difference']:.1e} on {row['shapes']} shapes" if "difference" in row else ""
        say(f"{row['path']}: {row['bytes']:,} bytes{more}")
    return told


def _refuse_meta(model):
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            raise InputError(f"{name} is on the meta device and has no values; materialize the model first")


# ONNX


def _onnx(model, path, example):
    for name, module in model.named_modules():
        if getattr(module, "proj_size", 0):
            raise InputError(f"{name or 'the model'} has proj_size={module.proj_size}, which torch cannot write to ONNX")
    missing = [package for package in ("onnx", "onnxruntime") if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(f"ONNX needs {' and '.join(missing)}: pip install 'espalier[onnx]'")
    network = copy.deepcopy(model).cpu().float().eval()
    inputs = maker(network, example)
    given = inputs(2, 6)
    names = _names(network, given)
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer, about what the check below would find
        torch.onnx.export(
            network, given, content, input_names=names, opset_version=17, dynamo=False,
            dynamic_axes={name: _axes(value) for name, value in zip(names, given)},
        )  # fmt: skip
    difference, shapes = _compare(network, content.getvalue(), names, inputs, given)
    with files.whole(path) as file:
        file.write(content.getbuffer())
    return {"path": str(path), "bytes": path.stat().st_size, "difference": difference, "shapes": shapes}


def _axes(value):
    return {0: "batch"} if value.dim() == 1 else {0: "axis0", 1: "axis1"}


def _names(network, given):
    known = [name for name in inspect.signature(network.forward).parameters if name not in ("args", "kwargs")]
    return [known[k] if k < len(known) else f"input{k}" for k in range(len(given))]


def maker(model, example=None):
    """The inputs of a model as a function from (batch, time) to a tuple of tensors.  Raises: InputError if nobody can tell."""
    own = getattr(model, "example", None)
    if callable(example):
        return lambda batch, time: _tuple(example(batch, time))
    if example is not None:
        given = _tuple(example)
        return lambda batch, time: given
    if callable(own):
        return own
    for name, module in model.named_modules():
        guess = _guess(name, module)
        if guess is None:
            continue
        try:
            with torch.no_grad():
                model(*guess(2, 6))
            return guess
        except Exception:  # whatever the model says to inputs it does not take
            break
    raise InputError(f"what does {type(model).__name__} take? say example=(tensor, ...), or a function from (batch, time)")


def _guess(name, module):
    """Inputs by the first module that can tell: tokens for an embedding, features for a recurrent one."""
    if isinstance(module, nn.Embedding):
        return lambda batch, time: (torch.randint(module.num_embeddings, (batch, time)),)
    if isinstance(module, nn.RNNBase):
        size = (lambda b, t: (b, t)) if module.batch_first else (lambda b, t: (t, b))
        return lambda batch, time: (torch.randn(*size(batch, time), module.input_size),)
    return None


def _tuple(example):
    return tuple(example) if isinstance(example, (tuple, list)) else (example,)


def _compare(network, content, names, inputs, given):
    """(largest difference of onnxruntime from torch, number of shapes).  Raises: InputError if it is too large."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    worst, shapes = 0.0, {}
    for batch, time in ((2, 6), (1, 1), (1, 9), (5, 4)):
        found = inputs(batch, time)
        shapes[tuple(value.shape for value in found)] = found
    for found in shapes.values():
        with torch.no_grad():
            expected = _flat(network(*found))
        feed = {name: value.numpy() for name, value in zip(names, found) if name in {i.name for i in session.get_inputs()}}
        for ours, theirs in zip(expected, session.run(None, feed), strict=True):
            if tuple(ours.shape) != theirs.shape:
                raise InputError(f"the ONNX network gives {theirs.shape} where torch gives {tuple(ours.shape)}")
            difference = float((ours - torch.from_numpy(theirs)).abs().max()) if ours.numel() else 0.0
            worst = max(worst, difference)
            if not difference <= TOLERANCE * max(1.0, float(ours.abs().max())):
                raise InputError(f"the ONNX network differs from torch by {difference:.1e}; nothing was written")
    return worst, len(shapes)


def _flat(output):
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for part in output for tensor in _flat(part)]


# State dict


def _torch(model, path):
    files.save_tensors(path, {name: value.detach().cpu() for name, value in model.state_dict().items()})
    files.write_text(path.with_suffix(".py"), "\n".join(lines(model, path.name)) + "\n")
    return {"path": str(path), "bytes": path.stat().st_size}


def lines(model, file):
    """The lines of Python that rebuild a network of this size and load `file` into it."""
    own = getattr(model, "rebuild", None)
    head = ["import torch"]
    if own is not None:
        head += [own[0], "", f"model = {own[1]}"]
    elif type(model) in (*RECURRENT, nn.Linear):
        head += ["", f"model = {_call(model)}"]
    else:
        head += ["", f"# model: an instance of your {type(model).__name__}, made as it was before it was shrunk"]
        changed = [(name, module) for name, module in model.named_modules() if type(module) in (*RECURRENT, nn.Linear)]
        head += [f"{_path(name)} = {_call(module)}" for name, module in changed]
    return [*head, f'model.load_state_dict(torch.load("{file}", weights_only=True))']


def _path(name):
    return "model" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in name.split("."))


def _call(module):
    """The expression that makes a module like this one."""
    if isinstance(module, nn.Linear):
        given, more = [module.in_features, module.out_features], {"bias": (module.bias is not None, True)}
    else:
        given, more = [module.input_size, module.hidden_size], {"bias": (module.bias, True)}
        if isinstance(module, (nn.RNN, nn.RNNCell)):
            more["nonlinearity"] = (module.nonlinearity, "tanh")
        if isinstance(module, nn.RNNBase):
            usual = {"num_layers": 1, "batch_first": False, "dropout": 0.0, "bidirectional": False, "proj_size": 0}
            more |= {name: (getattr(module, name), value) for name, value in usual.items()}
    told = [*map(str, given), *(f"{name}={value!r}" for name, (value, default) in more.items() if value != default)]
    dtype = next(module.parameters()).dtype
    told += [f"dtype={dtype}"] if dtype != torch.float32 else []
    return f"torch.nn.{type(module).__name__}({', '.join(told)})"
