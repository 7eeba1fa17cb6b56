"""Which channels reach which: layers' outputs, parameters and inputs joined with what takes them in, as an example has it."""

import copy
import math

import torch
from torch import nn

from espalier.pruning import reparametrised
from espalier.pruning.attention import columns_of, reading
from espalier.pruning.probe import CARRIERS, Probe, Slot
from espalier.pruning.running import given, tensors
from espalier.pruning.same import several
from espalier.pruning.units import RECURRENT, Units

#: Singles that are run before a slot that they all reach is taken for a mixture.
ENOUGH = 3


class Reaches:
    """Nodes, joined where one reaches the other; `units`, (module, layer, direction) -> `Units`; `constants`, slice -> what
    stands there when all is zero; `mixed`, site -> slot that all its channels reach; `reasons`, node -> why it cannot go.
    """

    def __init__(self, model, example):
        self.model, self.probe = model, Probe(model, unmistakable(model, example))
        first = {}  # of every parameter and buffer
        named = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
        for name, values in named:
            first.setdefault(id(values), name)
        #: Name of a parameter or buffer -> its first name.
        self.names = {name: first[id(values)] for name, values in named}
        #: Rows of one parameter that read something of their own: made-up name -> (parameter, first row, last row + 1).
        self.views = _views(model)
        self.names |= {name: name for name in self.views}
        self.parents, self.constants, self.mixed, self.reasons = {}, {}, {}, {}
        self.units = self._make_units()
        self._link_layers()
        for site, count in self.probe.sites.items():
            # One channel of a linear layer is no channel of others, but what they are multiplied with, or added to.
            if site.kind != "projected" and not (site.kind == "layer" and count == 1):
                self._reach(site)
        self._zeros()

    # Nodes: ("unit", module, layer, direction, number), ("slice", name, dim, index), ("sum", key, index), ("output", n, dim,
    # index), ("input", n, dim, index); n is (number, row of a stack of states or None)

    def _root(self, node):
        self.parents.setdefault(node, node)
        while self.parents[node] != node:
            self.parents[node] = node = self.parents[self.parents[node]]
        return node

    def _join(self, one, other):
        self.parents[self._root(one)] = self._root(other)

    def _fix(self, node, why):
        if node != "fixed":
            self._root(node)
            self.reasons.setdefault(node, why)

    def _make_units(self):
        found = {}
        for name, module in self.model.named_modules():
            for hidden in reparametrised.hidden(module) if isinstance(module, RECURRENT) else ():
                reparametrised.refuse(self.model, name, hidden)
        for site in self.probe.sites:
            if site.kind in ("unit", "projected"):
                owner = self.model.get_submodule(site.name)
                cell = isinstance(owner, nn.RNNCellBase)
                suffix = "" if cell else f"_l{site.layer}{'_reverse' if site.direction else ''}"
                found[site.name, site.layer, site.direction] = Units(site.name, owner, site.layer, site.direction, suffix)
        return found

    def _above(self, one):
        """The units of the next layer in the same module."""
        return [other for other in self.units.values() if (other.module, other.layer) == (one.module, one.layer + 1)]

    def first(self, name):
        """The first name of a parameter that has several."""
        return self.names[name]

    def _slice(self, name, dim, index):
        return "slice", self.first(name), dim, index

    def _outgoing(self, site, number):
        """The node of a channel of a site."""
        if site.kind == "unit":
            return "unit", site.name, site.layer, site.direction, number
        if site.kind == "parameter":
            return self._slice(site.name, site.layer, number)
        if site.kind == "input" and site.layer != -1:
            return "input", site.name, site.layer, number
        if site.kind == "layer":
            module = self.model.get_submodule(site.name)
            return self._slice(_dotted(site.name, "weight"), 1 if isinstance(module, nn.Embedding) else 0, number)
        return "fixed"

    def _incoming(self, slot, number):
        """Nodes of a channel of a slot."""
        if slot.kind == "hx":
            return [("unit", slot.name, slot.layer, slot.direction, number)]
        if slot.kind == "output":
            return [("output", slot.name, slot.layer, number)]
        if slot.kind == "sum":
            return [("sum", slot.name, number)]
        module = self.model.get_submodule(slot.name)
        if type(module) in CARRIERS:
            return [self._slice(_dotted(slot.name, name), 0, number) for name in self._carried(module)]
        if type(module) in RECURRENT:
            cell = isinstance(module, nn.RNNCellBase)
            names = ["weight_ih"] if cell else ["weight_ih_l0", *(["weight_ih_l0_reverse"] if module.bidirectional else [])]
            return [self._slice(_dotted(slot.name, name), 1, number) for name in names]
        if isinstance(module, nn.MultiheadAttention):
            column = columns_of(module)[number] if slot.layer == 0 else number
            return [self._slice(_dotted(slot.name, reading(module)[slot.layer][0]), 1, column)]
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv1d) and module.groups == 1):
            return [self._slice(_dotted(slot.name, "weight"), 1, number)]
        return ["fixed"]

    @staticmethod
    def _carried(module):
        own = (*module._parameters.items(), *module._buffers.items())
        return [name for name, values in own if values is not None and values.dim() == 1]

    def _link_layers(self):
        """What is known without running: carriers hold one slice of each of their parameters, products those of theirs."""
        for (name, dim), slots in self.probe.summed.items():
            for index in range(self.model.get_parameter(name).shape[dim]):
                for slot in slots:
                    self._join(("sum", slot.name, index), self._slice(name, dim, index))
        for name, module in self.probe.carriers.items():
            for index in range(module.num_features):
                nodes = [self._slice(_dotted(name, one), 0, index) for one in self._carried(module)]
                for node in nodes[1:]:
                    self._join(nodes[0], node)
        for key, one in self.units.items():
            for number in range(one.hidden):
                unit = ("unit", *key, number)
                if one.projected:
                    self._join(unit, self._slice(one.name("weight_hr"), 1, number))
                    continue
                self._join(unit, self._slice(one.name("weight_hh"), 1, number))
                for above in self._above(one):
                    self._join(unit, self._slice(above.name("weight_ih"), 1, one.direction * one.hidden + number))
        for name, module in self.probe.layers.items():
            if isinstance(module, nn.RNNBase) and module.bidirectional:
                for index in range(module.input_size):
                    both = [self._slice(_dotted(name, f"weight_ih_l0{end}"), 1, index) for end in ("", "_reverse")]
                    self._join(*both)

    # Reaches

    def _reach(self, site):
        """Find which channels of which slots each channel of a site reaches, and join them."""
        count = self.probe.sites[site]
        if site.kind == "fixed" or site.layer == -1:
            self._reach_as_a_whole(site)
            return
        possible = {}  # slot -> bool (channels, channels of the site)
        reached = {}
        for mask in codes(count):
            for slot, changed in self.probe.run({site: mask}).items():
                before = possible.setdefault(slot, torch.ones(len(changed), count, dtype=torch.bool))
                before[(~changed)[:, None] & mask] = False
                reached[slot] = reached.get(slot, torch.zeros_like(changed)) | changed
        outputs = self._channel_dims(site, possible, reached)
        doubtful = torch.zeros(count, dtype=torch.bool)
        for slot, cells in possible.items():
            cells &= reached[slot][:, None]
            if slot.kind == "output" and slot not in outputs:
                cells[:] = False
                continue
            several = cells.sum(1) > 1
            doubtful |= cells[several].any(0)
            self._join_cells(site, slot, cells & ~several[:, None])
        singles = torch.nonzero(doubtful).flatten().tolist()
        mixed = {}
        for place, number in enumerate(singles):
            mask = torch.zeros(count, dtype=torch.bool)
            mask[number] = True
            for slot, changed in self.probe.run({site: mask}).items():
                if slot.kind == "output" and slot not in outputs:
                    continue
                cells = torch.zeros(len(changed), count, dtype=torch.bool)
                cells[:, number] = changed
                self._join_cells(site, slot, cells)
                full = possible[slot].all(1) & reached[slot]
                if full.sum() > 2 and changed[full].all():
                    mixed[slot] = mixed.get(slot, 0) + 1
            if place + 1 == ENOUGH and mixed and max(mixed.values()) == ENOUGH:
                slot = next(slot for slot, times in mixed.items() if times == ENOUGH)
                self.mixed[site] = slot
                for other in range(count):
                    self._join(self._outgoing(site, other), self._outgoing(site, 0))
                return

    def _reach_as_a_whole(self, site):
        """Fix what a layer that cannot change its width, or an input of the model, puts into channels; not what an input only
        scales or masks: there stands the same, whatever the input, when all that layers give out is zero.
        """
        why, whole = f"{site.name!r} cannot change its width", {site: torch.ones(1, dtype=torch.bool)}
        found = self.probe.run(whole)
        if site.kind == "input":
            why = "the model's input is added to them, or read beside them"
            bare = self.probe.run(whole, zero=True)
            found |= {slot: low != high for slot, (low, high) in bare.items() if slot.kind == "input"}
        for slot, changed in found.items():
            for index in torch.nonzero(changed).flatten().tolist() if slot.kind not in ("hx", "output") else ():
                for node in self._incoming(slot, index):
                    self._fix(node, why)

    def _join_cells(self, site, slot, cells):
        for channel, number in torch.nonzero(cells).tolist():
            for node in self._incoming(slot, channel):
                if node == "fixed":
                    kind = type(self.model.get_submodule(slot.name)).__name__
                    self._fix(self._outgoing(site, number), f"{slot.name!r} ({kind}) reads them and cannot change its width")
                else:
                    self._join(node, self._outgoing(site, number))

    def _channel_dims(self, site, possible, reached):
        """Slots of outputs whose dimension is that of the channels: others are changed as a whole. An output without any mixes
        the channels, and keeps them all.
        """
        chosen, numbers = set(), {slot.name for slot in possible if slot.kind == "output" and reached[slot].any()}
        for number in numbers:
            own = [slot for slot in possible if slot.kind == "output" and slot.name == number and reached[slot].any()]
            sharp = [slot for slot in own if not possible[slot][reached[slot]].all(1).any() and len(possible[slot]) > 1]
            if sharp:
                chosen.add(min(sharp, key=lambda slot: int(possible[slot][reached[slot]].sum())))
            else:
                self.mixed.setdefault(site, Slot("output", number))
                for other in range(self.probe.sites[site]):
                    self._fix(self._outgoing(site, other), f"output {number[0]} mixes them")
        return chosen

    def _zeros(self):
        """What stands in every channel of every slot when all that layers give out is zero."""
        for slot, ends in self.probe.run(zero=True).items():
            if slot.kind == "input":
                low, high = ends
                for index, (least, greatest) in enumerate(zip(low.tolist(), high.tolist())):
                    for node in self._incoming(slot, index):
                        value = least if least == greatest else torch.nan
                        before = self.constants.get(node, value)
                        self.constants[node] = value if value == before else torch.nan


