"""Linear chains: an `nn.Linear` whose output another one reads, in one `nn.Sequential` with nothing but element-wise functions
between them. Their hidden units are pruned and removed like those of recurrent layers.
"""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning.told import adopt
from espalier.pruning.units import ELEMENTWISE, Column


@dataclass(eq=False)
class LinearUnits:
    """The outputs of an `nn.Linear`, which `reader`, another one, reads through `functions`.

    module, reader_name: their names in the model.  The rest is as `Units` has it.
    """

    module: str
    owner: nn.Linear
    reader_name: str
    reader: nn.Linear
    functions: list

    layer = direction = 0
    gates = 1
    projected = False
    own = None

    @property
    def hidden(self):
        return self.owner.out_features

    @property
    def rows(self):
        return [f"{self.module}.{kind}" for kind in ("weight", "bias") if getattr(self.owner, kind) is not None]

    @property
    def incoming(self):
        return [self.owner.weight]

    @property
    def feeds(self):
        return [Column(f"{self.reader_name}.weight", self.reader.weight, 0, None, self.reader)]

    @property
    def place(self):
        return self.module

    def rows_of(self, units):
        return units

    def through(self, values):
        """What the functions make of outputs of the layer, in evaluation."""
        for function in self.functions:
            if not isinstance(function, nn.Dropout):
                values = function(values)
        return values

    @property
    def dropped(self):
        """Whether training drops outputs on their way."""
        return any(isinstance(function, nn.Dropout) and function.p for function in self.functions)


def find_chains(model, readers):
    """The `LinearUnits` that `readers` speaks of, in their order: name of an `nn.Linear` -> [name of its one reader].

    Raises: InputError where these are no chain.
    """
    found = []
    for source, entries in readers.items():
        if not isinstance(entries, (list, tuple)) or len(entries) != 1 or not isinstance(entries[0], str):
            raise InputError(f"readers[{source!r}]: a linear layer has one reader, the next nn.Linear, got {entries!r}")
        (reader,) = entries
        parent, _, short = source.rpartition(".")
        other, _, last = reader.rpartition(".")
        owner = model.get_submodule(parent)
        names = list(owner._modules)
        if type(owner).forward is not nn.Sequential.forward or other != parent or last not in names:
            raise InputError(f"readers[{source!r}]: {source!r} and {reader!r} must stand in one nn.Sequential")
        between = [owner._modules[name] for name in names[names.index(short) + 1 : names.index(last)]]
        ends = owner._modules[short], owner._modules[last]
        strange = [module for module in between if type(module) not in ELEMENTWISE]
        if names.index(last) < names.index(short) or not all(type(end) is nn.Linear for end in ends) or strange:
            told = ", ".join(type(module).__name__ for module in strange) or "no chain of nn.Linear"
            raise InputError(
                f"readers[{source!r}]: between {source!r} and {reader!r} only element-wise functions may stand, not {told}"
            )
        if ends[0].out_features != ends[1].in_features:
            raise InputError(
                f"readers[{source!r}]: {reader!r} takes {ends[1].in_features} inputs, {source!r} gives {ends[0].out_features}"
            )
        found.append(LinearUnits(source, ends[0], reader, ends[1], between))
    order = {id(module): k for k, module in enumerate(model.modules())}
    return sorted(found, key=lambda one: order[id(one.owner)])


class ShrunkChains:
    """What becomes of chains without their dead units: `keep`, name of a layer -> numbers of the units that stay; `folded`, the
    number of units whose constant output goes into the bias that follows; `lines`, for people.

    A unit is dead if nothing that stays reads it, or if nothing that varies moves it: what the functions make of its bias then
    is a constant, which the reader's bias takes over. A constant other than zero that training would drop stays.
    """

    def __init__(self, chains):
        self.chains, self.keep, self.folded, self.offsets = chains, {}, {}, {}
        sources = {one.reader_name: one for one in chains}
        constants = {}
        for one in chains:
            weight = one.owner.weight.detach()
            source = sources.get(one.module)
            if source is not None:
                weight = weight[:, constants[source].isnan()]
            bias = torch.zeros(one.hidden, dtype=weight.dtype, device=weight.device)
            bias = bias + (0 if one.owner.bias is None else one.owner.bias.detach()) + self.offsets.get(one.module, 0)
            values = one.through(bias)
            still = (weight == 0).all(1) & values.isfinite() & ((values == 0) | torch.tensor(not one.dropped))
            constants[one] = torch.where(still, values, torch.nan)
            added = one.reader.weight.detach() @ constants[one].nan_to_num()
            if added.any():
                self.offsets[one.reader_name] = added
        for one in reversed(chains):
            read = one.reader.weight.detach()
            if one.reader_name in self.keep:
                read = read[self.keep[one.reader_name]]
            stays = constants[one].isnan() & (read != 0).any(0)
            if not stays.any():
                raise InputError(f"all {one.hidden} units of {one.place} are dead; a layer needs at least one")
            self.keep[one.module] = torch.nonzero(stays).flatten()
            self.folded[one.module] = int((constants[one].nan_to_num() != 0).sum())
        self.lines = [self._line(one) for one in chains]

    def _line(self, one):
        folded = self.folded[one.module]
        line = f"{one.place}: {len(self.keep[one.module])} of {one.hidden} units stay"
        return line + (f", {folded} constants go into biases" if folded else "")

    def build(self, model):
        """A copy of the model with the smaller layers."""
        small = copy.deepcopy(model)
        inputs = {one.reader_name: self.keep[one.module] for one in self.chains}
        for name in dict.fromkeys(name for one in self.chains for name in (one.module, one.reader_name)):
            old, offset = model.get_submodule(name), self.offsets.get(name)
            rows = self.keep.get(name, torch.arange(old.out_features))
            columns = inputs.get(name, torch.arange(old.in_features))
            fresh = nn.Linear(
                len(columns), len(rows), old.bias is not None or offset is not None, old.weight.device, old.weight.dtype
            )
            fresh.weight.copy_(old.weight[rows][:, columns])
            fresh.weight.requires_grad_(old.weight.requires_grad)
            if fresh.bias is not None:
                bias = (0 if old.bias is None else old.bias) + (0 if offset is None else offset)
                fresh.bias.copy_(bias[rows])
                fresh.bias.requires_grad_(old.bias is None or old.bias.requires_grad)
            adopt(small.get_submodule(name), fresh)
        return small
