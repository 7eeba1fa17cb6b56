"""Who reads whom, found out by running a model: groups of channels that can only go together.

A group holds hidden units, and slices of parameters along a dimension: the columns that read the units, and the rows of
whatever else puts out the same channels (what is added to them, an embedding that is tied to its reader, a learned start).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning.blame import blame
from espalier.pruning.layers import Site
from espalier.pruning.reaches import Reaches
from espalier.pruning.selection import refuse_compiled
from espalier.pruning.units import RECURRENT, Column


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


class Found(Reaches):
    """What was found of a model: `units`, a list of `Units` with what reads them; `groups`, every `Group` that holds a unit or
    a linear layer's channel, in order; `of`, (Units, number) -> group.

    Raises: InputError if the model cannot be run on the example, or not be trusted to give the same again.
    """

    def __init__(self, model, example):
        refuse_compiled(model)
        super().__init__(model, example)
        self.groups, self.of = self._make_groups()
        self._feed()

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
        if isinstance(owner, nn.MultiheadAttention):
            return dim == 1
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
                    if dim == 1 and name not in own and name not in self.views:
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

    def mask_of(self, masks, name):
        """The part of the masks, one per parameter, that speaks of a parameter or of some of its rows; None of a buffer."""
        place, first, last = self.views.get(name, (name, None, None))
        if place not in masks:
            known = dict(self.model.named_parameters())
            if place not in known:
                return None
            masks[place] = torch.ones(known[place].shape, dtype=torch.bool)
        return masks[place][first:last]

    def check(self, readers):
        """Raise InputError where what somebody says of who reads whom is not what was found."""
        if readers is not None and not isinstance(readers, Mapping):
            raise InputError(
                f'readers must be lists of names by the name of what they read, {{"rnn": ["head"]}}, got {readers!r}'
            )
        for source, entries in (readers or {}).items():
            if not isinstance(entries, (list, tuple)):
                raise InputError(f"readers[{source!r}] must be a list of names, got {entries!r}")
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

    @property
    def nothing(self):
        """Why there are no units, in words."""
        recurrent = {name: module for name, module in self.model.named_modules() if isinstance(module, RECURRENT)}
        strange = [name for name, module in recurrent.items() if type(module) not in RECURRENT]
        if strange:
            kind = type(recurrent[strange[0]]).__name__
            return f"{strange[0]!r} is a {kind}, a subclass that may compute something else"
        return f"{type(self.model).__name__} runs no nn.RNN, nn.GRU, nn.LSTM or cell on this example"

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
        raise InputError(found.nothing)
    return found
