"""Traces functions of numbers: element by element, linear, over time, put together."""

import math
from dataclasses import replace

import torch

from espalier.pruning.c.values import Value, double, uniform

#: Functions of one number: torch's name -> (ours, names of their numbers with torch's defaults).
MAPPED = {
    "relu": ("relu", {}), "tanh": ("tanh", {}), "sigmoid": ("sigmoid", {}), "silu": ("silu", {}), "softsign": ("softsign", {}),
    "leaky_relu": ("leaky_relu", {"negative_slope": 0.01}), "elu": ("elu", {"alpha": 1.0}), "abs": ("abs", {}),
    "hardtanh": ("hardtanh", {"min_val": -1.0, "max_val": 1.0}), "relu6": ("hardtanh", {"min_val": 0.0, "max_val": 6.0}),
    "clamp": ("hardtanh", {"min": -math.inf, "max": math.inf}), "hardsigmoid": ("hardsigmoid", {}), "exp": ("exp", {}),
    "hardswish": ("hardswish", {}), "square": ("square", {}), "gelu": ("gelu", {}), "softplus": ("softplus", {}),
}  # fmt: skip


class Arithmetic:
    """Part of a `Trace`."""

    def same(self, name, output, values, *_, **__):
        value = self.value(values)
        if values.is_floating_point() and not output.is_floating_point():
            self.refuse(f"{name} of values")
        return value

    def mapped(self, name, output, values, *numbers, inplace=False, training=False, **named):
        ours, defaults = MAPPED[name]
        numbers = [one for one in numbers if not isinstance(one, bool)]  # whether it is done in place
        if name == "gelu" and named.pop("approximate", "none") != "none":
            self.refuse("gelu by tanh")
        if name == "softplus" and (*numbers, *named.values()) not in ((), (1, 20)):
            self.refuse("softplus with beta or threshold")
        if name == "elu" and (len(numbers) > 1 or "scale" in named):
            self.refuse("elu with a scale")
        given = dict(zip(defaults, numbers)) | {k: v for k, v in named.items() if k in defaults}
        chosen = [given.get(key, default) for key, default in defaults.items()]
        chosen = [default if one is None else one for one, default in zip(chosen, defaults.values())]
        if not all(isinstance(one, (int, float)) for one in chosen):
            self.refuse(f"{name} with bounds that are tensors")
        value = self.channels(values)
        return self.like(value, "map", [value.node], function=ours, numbers=tuple(map(float, chosen)))

    def like(self, value, kind, inputs, **more):
        return replace(value, node=self.node(kind, inputs, value.node.width, **more))

    def channels(self, tensor):
        """The value of a tensor with channels; of several that are stacked, refused."""
        value = self.value(tensor)
        if not isinstance(value, Value) or "channel" not in value.dims or "group" in value.dims:
            self.refuse("values that are no channels of a step")
        return value

    def binary(self, name, output, one, other, alpha=1, rounding_mode=None, out=None):
        if rounding_mode is not None or alpha != 1:
            self.refuse(f"{name} with alpha or rounding_mode")
        if name == "rsub":
            name, one, other = "sub", other, one
        if self.value(one) is not None and self.value(other) is not None:
            return self.pair(name, output, self.channels(one), self.channels(other))
        left = self.value(one) is not None
        value, number = (self.channels(one), other) if left else (self.channels(other), one)
        if value.node.kind == "running" and name == "div" and left and uniform(number) == self.steps:
            return self.like(value, "running", value.node.inputs, function="mean")
        vector = self.vector(number, value)
        ones = torch.ones(value.node.width, dtype=torch.float64)
        if name in ("maximum", "minimum"):
            self.refuse(f"{name} with a constant")
        if name == "div" and not left:
            self.refuse("a constant divided by values")
        scale = {"add": ones, "sub": ones if left else -ones, "mul": vector, "div": 1 / vector}[name]
        shift = {"add": vector, "sub": -vector if left else vector}.get(name, 0 * ones)
        if bool((scale == 1).all()) and bool((shift == 0).all()):
            return value
        return self.like(value, "affine", [value.node], scale=scale, shift=shift)

    def vector(self, number, value):
        """A constant as `(width,)`, where it is the same at every step."""
        if isinstance(number, (int, float)):
            return torch.full((value.node.width,), float(number), dtype=torch.float64)
        if self.value(number) is not None or not isinstance(number, torch.Tensor):
            self.refuse("values of another kind")
        number = number.detach().double()
        shape = [1] * (len(value.dims) - number.dim()) + list(number.shape)
        if len(shape) > len(value.dims):
            self.refuse("a constant with more dimensions")
        number = number.reshape(shape)
        channel = value.dims.index("channel")
        rest = number.movedim(channel, -1).flatten(0, -2) if number.dim() > 1 else number.reshape(1, -1)
        if not bool((rest == rest[:1]).all()):
            self.refuse("a constant that is another one at every step")
        return rest[0].expand(value.node.width).clone()

    def pair(self, name, output, one, two):
        if name == "div":
            self.refuse("values divided by values")
        if one.node.width != two.node.width:
            self.refuse(f"{name} of {one.node.width} and {two.node.width} channels")
        one, two = self.together([one, two])
        if ("time" in one.dims) != ("time" in two.dims):
            self.refuse(f"{name} of one step and all of them")
        longer = one if len(one.dims) >= len(two.dims) else two
        return replace(longer, node=self.node("pair", [one.node, two.node], one.node.width, function=name))

    def together(self, values):
        """Values of one and the same time; those of different steps are taken from them at the end."""
        if len({one.at for one in values}) == 1:
            return values
        if any("time" in one.dims for one in values):
            self.refuse("values of one step together with all of them")
        found = []
        for one in values:
            if one.at not in (-1, 0, self.steps - 1):
                self.refuse("values of different steps together")
            if one.at == -1:
                found.append(one)
                continue
            taken = self.node("take", [one.node], one.node.width, first=one.at == 0)
            found.append(Value(taken, one.dims, -1))
        return found

    def on_embedding(self, name, output, one, other, padding_idx=None, max_norm=None, *_, **__):
        if max_norm not in (None, False):  # of torch.embedding, whether its gradient is scaled
            self.refuse("an embedding with max_norm, which changes as it is read,")
        weight, indices = (other, one) if self.value(one) is not None else (one, other)
        value = self.value(indices)
        if value is None or value.node.kind != "tokens":
            self.refuse("an embedding of something other than the input")
        node = self.node("embedding", [value.node], weight.shape[1], table=double(weight))
        return Value(node, (*value.dims, "channel"), value.at)

    def on_linear(self, name, output, values, weight, bias=None):
        value = self.channels(values)
        if value.dims[-1] != "channel":
            self.refuse("a linear layer over something other than channels")
        return self.linear(value, weight, bias)

    def linear(self, value, weight, bias):
        if self.value(weight) is not None:
            self.refuse("a product of values with values")
        bias = torch.zeros(len(weight), dtype=torch.float64) if bias is None else double(bias)
        return replace(value, node=self.node("linear", [value.node], len(weight), [weight], bias=bias))

    def on_matmul(self, name, output, values, weight):
        value = self.value(values)
        if not isinstance(value, Value) or value.dims[-1] != "channel" or weight.dim() != 2:
            self.refuse("a matrix product other than values @ weight")
        return self.linear(value, weight.T, None)

    on___matmul__ = on_mm = on_matmul

    def on_addmm(self, name, output, bias, values, weight, beta=1, alpha=1):
        if beta != 1 or alpha != 1:
            self.refuse("addmm with beta or alpha")
        return self.linear(self.channels(values), weight.T, bias)

    def on_batch_norm(
        self, name, output, values, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
    ):
        value = self.channels(values)
        if mean is None or training:
            self.refuse("a batch norm without running means")
        scale = (1 if weight is None else double(weight)) / (double(variance) + eps).sqrt()
        shift = (0 if bias is None else double(bias)) - double(mean) * scale
        return self.like(value, "affine", [value.node], scale=scale, shift=shift)

    def softmax(self, name, output, values, dim=None, *_, **__):
        value = self.channels(values)
        if dim is None or value.dims[dim] != "channel":
            self.refuse(f"{name} over something other than channels")
        return self.like(value, "softmax", [value.node], log=name == "log_softmax")

    def reduced(self, name, output, values, dim=None, keepdim=False, **_):
        value, dims = self.value(values), [dim] if isinstance(dim, int) else list(dim or [])
        if isinstance(value, Value) and len(dims) == 1 and value.dims[dims[0]] == "group" and name == "sum" and not keepdim:
            return self._summed(value, output)
        if not isinstance(value, Value) or len(dims) != 1 or value.dims[dims[0]] != "time" or "channel" not in value.dims:
            self.refuse(f"{name} over something other than time")
        place, function = dims[0] % len(value.dims), {"amax": "max"}.get(name, name)
        left = [("one" if k == place else role) for k, role in enumerate(value.dims) if keepdim or k != place]
        found = Value(self.node("running", [value.node], value.node.width, function=function), tuple(left), self.steps - 1)
        return found if isinstance(output, torch.Tensor) else (found, found)

    def _summed(self, value, output):
        """Groups of channels, added up."""
        dims = tuple(role for role in value.dims if role != "group")
        width = output.shape[dims.index("channel")]
        total = None
        for first in range(0, value.node.width, width):
            part = self.node("slice", [value.node], width, first=first)
            total = part if total is None else self.node("pair", [total, part], width, function="add")
        return Value(total, dims, value.at)

    def on_cat(self, name, output, tensors, dim=0, **_):
        if any(self.value(one) is None for one in tensors):
            self.refuse("cat of values with constants")
        values = [self.channels(one) for one in tensors]
        if values[0].dims[dim] == "one" and all(isinstance(one, Value) and "time" not in one.dims for one in values):
            return self.steps_of(
                values, values[0].dims[: dim % len(values[0].dims)], values[0].dims[dim % len(values[0].dims) + 1 :]
            )
        if any(one.dims[dim] != "channel" for one in values):
            self.refuse("cat of something other than channels")
        values = self.together(values)
        width = sum(one.node.width for one in values)
        return replace(values[0], node=self.node("concat", [one.node for one in values], width))

    on_concat = on_concatenate = on_cat

    def on_stack(self, name, output, tensors, dim=0, **_):
        values = [self.channels(one) for one in tensors]
        place = dim % (len(values[0].dims) + 1)
        return self.steps_of(values, values[0].dims[:place], values[0].dims[place:])

    def steps_of(self, values, before, after):
        """All steps of a node, put together again."""
        if [one.at for one in values] != list(range(self.steps)) or len({one.node for one in values}) != 1:
            self.refuse("a sequence of other than all steps of the same")
        return Value(values[0].node, (*before, "time", *after))
