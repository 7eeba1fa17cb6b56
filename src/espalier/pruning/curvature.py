"""The diagonal of the Gauss-Newton matrix of a loss: the mean over examples of J' C J, J the derivatives of the outputs by the
weights and C the curvature of the loss in the outputs. It is never negative, and where a network is piecewise linear (ReLU) it
is the diagonal of the Hessian itself.

An `nn.Linear` that is called once for a batch `(N, inputs)` gets it exactly, from one backward pass for each output: with
B the derivatives by the layer's outputs of a square root of C, and a its inputs, diag = mean over n of (sum of B^2)' a^2.
All other weights, such as recurrent ones, get an estimate without bias: the squared gradients of random signs through that
square root, an independent draw for every batch; over b batches its relative error is about sqrt(2 / b).
Reference: LeCun, Denker, Solla 1990; Schraudolph 2002, "Fast curvature matrix-vector products"; the closed form of the study.
"""

import contextlib
import itertools
from collections import Counter

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning.watching import called_with

IGNORED = -100
LOSSES = ("cross_entropy", "squared_error")


def diagonal(names, context):
    """Name of a weight -> the diagonal of its curvature, in its shape, float64 on the CPU.

    context: `data`, batches of inputs; `loss`: `cross_entropy` of logits or `squared_error`, means over what is judged;
    `targets`: those of the batches, of which -100 or NaN is not judged, or None.

    Raises: InputError if data or the kind of loss is missing.
    """
    if context.data is None:
        raise InputError("score=obd needs data=..., an iterable of the model's inputs")
    if context.loss not in LOSSES:
        raise InputError(f"score=obd needs to know the loss of the outputs, {' or '.join(LOSSES)}, got {context.loss!r}")
    model, found, count = context.model, {}, 0
    parameters = {name: model.get_parameter(name) for name in names}
    layers = {name.removesuffix(".weight").removesuffix("weight"): name for name in names}
    layers = {model.get_submodule(path): name for path, name in layers.items() if name in ("weight", f"{path}.weight")}
    owners = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    layers = {
        module: name for module, name in layers.items() if isinstance(module, nn.Linear) and owners[id(parameters[name])] == 1
    }
    with torch.enable_grad(), _ready(model, parameters.values()), _calls(layers) as calls:
        for inputs, targets in zip(context.data, context.targets or itertools.repeat(None)):
            calls.clear()
            outputs = model(*inputs) if type(inputs) in (tuple, list) else model(inputs)
            if not isinstance(outputs, torch.Tensor):
                raise InputError(f"score=obd: the model must return a tensor of outputs, it returns a {type(outputs).__name__}")
            judged = _judged(outputs, targets, context.loss)
            count += int(judged.sum())
            exact = {layers[module]: own[0] for module, own in calls.items() if _once(own, outputs)}
            if exact:
                _exact(exact, outputs, judged, context.loss, found)
            others = {name: one for name, one in parameters.items() if name not in exact}
            if others:
                _estimated(others, outputs, judged, context, found)
    if not count:
        raise InputError("score=obd: data=... held no batch with anything to judge")
    return {name: (found[name] / count).expand_as(parameters[name]).clone() for name in names}


def _once(calls, outputs):
    """Whether a linear layer was called once, with a row per example."""
    return len(calls) == 1 and calls[0][0].ndim == 2 == outputs.ndim and len(calls[0][0]) == len(outputs)


def _add(found, name, value):
    found[name] = found.get(name, 0) + value.detach().double().cpu()


def _exact(calls, outputs, judged, loss, found):
    """Add the diagonals of linear layers.  calls: name of the weight -> (inputs, outputs) of its layer."""
    squares = {name: 0 for name in calls}
    layer_outputs = [own[1] for own in calls.values()]
    for number in range(outputs.shape[1]):
        signs = torch.zeros_like(outputs)
        signs[:, number] = 1
        column = _root(outputs.detach(), signs, loss) * judged
        for name, slope in zip(
            calls, torch.autograd.grad(outputs, layer_outputs, column, retain_graph=True, allow_unused=True)
        ):
            squares[name] = squares[name] + (layer_outputs[0].new_zeros(()) if slope is None else slope.double().square())
    for name, (inputs, _) in calls.items():
        if squares[name].ndim == 2:
            _add(found, name, squares[name].t() @ inputs.double().square())
        else:  # nothing of it reaches the outputs
            _add(found, name, torch.zeros(()))


def _estimated(parameters, outputs, judged, context, found):
    """Add the squared gradients of one draw of random signs."""
    signs = torch.randint(0, 2, outputs.shape, generator=context.generator).to(outputs) * 2 - 1
    draw = _root(outputs.detach(), signs, context.loss) * judged
    gradients = torch.autograd.grad(outputs, list(parameters.values()), draw, allow_unused=True, retain_graph=True)
    for name, gradient in zip(parameters, gradients):
        _add(found, name, torch.zeros_like(parameters[name]) if gradient is None else gradient.square())


def _root(outputs, signs, loss):
    """A square root of the loss's curvature in the outputs, times a vector: of `squared_error` sqrt(2) v; of `cross_entropy`,
    the sum over classes c of v_c sqrt(p_c) (e_c - p).
    """
    if loss == "squared_error":
        return 2**0.5 * signs
    shares = outputs.softmax(-1)
    drawn = shares.sqrt() * signs
    return drawn - shares * drawn.sum(-1, keepdim=True)


def _judged(outputs, targets, loss):
    """1 where an output is judged, 0 elsewhere, in a shape that goes with the outputs: of `cross_entropy` a vector of logits
    is one, of `squared_error` every number is.
    """
    if loss == "squared_error":
        judged = torch.ones_like(outputs, dtype=torch.bool) if targets is None else ~targets.reshape(outputs.shape).isnan()
    elif targets is None:
        judged = torch.ones_like(outputs[..., :1], dtype=torch.bool)
    else:
        judged = (targets != IGNORED).view(*outputs.shape[:-1], 1)
    return judged.to(outputs)


@contextlib.contextmanager
def _calls(layers):
    """Within the block, what every linear layer was called with and what came out: module -> list of (inputs, outputs)."""
    calls = {}

    def note(module, arguments, keywords, output):
        calls.setdefault(module, []).append((called_with(arguments, keywords, 0, "input").detach().clone(), output))
        return output.clone()  # what follows may work in place

    handles = [module.register_forward_hook(note, with_kwargs=True) for module in layers]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _ready(model, parameters):
    """Within the block the model is in evaluation, but can be differentiated everywhere (cuDNN's layers only in training)."""
    modes = {module: module.training for module in model.modules()}
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    recurrent = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    shares = [module.dropout for module in recurrent]
    model.eval()
    try:
        for module in recurrent:
            module.training, module.dropout = True, 0.0
        for parameter in frozen:
            parameter.requires_grad_(True)
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        for module, share in zip(recurrent, shares):
            module.dropout = share
        for parameter in frozen:
            parameter.requires_grad_(False)
