"""Runs somebody's model on example inputs: always in evaluation, always from the same state, and only if it can be trusted to
give the same again.
"""

import contextlib
import copy
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from espalier.errors import InputError

#: Batch and time of an example that is a function.
SHAPE = (2, 6)


def flat(values):
    """The tensors in a nest of tuples, lists, dicts and packed sequences, in their order; None holds none.

    Raises: InputError where something else is in it.
    """
    if values is None:
        return []
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, PackedSequence):
        return [values.data]
    if isinstance(values, Mapping):
        return [one for value in values.values() for one in flat(value)]
    if isinstance(values, (tuple, list)):
        return [one for value in values for one in flat(value)]
    raise InputError(
        f"a {type(values).__name__} is among the model's outputs; only tensors, and nests of them, can be compared"
    )


def tensors(values):
    """The tensors in a nest of inputs; what else is in it is left as it is."""
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, PackedSequence):
        return [values.data]
    parts = values.values() if isinstance(values, Mapping) else values if isinstance(values, (tuple, list)) else ()
    return [one for value in parts for one in tensors(value)]


def parts(values, stacks):
    """(row, values) of a tensor: its rows where it may be a stack of states, one for each layer and direction of some module
    (stacks: how many there are), else (None, it).
    """
    return list(enumerate(values)) if values.dim() == 3 and len(values) in stacks else [(None, values)]


def with_tensors(values, new):
    """The same nest with the tensors of an iterator in the places of its own."""
    if isinstance(values, torch.Tensor):
        return next(new)
    if isinstance(values, PackedSequence):
        return PackedSequence(next(new), *values[1:])
    if isinstance(values, Mapping):
        return {key: with_tensors(value, new) for key, value in values.items()}
    if isinstance(values, tuple) and hasattr(values, "_fields"):
        return type(values)(*(with_tensors(value, new) for value in values))
    if isinstance(values, (tuple, list)):
        return type(values)(with_tensors(value, new) for value in values)
    return values


def given(example):
    """An example as the arguments of a call: a tuple is several, a dict is by name.  Returns (arguments, keywords)."""
    if callable(example):
        example = example(*SHAPE)
    if not isinstance(example, torch.Tensor):
        example = with_tensors(example, iter([one.cpu() for one in tensors(example)]))
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, (tuple, list)) and not isinstance(example, PackedSequence):
        return tuple(example), {}
    return (example.cpu() if isinstance(example, torch.Tensor) else example,), {}


def maker(model, example=None, linear=False):
    """The inputs of a model as a function from (batch, time) to what `called` takes.  linear: whether a linear layer that comes
    first may tell too, though nobody knows whether it takes sequences.  Raises: InputError if nobody can tell.
    """
    own = getattr(model, "example", None)
    if callable(example):
        return lambda batch, time: _tuple(example(batch, time))
    if example is not None:
        given = _tuple(example)
        return lambda batch, time: given
    if callable(own):
        return own
    first = next(filter(None, (_guesses(module, linear) for module in model.modules())), ())
    for guess in first:
        with contextlib.suppress(Exception):  # whatever the model says to inputs it does not take, or to being copied
            runner = copy.deepcopy(model).eval()
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                runner(*guess(2, 6))
            return guess
    raise InputError(f"what does {type(model).__name__} take? say example=(tensor, ...), or a function from (batch, time)")


def _guesses(module, linear):
    """Inputs that a model may take whose first layer this is: tokens for an embedding, features for a recurrent or linear one,
    of sequences or not.
    """
    if isinstance(module, nn.Embedding):
        return [lambda batch, time: (torch.randint(module.num_embeddings, (batch, time)),)]
    if isinstance(module, nn.RNNBase):
        size = (lambda b, t: (b, t)) if module.batch_first else (lambda b, t: (t, b))
        return [lambda batch, time: (torch.randn(*size(batch, time), module.input_size, dtype=module.weight_ih_l0.dtype),)]
    if linear and isinstance(module, nn.Linear):
        width, dtype = module.in_features, module.weight.dtype
        return [
            lambda batch, time: (torch.randn(batch, time, width, dtype=dtype),),
            lambda batch, time: (torch.randn(batch, width, dtype=dtype),),
        ]
    return []


def _tuple(example):
    if isinstance(example, Mapping):
        return example
    return tuple(example) if isinstance(example, (tuple, list)) and not isinstance(example, PackedSequence) else (example,)


