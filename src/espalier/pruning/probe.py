"""Finds out by running a model which channels of what reach which channels of what.

Some channels of a site (what a layer puts out, or a parameter) are disturbed, and one looks which channels of which slots (what
a layer takes in, or a product sums over) are others than before. Layers give out what they gave before plus their own
disturbance, so that nothing goes on beyond the first that reads it. Any eager code will do.
"""

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning import reparametrised
from espalier.pruning.layers import CARRIERS, LAYERS, Site, Slot, disturbed, mapped, slots_of
from espalier.pruning.products import Functions
from espalier.pruning.running import Runs, flat, parts, tensors
from espalier.pruning.units import RECURRENT

ANOTHER_WAY = "its forward takes another way when states change, so that who reads them cannot be found out; say readers=..."


class Probe(Runs):
    """The runs of one model on one example. `sites`: Site -> number of channels; `summed`: (parameter that
    a product sums over, dimension) -> [slot].
    """

    def __init__(self, model, inputs):
        reparametrised.refuse_all(model)
        super().__init__(model, inputs)
        modules = dict(self.model.named_modules())
        names = dict(self.model.named_parameters())
        self.names = {id(parameter): name for name, parameter in names.items()}
        self.storages = {p.untyped_storage().data_ptr(): name for name, p in names.items()}
        self.layers = {n: m for n, m in modules.items() if type(m) in LAYERS}
        #: Numbers of states, one for each layer and direction, that come stacked.
        self.stacks = {
            len(m._all_weights) for m in self.layers.values() if isinstance(m, nn.RNNBase) and len(m._all_weights) > 1
        }  # fmt: skip
        self.carriers = {n: m for n, m in modules.items() if type(m) in CARRIERS}
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

    @property
    def reached(self):
        """Names of the layers that the example reaches."""
        return {key[1] for key in self.clean if key[0] == "out"}

    @property
    def unreached(self):
        return [name for name in self.layers if name not in self.reached]

    def find_sites(self):
        reached, sites = self.reached, {}
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
            with Functions(self):
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
            for place, (slot, values, dim) in enumerate(slots_of(name, module, arguments, keywords)):
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
                self.clean[key] = mapped(
                    output, lambda one: one.detach() + 0.1 * self._noise(one, torch.ones(one.shape[-1]), -1)
                )
            return self._given(name, module, self.clean[key])

        return hook

    def _given(self, name, module, clean):
        """What a layer gives out, to be worked on in place: what it gave at first, its own disturbance on it; or zeros."""
        if self.zeroed:  # but what may only scale others
            scales = self.sites.get(Site("layer", name)) == 1
            return mapped(clean, torch.clone if scales else torch.zeros_like)
        kinds = ("unit", "layer", "fixed")
        own = {site: mask for site, mask in self.disturbed.items() if site.name == name and site.kind in kinds}
        return disturbed(module, clean, own, self._noise) if own else mapped(clean, torch.clone)

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
