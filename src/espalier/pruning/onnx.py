"""A network as ONNX: its inputs and outputs by name, which axes are free found by varying them, checked against onnxruntime."""

import contextlib
import copy
import importlib.util
import inspect
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

import espalier
from espalier.errors import InputError
from espalier.pruning.onnx_session import run, session_of
from espalier.pruning.running import SHAPE, Runs, flat, given, restore, state_of, tensors, with_tensors
from espalier.pruning.same import several
from espalier.runs import files

#: Largest difference from torch that counts as equal, relative to the largest output where that is above 1.
TOLERANCE = 1e-5
#: What is tried, in this order: which of batch and time are free.
FREE = (("batch", "time"), ("batch",), ("time",), ())


def write(model, path, example, names=None, stream=False, quantize=None):
    """Write `path`.  Returns a row for `export`.  example: as for `export`, a function or inputs."""
    _refuse(model)
    network = copy.deepcopy(model).cpu().float().eval()
    Runs(network, single(given(example)))  # which says what does not fit
    inputs = Inputs(network, example)
    note = None
    if stream:
        from espalier.pruning.stream import streamed  # here, for it needs this module's Inputs

        network, inputs, note = streamed(network, inputs)
    flattened, first = Flat(network, inputs.first), inputs.flat(inputs.first)
    before = state_of(network)
    with torch.no_grad():
        output = network(*inputs.first[0], **inputs.first[1])
    restore(network, before)
    named = _names(network, inputs.first, output, names)
    problem = None
    for free in FREE:
        if any(kind not in inputs.varies for kind in free):
            continue
        axes = _axes(named, inputs, flattened, free)
        content, decided = _exported(flattened, first, named, axes, type(model).__name__)
        try:
            difference, shapes = _compare(flattened, content, named[0], inputs, free)
            break
        except InputError as error:
            problem = problem or error
    else:
        raise problem
    notes, more = [note] if note else [], {}
    if quantize:
        content, more, told = _quantized(content, flattened, named[0], inputs, free)
        notes.append(told)
    with files.whole(path) as file:
        file.write(content)
    row = {"path": str(path), "bytes": path.stat().st_size, "difference": difference, "shapes": shapes, "free": list(free)}
    fixed = [kind for kind in inputs.varies if kind not in free]
    if fixed:
        notes.append(f"{' and '.join(fixed)} cannot vary: the file holds a loop over steps, or a size, as in the example")
    notes += [f"{place}: what Python decides or computes there is written as it came out for the example" for place in decided]
    row["inputs"] = named[0]
    return row | more | ({"note": "; ".join(notes)} if notes else {})


