"""Finds out by running a model which channels of what reach which channels of what.

Some channels of a site (what a layer puts out, or a parameter) are disturbed, and one looks which channels of which slots (what
a layer takes in, or a product sums over) are others than before. Layers give out what they gave before plus their own
disturbance, so that nothing goes on beyond the first that reads it. Any eager code will do.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import TorchFunctionMode

from espalier.errors import InputError
from espalier.pruning.running import Runs, flat, parts, tensors
from espalier.pruning.units import RECURRENT

#: Layers that are sites, and whose inputs are slots; subclasses may compute something else and are seen from inside.
LAYERS = (*RECURRENT, nn.Linear, nn.Conv1d, nn.Embedding, nn.MultiheadAttention)
#: Layers that give out every channel of what they take in, by parameters of their own.
CARRIERS = (nn.BatchNorm1d,)
#: Functions that sum over a dimension: name -> the dimension of each of their first operands; counted from the end.
SUMMED = {
    "matmul": (-1, -2), "bmm": (-1, -2), "mm": (-1, -2), "mv": (-1, -1), "dot": (-1, -1), "inner": (-1, -1), "linear": (-1, -1),
    "addmm": (None, -1, -2), "baddbmm": (None, -1, -2), "scaled_dot_product_attention": (-1, -1), "sum": (None,), "einsum": (),
}  # fmt: skip

ANOTHER_WAY = "its forward takes another way when states change, so that who reads them cannot be found out; say readers=..."


@dataclass(frozen=True)
class Site:
    """Channels that can be disturbed: `kind` is `unit` (name, layer, direction), `projected` (units behind a projection, which
    nobody sees), `layer` (name), `parameter` (name, dim),
    `input` (number, dim), or `fixed` (name), whose channels nobody may change.
    """

    kind: str
    name: object
    layer: int = 0
    direction: int = 0


@dataclass(frozen=True)
class Slot:
    """Where channels arrive: `kind` is `input` of the layer `name`, `hx` of the units of (name, layer, direction), `sum` number
    `name` in the order of calls, or `output` number `name` in the dimension `layer`.
    """

    kind: str
    name: object
    layer: int = 0
    direction: int = 0


class Probe(Runs):
    """The runs of one model on one example. `sites`: Site -> number of channels; `summed`: (parameter that
    a product sums over, dimension) -> [slot].
    """

    def __init__(self, model, inputs):
        super().__init__(model, inputs)
        self.modules = dict(self.model.named_modules())
        names = dict(self.model.named_parameters())
        self.names = {id(parameter): name for name, parameter in names.items()}
        self.storages = {p.untyped_storage().data_ptr(): name for name, p in names.items()}
        self.layers = {n: m for n, m in self.modules.items() if type(m) in LAYERS}
        #: Numbers of states, one for each layer and direction, that come stacked.
        self.stacks = {
            len(m._all_weights) for m in self.layers.values() if isinstance(m, nn.RNNBase) and len(m._all_weights) > 1
        }  # fmt: skip
        self.carriers = {n: m for n, m in self.modules.items() if type(m) in CARRIERS}
        owned = {id(p) for m in (*self.layers.values(), *self.carriers.values()) for p in m.parameters()}
        #: Parameters that are no layer's.
        self.bare = {name: one for name, one in names.items() if id(one) not in owned}
        multiplies = [m.weight for m in self.carriers.values() if m.weight is not None]
        self.real = [(one, one.detach().clone()) for one in (*self.bare.values(), *multiplies)]
        self.generator = torch.Generator().manual_seed(5)
        for one, _ in self.real:  # what is zero would let nothing through
            one.data.masked_fill_(one.data == 0, 0.7)
        self.filled = [one.detach().clone() for one, _ in self.real]
        self.clean, self.summed, self.sites, self.first = {}, {}, {}, True
        self.run()
        self.first, self.reference_calls = False, self.calls
        self.sites = self.find_sites()

    # Sites

    def find_sites(self):
        reached = {key[1] for key in self.clean if key[0] == "out"}
        sites = {}
        for name, module in self.layers.items():
            if name not in reached:
                continue
            if isinstance(module, RECURRENT):
                projected = getattr(module, "proj_size", 0) > 0
                kind = "projected" if projected else "unit"
                if projected:  # what comes out is as wide as before, whatever goes behind it
                    sites[Site("fixed", name)] = 1
                both = 2 if getattr(module, "bidirectional", False) else 1
                for layer in range(getattr(module, "num_layers", 1)):
                    for direction in range(both):
                        sites[Site(kind, name, layer, direction)] = module.hidden_size
            elif isinstance(module, nn.Linear):
                sites[Site("layer", name)] = module.out_features
            elif isinstance(module, nn.Conv1d):
                sites[Site("layer", name)] = module.out_channels
            elif isinstance(module, nn.Embedding):
                sites[Site("layer", name)] = module.embedding_dim
            else:
                sites[Site("fixed", name)] = 1
        widths = set(sites.values())
        widths |= {2 * count for site, count in sites.items() if site.kind == "unit"}
        own = {id(one) for module in self.carriers.values() for one in module.buffers()}
        buffers = {name: one for name, one in self.model.named_buffers() if id(one) not in own and one.is_floating_point()}
        for name, values in (*self.bare.items(), *buffers.items()):
            for dim, count in enumerate(values.shape):
                if count > 1 and count in widths:
                    sites[Site("parameter", name, dim)] = count
        for number, one in enumerate(tensors(self.inputs)):
            if one.is_floating_point():
                sites[Site("input", (number, None), -1)] = 1
                for row, part in parts(one, self.stacks):
                    for dim, count in enumerate(part.shape):
                        if dim and count > 1 and count in widths:
                            sites[Site("input", (number, row), dim)] = count
        return sites

    # Runs

    def run(self, disturbed=None, zero=False):
        """Run the model with some channels disturbed: Site -> bool `(channels,)`; zero: all layers give out nothing but zeros,
        except those of one channel, and parameters are what they really are.

        Afterwards `seen` holds the slots: Slot -> bool `(channels,)`, which are others than before (zero: their least and
        greatest values).
        """
        self.disturbed, self.zeroed = disturbed or {}, zero
        self.calls, self.seen, self.depth = {}, {}, 1
        handles = []
        for name, module in {**self.layers, **self.carriers}.items():
            handles.append(module.register_forward_pre_hook(self._before(name), with_kwargs=True))
            handles.append(module.register_forward_hook(self._after(name), with_kwargs=True, always_call=True))
        self.generator = torch.Generator().manual_seed(7)
        undo, inputs = self._disturb_parameters(), self._disturbed_inputs()
        try:
            with _Functions(self):
                self.depth = 0
                output = self.forward(inputs)
        finally:
            self.depth = 1
            for handle in handles:
                handle.remove()
            for values, before in undo:
                values.data.copy_(before)
        for number, one in enumerate(flat(output)):
            self._look_at_output(number, one)
        if not self.first and self.calls != self.reference_calls:
            raise InputError(ANOTHER_WAY)
        return self.seen

    def _noise(self, values, mask, dim):
        """Disturbance of the channels `mask` along `dim`, of both signs."""
        shape = [1] * values.dim()
        shape[dim] = -1
        draw = torch.rand(values.shape, generator=self.generator, dtype=torch.float64)
        sign = torch.randint(0, 2, values.shape, generator=self.generator) * 2 - 1
        return ((1 + draw) * sign * mask.view(shape)).to(values.dtype)

    def _disturb_parameters(self):
        undo = []
        known = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        for site, mask in self.disturbed.items():
            if site.kind == "parameter":
                values = known[site.name]
                undo.append((values, values.detach().clone()))
                values.data.add_(self._noise(values, mask, site.layer))
        for number, (values, real) in enumerate(self.real if self.zeroed else ()):
            undo.append((values, self.filled[number]))
            values.data.copy_(real)
        return undo[::-1]

    def _disturbed_inputs(self):
        changed = {}
        for site, mask in self.disturbed.items():
            if site.kind == "input":
                number, row = site.name
                one = tensors(self.inputs)[number].clone()
                part = one if row is None else one[row]
                whole = torch.ones(part.shape[site.layer], dtype=torch.bool) if site.layer == -1 else mask
                part.add_(self._noise(part, whole, site.layer))
                changed[number] = one
        return self.replaced(changed)

    # Layers

    def _before(self, name):
        def hook(module, arguments, keywords):
            self.depth += 1
            if self.depth > 1:
                return
            number = self.calls[name] = self.calls.get(name, 0) + 1
            for place, (slot, values, dim) in enumerate(self._slots(name, module, arguments, keywords)):
                self._look(("in", name, number, place), slot, values, dim)

        return hook

    def _after(self, name):
        def hook(module, arguments, keywords, output):
            try:
                return give(module, output) if self.depth == 1 and name not in self.carriers else None
            finally:
                self.depth -= 1

        def give(module, output):
            key = ("out", name, self.calls.get(name, 0))
            if self.first:
                # Whatever it is: what is zero would let nothing through that it is multiplied with.
                self.clean[key] = _mapped(
                    output, lambda one: one.detach() + 0.1 * self._noise(one, torch.ones(one.shape[-1]), -1)
                )
            return self._given(name, module, self.clean[key])

        return hook

    def _slots(self, name, module, arguments, keywords):
        """(slot, values, dimension of the channels) of what a layer was called with."""
        given = list(arguments) + list(keywords.values())
        if isinstance(module, nn.Embedding):
            return []
        if isinstance(module, nn.MultiheadAttention):
            tensors = [one for one in given[:3] if isinstance(one, torch.Tensor)]
            return [(Slot("input", name, place), one, -1) for place, one in enumerate(tensors)]
        dim = 1 if isinstance(module, (nn.Conv1d, nn.BatchNorm1d)) else -1
        values = given[0].data if isinstance(given[0], PackedSequence) else given[0]
        slots = [(Slot("input", name), values, dim)]
        if isinstance(module, RECURRENT) and len(given) > 1 and given[1] is not None:
            for part in given[1] if isinstance(given[1], tuple) else (given[1],):
                if isinstance(module, nn.RNNCellBase):
                    slots.append((Slot("hx", name), part, -1))
                    continue
                both = 2 if module.bidirectional else 1
                for place, one in enumerate(part):
                    slots.append((Slot("hx", name, *divmod(place, both)), one, -1))
        return slots

    def _given(self, name, module, clean):
        """What a layer gives out: what it gave at first, its own disturbance on it; or zeros."""
        if self.zeroed:  # but what may only scale others
            scales = self.sites.get(Site("layer", name)) == 1
            return clean if scales else _mapped(clean, torch.zeros_like)
        own = {
            site: mask for site, mask in self.disturbed.items() if site.name == name and site.kind in ("unit", "layer", "fixed")
        }
        if not own:
            return clean
        if not isinstance(module, RECURRENT):
            (mask,) = own.values()
            dim = 1 if isinstance(module, nn.Conv1d) else -1
            if next(iter(own)).kind == "fixed":
                return _mapped(clean, lambda one: one + self._noise(one, torch.ones(one.shape[-1]), -1))
            return clean + self._noise(clean, mask, dim)
        if next(iter(own)).kind == "fixed":
            return _mapped(clean, lambda one: one + self._noise(one, torch.ones(one.shape[-1]), -1))
        if isinstance(module, nn.RNNCellBase):
            (mask,) = own.values()
            return _mapped(clean, lambda one: one + self._noise(one, mask, -1))
        both = 2 if module.bidirectional else 1
        output, states = clean
        top = torch.zeros(both * module.hidden_size)
        rows = torch.zeros(module.num_layers * both, module.hidden_size)
        for site, mask in own.items():
            rows[site.layer * both + site.direction] = mask.float()
            if site.layer == module.num_layers - 1:
                top[site.direction * module.hidden_size :][: module.hidden_size] = mask.float()
        output = _mapped(output, lambda one: one + self._noise(one, top, -1))

        def with_rows(state):
            shape = [len(rows), *[1] * (state.dim() - 2), module.hidden_size]
            return state + self._noise(state, torch.ones(module.hidden_size), -1) * rows.view(shape).to(state.dtype)

        return output, _mapped(states, with_rows)

    # Slots

    def _look(self, key, slot, values, dim):
        """Note which channels of a slot are others than at first."""
        if values.dim() == 0 or not values.is_floating_point():
            return
        values = values.detach()
        if self.first:
            self.clean[key] = values.clone()
            self.seen.setdefault(slot, torch.zeros(values.shape[dim], dtype=torch.bool))
            return
        if self.zeroed:
            others = [d for d in range(values.dim()) if d != dim % values.dim()]
            low, high = (values.amin(others), values.amax(others)) if others else (values, values)
            before = self.seen.get(slot)
            self.seen[slot] = (low, high) if before is None else (low.minimum(before[0]), high.maximum(before[1]))
            return
        clean = self.clean.get(key)
        if clean is None or clean.shape != values.shape:
            raise InputError(ANOTHER_WAY)
        changed = self._channels(values, clean, dim)
        self.seen[slot] = self.seen.get(slot, torch.zeros_like(changed)) | changed

    @staticmethod
    def _channels(values, clean, dim):
        changed = (values - clean).abs() > 1e-9 * (1 + clean.abs())
        changed |= values.isnan() != clean.isnan()
        others = [d for d in range(values.dim()) if d != dim % values.dim()]
        return changed.amax(others) if others else changed

    def _look_at_output(self, number, values):
        for row, part in parts(values, self.stacks):
            for dim in range(part.dim()):
                if dim or part.dim() == 1:
                    self._look(("output", number, row, dim), Slot("output", (number, row), dim), part, dim)

    def confined(self, values, clean):
        """Dimensions along which some, but not all, indices are others than before."""
        found = []
        for dim in range(values.dim()):
            if values.shape[dim] > 1:
                changed = self._channels(values, clean, dim)
                if changed.any() and not changed.all():
                    found.append(dim)
        return found

    def product(self, name, operands, dims, key, output):
        """A function that sums: where it sums over disturbed channels and nothing else of them is left, it is a reader, and
        gives out what it gave at first.
        """
        if self.first:
            self.clean[key] = [one.detach().clone() for one in (*operands, output)]
            for one, dim in zip(operands, dims):
                self._note_parameter(one, dim, key)
            return output
        *before, clean = self.clean[key]
        if self.zeroed:
            return output
        if output.shape != clean.shape:
            raise InputError(ANOTHER_WAY)
        moved = [self.confined(one, old) for one, old in zip(operands, before)]
        left = self.confined(output, clean)
        if left or not any(moved):
            return output
        reader = False
        for one, old, dim, where in zip(operands, before, dims, moved):
            for d in dim if isinstance(dim, tuple) else (dim,):
                if d is not None and d % one.dim() in where:
                    slot, changed = Slot("sum", key), self._channels(one, old, d)
                    seen = self.seen.get(slot, torch.zeros_like(changed))
                    if seen.shape != changed.shape:
                        return output
                    self.seen[slot], reader = seen | changed, True
        return clean if reader else output

    def _note_parameter(self, operand, dim, key):
        """Remember that a product sums over a dimension of a parameter, itself or transposed."""
        name = self.names.get(id(operand)) or self.storages.get(operand.untyped_storage().data_ptr())
        if name is None or dim is None or isinstance(dim, tuple) or operand.dim() > 2:
            return
        own = self.model.get_parameter(name)
        if operand.numel() != own.numel() or operand.dim() != own.dim():
            return
        dim %= own.dim()
        if (
            own.dim() == 2
            and operand.shape == own.shape[::-1]
            and operand.stride() == own.stride()[::-1]
            and own.stride(1) == 1
        ):
            dim = 1 - dim if operand.stride() != own.stride() or operand.shape != own.shape else dim
        self.summed.setdefault((name, dim), []).append(Slot("sum", key))


class _Functions(TorchFunctionMode):
    """Looks at the functions of torch that the model calls outside its known layers."""

    def __init__(self, probe):
        super().__init__()
        self.probe, self.counts = probe, {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        probe, name = self.probe, getattr(func, "__name__", "")
        if probe.depth or name not in SUMMED:
            return func(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            output = func(*args, **kwargs)
        if not isinstance(output, torch.Tensor) or not output.is_floating_point():
            return output
        operands, dims = _operands(name, args, kwargs)
        if operands is None:
            return output
        number = self.counts[name] = self.counts.get(name, 0) + 1
        probe.calls[name] = number
        with torch._C.DisableTorchFunction():
            return probe.product(name, operands, dims, (name, number), output)


def _operands(name, args, kwargs):
    """(tensors, the dimension that is summed over of each) of a call; (None, None) where it is not understood."""
    if name == "einsum":
        operands = args[1] if len(args) == 2 and isinstance(args[1], (list, tuple)) else args[1:]
        if not isinstance(args[0], str) or "." in args[0]:
            return None, None
        given, _, result = args[0].replace(" ", "").partition("->")
        labels = given.split(",")
        gone = [tuple(k for k, label in enumerate(one) if label not in result) for one in labels]
        return list(operands), [dims[0] if len(dims) == 1 else dims or None for dims in gone]
    if name == "sum":
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if dim is None:
            dim = tuple(range(args[0].dim()))
        return [args[0]], [tuple(dim) if isinstance(dim, (list, tuple)) else dim]
    count = len(SUMMED[name])
    operands = [one for one in args[:count] if isinstance(one, torch.Tensor)]
    if len(operands) != count:
        return None, None
    dims = [
        dim if dim is None or one.dim() >= -dim else -1 for one, dim in zip(operands, SUMMED[name])
    ]  # a vector has one dimension only
    return operands, dims


def _mapped(values, change):
    """The same nest of tuples with every tensor changed, of packed sequences their data."""
    if isinstance(values, PackedSequence):
        return PackedSequence(change(values.data), *values[1:])
    if isinstance(values, (tuple, list)):
        return type(values)(_mapped(one, change) for one in values)
    return change(values) if isinstance(values, torch.Tensor) else values


def codes(count):
    """Masks that tell channels apart: each bit of their numbers, and its complement."""
    numbers = torch.arange(count)
    if count == 1:
        return [torch.ones(1, dtype=torch.bool)]
    found = []
    for bit in range(math.ceil(math.log2(count))):
        mask = (numbers >> bit) & 1 == 1
        found += [mask, ~mask]
    return found