def _views(model):
    """What of the weights of an `nn.MultiheadAttention` reads queries, keys and values, where that is not a parameter's all."""
    found = {}
    for place, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            for name, parameter, first in reading(module):
                if name != parameter:
                    found[_dotted(place, name)] = _dotted(place, parameter), first, first + module.embed_dim
    return found


def unmistakable(model, example):
    """Inputs in which no batch, and no number of steps, is the number of layers and directions of a module, as far as there are
    any: a tensor `(that number, N, hidden)` is then a stack of states.
    """
    stacks = {len(m._all_weights) for m in model.modules() if isinstance(m, nn.RNNBase) and len(m._all_weights) > 1}
    if callable(example):
        shapes = [shape for shape in ((2, 6), (5, 7), (7, 9), (11, 13)) if not stacks & set(shape)]
        return given(lambda *_: example(*shapes[0])) if shapes else given(example)
    found = [one for kind, one in several(example) if kind in ("same", "batch")]
    counts = [sum(bool(stacks & set(one.shape[:2])) for one in tensors(inputs)) for inputs in found]
    for inputs, count in sorted(zip(found, counts), key=lambda pair: pair[1]):
        if count == counts[0]:
            return found[0]
        arguments, keywords = inputs
        try:
            with torch.no_grad():
                copy.deepcopy(model).cpu().eval()(*arguments, **keywords)
            return inputs
        except Exception:  # of a shape that it does not take
            continue
    return found[0]


def _dotted(module, name):
    return f"{module}.{name}" if module else name


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