def _quantized(content, network, names, inputs, free):
    """(the file with int8 weights per output channel, what to add to its row, in words what stayed in single precision)."""
    import onnx

    handlers = list(logging.getLogger().handlers)
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(content)
        logging.disable(logging.WARNING)  # it recommends to run another tool first
        try:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            # Seven bits of the eight: products of all eight overflow on processors without VNNI, without a word.
            quantize_dynamic(before, after, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
        finally:
            logging.disable(logging.NOTSET)
            logging.getLogger().handlers[:] = handlers  # by its use of the root logger everybody's lines would be shown
        small = after.read_bytes()
    kinds = {node.op_type for node in onnx.load_from_string(small).graph.node}
    session, worst = session_of(small), 0.0
    for one in inputs.fitting(free):
        values = inputs.flat(one)
        with torch.no_grad():
            expected = [part.detach() for part in network(*values)]
        for ours, theirs in zip(expected, run(session, names, values), strict=True):
            if ours.numel():
                scale = max(float(ours.abs().max()), 1e-12)
                worst = max(worst, float((ours.double() - theirs.double()).abs().max()) / scale)
    left = sorted(kinds & {"GRU", "RNN", "LSTM", "Conv", "MatMul", "Gemm"})
    told = f"int8: off by {100 * worst:.2g} % of the largest output"
    return small, {"error": worst, "left": left}, told + (f"; in single precision stays {', '.join(left)}" if left else "")


def _refuse(model):
    for name, module in model.named_modules():
        if getattr(module, "proj_size", 0):
            raise InputError(f"{name or 'the model'} has proj_size={module.proj_size}, which torch cannot write to ONNX")
    missing = [package for package in ("onnx", "onnxruntime") if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(f"ONNX needs {' and '.join(missing)}: pip install 'espalier[onnx]'")


class Inputs:
    """Inputs of several shapes, in single precision: `first`, as (arguments, keywords); `others`, (what differs from it,
    inputs), as far as the network takes them; `varies`, kinds of axes among batch and time that can.
    """

    def __init__(self, network, example):
        (_, self.first), *rest = [(kind, single(one)) for kind, one in several(example)]
        made = [(kind, one) for kind, one in rest if kind != "same" or not callable(example)]
        self.others = [(kind, single(one)) for kind, one in made if self._takes(network, one)]
        sizes = [tuple(one.shape) for one in self.flat(self.first)]
        self.varies = [
            kind for kind in ("batch", "time")
            if any(what == kind and [tuple(one.shape) for one in self.flat(other)] != sizes for what, other in self.others)
        ]  # fmt: skip

    @staticmethod
    def _takes(network, inputs):
        inputs = single(inputs)
        try:
            with torch.no_grad():
                Flat(network, inputs)(*Inputs.flat(inputs))
            return True
        except Exception:  # a shape that it does not take
            return False

    @staticmethod
    def flat(inputs):
        arguments, keywords = inputs
        return [*tensors(arguments), *tensors(keywords)]

    def fitting(self, free):
        """The inputs that differ from the first in free axes alone."""
        wanted = {"same", *free, *(["both"] if len(free) == 2 else [])}
        return [self.first, *(one for kind, one in self.others if kind in wanted)]


def single(inputs):
    parts = [one.float() if one.is_floating_point() else one for one in Inputs.flat(inputs)]
    return with_tensors(inputs, iter(parts))


class Flat(nn.Module):
    """A network of tensors in and tensors out, whatever nest it takes and gives."""

    def __init__(self, network, inputs):
        super().__init__()
        self.network, self.inputs, self.before = network, inputs, state_of(network)
        self.eval()  # or the exporter would leave all of it in training

    def forward(self, *values):
        """What it keeps in attributes is as before afterwards."""
        arguments, keywords = with_tensors(self.inputs, iter(values))
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # of attention, which ONNX does not have
        try:
            return tuple(flat(self.network(*arguments, **keywords)))
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            restore(self.network, self.before)


def _names(network, inputs, output, names):
    """(names of the inputs, of the outputs), as given or from the signature and the keys of dicts."""
    arguments, keywords = inputs
    target = network.forward if not hasattr(network, "wrapped") else network.wrapped
    known = [
        name
        for name, one in inspect.signature(target).parameters.items()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    ours = [name for k, one in enumerate(arguments) for name in _named(known[k] if k < len(known) else f"input{k}", one)]
    ours += [name for key, one in keywords.items() for name in _named(key, one)]
    theirs = _named("output", output)
    for what, own, asked in (("inputs", ours, (names or {}).get("inputs")), ("outputs", theirs, (names or {}).get("outputs"))):
        if asked is not None:
            if len(asked) != len(own) or len(set(asked)) != len(asked):
                raise InputError(f"names: there are {len(own)} {what}, {', '.join(own)}, to be named each by another name")
            own[:] = list(asked)
    taken = set()
    for k in range(len(theirs)):
        while theirs[k] in taken or theirs[k] in ours:
            theirs[k] = f"{theirs[k]}_out"
        taken.add(theirs[k])
    return ours, theirs


def _named(name, value):
    if isinstance(value, torch.Tensor):
        return [name]
    if isinstance(value, Mapping):
        return [one for key, part in value.items() for one in _named(str(key) if name == "output" else f"{name}_{key}", part)]
    if isinstance(value, (tuple, list)):
        return [one for k, part in enumerate(value) for one in _named(f"{name}_{k}", part)]
    return []


def _axes(named, inputs, flattened, free):
    """name -> {dimension: symbol} of the axes that differ when batch, or time, does."""
    axes = {name: {} for one in named for name in one}
    with torch.no_grad():
        base = [*inputs.flat(inputs.first), *flattened(*inputs.flat(inputs.first))]
        for kind in free:
            for what, other in inputs.others:
                if what != kind:
                    continue
                values = [*inputs.flat(other), *flattened(*inputs.flat(other))]
                for name, one, two in zip((*named[0], *named[1]), base, values):
                    for dim, (size, then) in enumerate(zip(one.shape, two.shape)):
                        if size != then:
                            axes[name].setdefault(dim, kind if one.shape[dim] == SHAPE[kind == "time"] else f"{name}_{dim}")
    return axes


def _exported(network, values, named, axes, name):
    """(the file, places in the user's code where the tracer saw a branch or a number that it cannot follow)."""
    content = io.BytesIO()
    try:
        quiet = io.StringIO()  # the tracer prints what it could not do
        with (
            warnings.catch_warnings(record=True) as told, torch.no_grad(), contextlib.redirect_stdout(quiet),
            contextlib.redirect_stderr(quiet),
        ):  # fmt: skip
            warnings.simplefilter("always")
            torch.onnx.export(
                network, tuple(values), content, input_names=named[0], output_names=named[1], opset_version=17, dynamo=False,
                dynamic_axes={name: own for name, own in axes.items() if own},
            )  # fmt: skip
    except Exception as error:  # whatever the tracer says
        first = (str(error).strip().splitlines() or [""])[0]
        raise InputError(f"{name} cannot be written to ONNX: {type(error).__name__}: {first}") from None
    known = tuple(f"{Path(module.__file__).parent}{os.sep}" for module in (torch, espalier))
    places = [(one.filename, one.lineno) for one in told if issubclass(one.category, torch.jit.TracerWarning)]
    return content.getvalue(), [
        f"{Path(file).name}, line {line}" for file, line in dict.fromkeys(places) if not file.startswith(known)
    ]


def _compare(network, content, names, inputs, free):
    """(largest difference of onnxruntime from torch, number of shapes).  Raises: InputError if it is too large."""
    session, worst, shapes = session_of(content), 0.0, set()
    for one in inputs.fitting(free):
        values = inputs.flat(one)
        with torch.no_grad():
            expected = [one.detach() for one in network(*values)]
        shapes.add(tuple(tuple(value.shape) for value in values))
        for ours, theirs in zip(expected, run(session, names, values), strict=True):
            if ours.shape != theirs.shape:
                raise InputError(f"the ONNX network gives {tuple(theirs.shape)} where torch gives {tuple(ours.shape)}")
            difference = float((ours.double() - theirs.double()).abs().max()) if ours.numel() else 0.0
            worst = max(worst, difference)
            if not difference <= TOLERANCE * max(1.0, float(ours.abs().max())):
                raise InputError(f"the ONNX network differs from torch by {difference:.1e}; nothing was written")
    return worst, len(shapes)