def called(model, inputs):
    """What a model gives out for what `maker` makes: a tuple of arguments, or a dict of them by name."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)


@contextlib.contextmanager
def untouched(*models):
    """Within the block models of the user may be run; after it their modes, what they keep in attributes and buffers, and
    torch's state of random numbers are as before. Buffers are the same tensors, which `restore`, for our copies, replaces.
    """
    before = []
    for module in [module for model in models for module in model.modules()]:
        buffers = [(name, one, None if one is None else one.clone()) for name, one in module._buffers.items()]
        before.append((module, dict(module.__dict__), buffers))
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, attributes, buffers in before:
            for name in module.__dict__.keys() - attributes.keys():
                del module.__dict__[name]
            module.__dict__.update(attributes)
            module._buffers.clear()
            for name, one, values in buffers:
                if one is not None and not torch.equal(one, values):
                    one.detach().copy_(values)
                module._buffers[name] = one


def doubled(values):
    """A nest with all floating point numbers in double precision."""
    return with_tensors(values, iter([one.double() if one.is_floating_point() else one for one in tensors(values)]))


class Repeated:
    """A model that is, after every run, as it was before."""

    def __init__(self, model):
        self.model, self.before = model, state_of(model)

    @torch.no_grad()
    def forward(self, inputs):
        """One run; what it keeps in attributes and buffers is as before afterwards."""
        arguments, keywords = inputs
        try:
            return self.model(*arguments, **keywords)
        finally:
            restore(self.model, self.before)


class Runs(Repeated):
    """Runs a copy of a model, on the CPU, in double precision where it takes that; the model itself stays as it is.

    inputs: (arguments, keywords).  Raises: InputError if the model does not take them, gives out something other than tensors,
    or does not give the same when asked again.
    """

    def __init__(self, model, inputs):
        if not isinstance(model, nn.Module):
            raise InputError(f"a model is a torch.nn.Module, got {type(model).__name__}")
        self.name = type(model).__name__
        if any(not one.numel() for one in tensors(inputs)):
            raise InputError("the example holds no values: give a batch of one at least")
        graphs = [name for name, held in kept_states(model) if any(one.grad_fn is not None for one in held)]
        if graphs:
            raise InputError(f"{self.name} keeps a state in {graphs[0]}: reset it (to None) first")
        try:
            self.model = copy.deepcopy(model).cpu().eval()
        except Exception as error:
            raise InputError(f"{self.name} cannot be copied ({type(error).__name__}: {first_line(error)})") from None
        self.inputs, self.double = inputs, True
        before = state_of(self.model)
        single = self._try(self.model, inputs)
        if isinstance(single, Exception):
            raise InputError(f"{self.name} does not take the example: {type(single).__name__}: {first_line(single)}")
        flat(single)
        restore(self.model, before)
        twin = copy.deepcopy(self.model).double()
        if isinstance(self._try(twin, doubled(inputs)), Exception):
            self.double = False  # it makes single precision itself
        else:
            self.model, self.inputs = copy.deepcopy(self.model).double(), doubled(inputs)
        super().__init__(self.model)
        if any(module.training for module in self.model.modules()):
            raise InputError(f"{self.name}.eval() leaves a part of it in training; override train() so that it does not")
        self._refuse_chance()

    def _try(self, model, inputs):
        arguments, keywords = inputs
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return model(*arguments, **keywords)
        except Exception as error:  # whatever the model says
            return error

    def _refuse_chance(self):
        outputs = []
        for seed in (1, 2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                outputs.append(flat(self.forward(self.inputs)))
        for one, other in zip(*outputs, strict=True):
            if one.shape != other.shape or not torch.equal(one.nan_to_num(), other.nan_to_num()):
                raise InputError(
                    f"{self.name} gives something else every time it is run, also in evaluation: turn off its dropout or noise"
                )

    def replaced(self, changed):
        """The inputs with the tensors of these numbers replaced."""
        own = tensors(self.inputs)
        return with_tensors(self.inputs, iter([changed.get(number, one) for number, one in enumerate(own)]))


def state_of(model):
    """What a model keeps beside its parameters: attributes, as they are, and copies of buffers."""
    found = []
    for module in model.modules():
        buffers = {name: None if one is None else one.detach().clone() for name, one in module._buffers.items()}
        found.append((module, dict(module.__dict__), buffers))
    return found


def restore(model, before):
    """Put back what `state_of` found."""
    for module, attributes, buffers in before:
        for name in [name for name in module.__dict__ if name not in attributes]:
            del module.__dict__[name]
        module.__dict__.update(attributes)
        module._buffers.clear()
        module._buffers.update({name: None if one is None else one.clone() for name, one in buffers.items()})


def kept_states(model):
    """(name, tensors) of attributes, beside parameters and buffers, that hold floating point numbers."""
    found = []
    for name, module in model.named_modules():
        for attribute, value in module.__dict__.items():
            if attribute.startswith("_") or attribute in ("training",):
                continue
            with contextlib.suppress(TypeError):
                held = tensors(value) if isinstance(value, (torch.Tensor, tuple, list, dict)) else []
                held = [one for one in held if one.is_floating_point() and not isinstance(one, torch.nn.Parameter)]
                if held:
                    found.append((f"{name}.{attribute}" if name else attribute, held))
    return found


def first_line(error):
    """What an exception says, on one line."""
    return (str(error).splitlines() or [""])[0]
