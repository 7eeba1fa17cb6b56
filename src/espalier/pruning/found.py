"""Who reads whom, found out by running a model: groups of channels that can only go together.

A group holds hidden units, and slices of parameters along a dimension: the columns that read the units, and the rows of
whatever else puts out the same channels (what is added to them, an embedding that is tied to its reader, a learned start).
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning import reparametrised
from espalier.pruning.blame import blame
from espalier.pruning.probe import CARRIERS, Probe, Site, Slot, codes
from espalier.pruning.running import given
from espalier.pruning.units import RECURRENT, Column, Units

#: Singles that are run before a slot that they all reach is taken for a mixture.
ENOUGH = 3


@dataclass(eq=False)
class Group:
    """Channels that go together.

    units: (Units, number); slices: (parameter or buffer, dimension, index), sorted; readers: those of them that products sum
    over (columns); outputs: (output, dimension, index); inputs: likewise of the inputs; summed: whether a product of two
    activations reads them; fixed: why they cannot go, in words, or None; constant: what stands there when all of it is zero,
    by slice, NaN where that is no constant.
    """

    units: list = field(default_factory=list)
    slices: list = field(default_factory=list)
    readers: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    inputs: list = field(default_factory=list)
    summed: bool = False
    fixed: str | None = None
    constant: dict = field(default_factory=dict)


class Found:
    """What was found of a model: `units`, a list of `Units` with what reads them; `groups`, every `Group` that holds a unit or
    a linear layer's channel, in order; `of`, (Units, number) -> group.

    Raises: InputError if the model cannot be run on the example, or not be trusted to give the same again.
    """

    def __init__(self, model, example):
        self.model, self.probe = model, Probe(model, given(example))
        first = {}  # of every parameter and buffer
        named = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
        for name, values in named:
            first.setdefault(id(values), name)
        #: Name of a parameter or buffer -> its first name.
        self.names = {name: first[id(values)] for name, values in named}
        self.parents, self.constants, self.mixed, self.reasons = {}, {}, {}, {}
        self.units = self._make_units()
        self._link_layers()
        for site, count in self.probe.sites.items():
            # One channel of a linear layer is no channel of others, but what they are multiplied with, or added to.
            if site.kind != "projected" and not (site.kind == "layer" and count == 1):
                self._reach(site)
        self._zeros()
        self.groups, self.of = self._make_groups()
        self._feed()

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
        for site in self.probe.sites:
            if site.kind in ("unit", "projected"):
                owner = self.model.get_submodule(site.name)
                cell = isinstance(owner, nn.RNNCellBase)
                suffix = "" if cell else f"_l{site.layer}{'_reverse' if site.direction else ''}"
                for hidden in reparametrised.hidden(owner):
                    reparametrised.refuse(self.model, site.name, hidden)
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
            why = f"{site.name!r} cannot change its width"
            if site.kind == "input":
                why = "the model's input is added to them, or read beside them"
            for slot, changed in self.probe.run({site: torch.ones(1, dtype=torch.bool)}).items():
                for index in torch.nonzero(changed).flatten().tolist() if slot.kind not in ("hx", "output") else ():
                    for node in self._incoming(slot, index):
                        self._fix(node, why)
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

    # Groups

    def _make_groups(self):
        members = {}
        for node in list(self.parents):
            members.setdefault(self._root(node), []).append(node)
        for key, one in self.units.items():  # what nobody reads is alone
            for number in range(one.hidden):
                node = ("unit", *key, number)
                if node not in self.parents:
                    members[node] = [node]
        groups, of = [], {}
        for nodes in members.values():
            group = Group(fixed=next((self.reasons[node] for node in nodes if node in self.reasons), None))
            for node in nodes:
                if node[0] == "unit":
                    group.units.append((self.units[node[1:4]], node[4]))
                elif node[0] == "slice":
                    group.slices.append(node[1:])
                    if node in self.constants:
                        group.constant[node[1:]] = self.constants[node]
                elif node[0] in ("output", "input"):
                    getattr(group, f"{node[0]}s").append(node[1:])
                elif node[0] == "sum":
                    group.summed = True
            group.units.sort(key=lambda unit: (unit[0].module, unit[0].layer, unit[0].direction, unit[1]))
            group.slices.sort()
            group.readers = [one for one in group.slices if self._reads(*one[:2])]
            if group.units or any(self.puts_out(*one[:2]) for one in group.slices):
                groups.append(group)
            for unit in group.units:
                of[unit] = group
        place = {key: k for k, key in enumerate(self.units)}
        order = {name: k for k, name in enumerate(dict(self.model.named_parameters()))}

        def rank(group):
            if group.units:
                one, number = group.units[0]
                return 0, place[one.module, one.layer, one.direction], number
            return 1, min(order.get(name, len(order)) for name, _, _ in group.slices), min(one[2] for one in group.slices)

        return sorted(groups, key=rank), of

    def owner(self, name):
        place, _, short = name.rpartition(".")
        return self.model.get_submodule(place), short

    def _reads(self, name, dim):
        """Whether a slice is a column of a product."""
        owner, short = self.owner(name)
        known = short.startswith("weight") and type(owner) in (*RECURRENT, nn.Linear, nn.Conv1d)
        return (dim == 1 and known) or (name, dim) in self.probe.summed

    def puts_out(self, name, dim):
        """Whether a slice is a row of a linear layer."""
        owner, short = self.owner(name)
        return dim == 0 and short == "weight" and type(owner) in (nn.Linear, nn.Conv1d)

    def _feed(self):
        """Give every `Units` its columns, one `Column` per copy, where its units are read alike."""
        for one in self.units.values():
            if one.projected:
                one.feeds.append(Column(one.name("weight_hr"), one.get("weight_hr"), 0))
                continue
            one.feeds.append(Column(one.name("weight_hh"), one.get("weight_hh"), 0, one))
            own = {one.name("weight_hh"), *(above.name("weight_ih") for above in self._above(one))}
            for above in self._above(one):
                one.feeds.append(Column(above.name("weight_ih"), above.get("weight_ih"), one.direction * one.hidden, above))
            by_parameter = {}
            for number in range(one.hidden):
                group = self.of[one, number]
                for name, dim, index in group.readers:
                    if dim == 1 and name not in own:
                        by_parameter.setdefault(name, {}).setdefault(number, []).append(index)
            for name, columns in by_parameter.items():
                counts = {len(indices) for indices in columns.values()}
                if len(columns) == one.hidden and len(counts) == 1:
                    places = torch.tensor([sorted(columns[number]) for number in range(one.hidden)])
                    weight = self.model.get_parameter(name)
                    for k in range(places.shape[1]):
                        one.feeds.append(Column(name, weight, places[:, k]))

    def rows_of(self, group):
        """(parameter, its rows) that belong to the group's units, and biases of its linear layers."""
        found = []
        for one, number in group.units:
            rows = one.rows_of(torch.tensor([number])).tolist()
            found += [(self.names[name], rows) for name in one.rows]
        for name, dim, index in group.slices:
            if self.puts_out(name, dim) and self.owner(name)[0].bias is not None:
                found.append((self.names[f"{name.removesuffix('weight')}bias"], [index]))
        return found

    def check(self, readers):
        """Raise InputError where what somebody says of who reads whom is not what was found."""
        for source, entries in (readers or {}).items():
            own = [one for one in self.units.values() if one.module == source]
            if not own:
                raise InputError(f"readers: the example reaches no recurrent module {source!r}")
            said = {entry if isinstance(entry, str) else entry[0] for entry in entries}
            seen = set()
            for one in own:
                for number in range(one.hidden):
                    names = [name for name, dim, _ in self.of[one, number].readers if dim == 1]
                    seen |= {name.rpartition(".")[0] for name in names}
            seen.discard(source)
            if said - seen:
                raise InputError(f"readers: {sorted(said - seen)[0]!r} does not read {source!r} when the example is run")
            if seen - said:
                raise InputError(f"readers: {sorted(seen - said)[0]!r} reads {source!r} too when the example is run; name it")

    def why_not(self, one):
        """Why no unit of a layer can go, in words; None where some can."""
        groups = {self.of[one, number] for number in range(one.hidden)}
        slot = self.mixed.get(Site("unit", one.module, one.layer, one.direction))
        if slot is None:
            if all(group.fixed for group in groups):
                return f"no unit of {one.place} can go: {next(iter(groups)).fixed}; leave it as it is with modules=[...]"
            if len(groups) == 1 and one.hidden > 1:
                return f"the units of {one.place} can only go all together; leave it as it is with modules=[...]"
            return None
        words, place = blame(self.probe, Site("unit", one.module, one.layer, one.direction))
        where = f" ({place!r})" if place else ""
        return (
            f"the units of {one.place} are mixed with each other by {words or 'what stands behind them'}{where}: move it "
            "behind a linear layer, or leave this layer as it is with modules=[...]"
        )

    def table(self):
        """Rows for people: (units, what reads them, goes together with)."""
        rows = []
        for one in self.units.values():
            readers, together = {}, {}
            for number in range(one.hidden):
                group = self.of[one, number]
                for one_slice in group.slices:
                    name, dim, index = one_slice
                    told = readers if one_slice in group.readers else together
                    told.setdefault(f"{name}, dim {dim}", set()).add(index)
                for other, _ in group.units:
                    if other is not one:
                        together.setdefault(other.place, set()).add(number)
                for (place, row), dim, index in group.outputs:
                    told = f"output {place}" + ("" if row is None else f", state {row}")
                    readers.setdefault(f"{told}, dim {dim}", set()).add(index)
            rows.append((one.place, one.hidden, _told(readers), self.why_not(one) or _told(together)))
        return rows

    def __str__(self):
        lines = []
        for place, hidden, readers, together in self.table():
            lines.append(f"{place}: {hidden} units")
            lines.append(f"  read by: {readers or 'nobody in the model'}")
            if together:
                lines.append(f"  together with: {together}")
        return "\n".join(lines)


def _dotted(module, name):
    return f"{module}.{name}" if module else name


def _told(places):
    told = []
    for name, indices in places.items():
        low, high = min(indices), max(indices)
        span = f"{low}" if low == high else f"{low} to {high}"
        told.append(f"{name}, {span}" + ("" if high - low + 1 == len(indices) else f" ({len(indices)} of them)"))
    return "; ".join(told)


def readers(model, example):
    """What reads the hidden units of a model, found out by running it: prints as a table.

    example: its inputs: a tensor, a tuple of them (several arguments), a dict (by name), or a function from (batch, time) to
    one of these.  Raises: InputError if the model cannot be run on it, or does not give the same every time.
    """
    found = Found(model, example)
    if not found.units:
        raise InputError(f"{type(model).__name__} runs no nn.RNN, nn.GRU, nn.LSTM or cell on this example")
    return found
