"""Shrink: remove dead hidden units physically. The smaller network is the same function."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from espalier.errors import InputError
from espalier.pruning.chains import ShrunkChains, find_chains
from espalier.pruning.found import Found
from espalier.pruning.life import Life
from espalier.pruning.narrow import Narrow
from espalier.pruning.running import kept_states, maker
from espalier.pruning.same import Beside, adapt, widths_of, without
from espalier.pruning.selection import refuse_compiled
from espalier.pruning.units import all_units, check_readers, recurrent_modules, refuse_unusual, split_readers


@dataclass
class Plan:
    """What `shrink` would do.

    keep: (module, layer, direction) -> numbers of the units that stay, in order; hidden: module -> its new hidden size;
    folded: (module, layer, direction) -> number of units whose constant output goes into the biases of its readers.
    """

    keep: dict
    hidden: dict
    folded: dict
    lines: list

    def __str__(self):
        return "\n".join(self.lines)


@torch.no_grad()
def plan(model, readers=None, example=None):
    """The `Plan` of shrinking a model; the model stays as it is. Arguments and errors as for `shrink`."""
    return _plan_of(*_works(model, readers)) if example is None else _narrowing(model, readers, example)[1]


@torch.no_grad()
def shrink(model, readers=None, say=print, example=None):
    """A new model without the dead hidden units of its RNN, GRU and LSTM modules, any depth, both directions, and their cells;
    and without those of chains of `nn.Linear` in an `nn.Sequential` with element-wise functions between them.

    A unit is dead if nothing that lives reads it, if its output is always zero (from the zero state that torch starts with), or
    if it is a constant (of an RNN: no incoming weights) that can be folded into the biases that follow. What lives
    computes what it did before: outputs and final states of the units that stay are the same up to rounding.

    model: stays as it is. Its modules keep their types: a multi-layer `nn.LSTM` has one hidden size, so that a layer which
    keeps fewer units than another is filled up with zero units; with a projection at least `proj_size + 1` stay.
    readers: which modules read the output of each recurrent module, by names: `{"rnn": ["head"]}`; `[]`: nobody in the model,
    so that the output itself gets narrower. A linear layer that reads the output several times side by side (a flattened
    sequence): `("head", copies)`. Of a chain: `{"mlp.0": ["mlp.2"]}`. Modules that are not named stay as wide as they are. Our
    own models, and a model that is itself an RNN or an `nn.Sequential` of linear layers, need none.
    say: called with a line per layer before anything is removed; None: nothing.
    example: the model's inputs: a tensor, a tuple (several arguments), a dict (by name), or a function from (batch, time) to
    one of these. With it readers are found by running the model (`espalier.readers`), and `readers` are checked against it.

    Returns: a model of the same class, of plain torch modules; its `kept` says which units stay, as in a `Plan`. It was run
    beside the large one on inputs of several shapes where these can be made: from the example, or what the first module takes.
    Raises: InputError if it is another function, all units of a layer are dead, a reader is missing or impossible, parameters
    are shared (but with an example) or on the meta device.
    """
    if example is not None:
        return _shrink_found(model, readers, say or _silent, example)
    chains, work = _works(model, readers)
    planned = _plan_of(chains, work)
    for line in planned.lines if say else ():
        say(line)
    small = work.build() if work else model
    small = chains.build(small) if chains else small
    _compare(model, small, planned, say or _silent)
    small.kept = planned.keep
    return small


def _silent(line):
    pass


def _narrowing(model, readers, example):
    """(`Narrow`, its `Plan`) of a model whose readers are found by running it."""
    refuse_compiled(model)
    refuse_unusual(model, [name for name, one in model.named_parameters() if one.is_meta])
    found = Found(model, example)
    found.check(readers)
    narrow = Narrow(found)
    hidden = {key[0]: len(units) for key, units in narrow.keep.items()}
    return narrow, Plan(narrow.keep, hidden, {}, narrow.lines)


def _refuse_states(model):
    """Raise InputError where a model keeps a state, as wide as its units, that it would go on from."""
    widths = {module.hidden_size for module in recurrent_modules(model).values()}
    for name, held in kept_states(model):
        if any(one.dim() and one.shape[-1] in widths for one in held):
            raise InputError(f"{type(model).__name__} keeps a state in {name}, as wide as its units: reset it (to None) first")


def _shrink_found(model, readers, say, example):
    _refuse_states(model)
    beside = Beside(model, example)
    narrow, planned = _narrowing(model, readers, example)
    for line in planned.lines:
        say(line)
    small, inputs, outputs = narrow.build(), {}, {}
    for group in narrow.removed:
        for what, nodes in ((inputs, group.inputs), (outputs, group.outputs)):
            for number, dim, index in nodes:
                what.setdefault((number, dim), set()).add(index)

    def narrowed(number, large, _):
        return without(large, number, outputs)

    def differs():
        try:
            return beside.difference(small, inputs, narrowed)[0] > beside.tolerance
        except InputError:
            return True

    for what, narrower in (("input", inputs), ("output", outputs)):
        for number, gone in {number: len(gone) for ((number, _), _), gone in narrower.items()}.items():
            say(f"{what} {number} gets narrower by {gone}")
    adapted, left = adapt(small, widths_of(model, small), differs)
    for told, names in (("set to the new width", adapted), ("equal to an old width, left as it is", left)):
        if names:
            say(f"{told}: {', '.join(names)}")
    _refuse_other(beside, *beside.difference(small, inputs, narrowed))
    difference, _ = beside.difference(small, inputs, narrowed)
    places = [name.rpartition(".") for name in adapted]
    small.adapted = {
        ".".join(filter(None, (place, name))): getattr(small.get_submodule(place), name) for place, _, name in places
    }
    say(f"equal to {difference:.1e} on {len(beside.expected)} inputs of {beside.shapes} shapes")
    small.kept = planned.keep
    return small


def _compare(model, small, planned, say):
    """Run both on inputs that can be made without an example; where none can, say that it was not checked.

    Raises: InputError if they differ.
    """
    try:
        make = maker(model)
        beside = Beside(model, lambda batch, time: make(batch, time))
    except InputError:
        say("not checked: what it takes is not known, say example=...; it is assumed that between its layers and their readers")
        say("  nothing stands but element-wise functions that keep zero at zero")
        return
    _refuse_other(beside, *beside.difference(small, None, lambda *outputs: _narrowed(model, small, planned, *outputs)))


def _refuse_other(beside, difference, place):
    if difference > beside.tolerance:
        raise InputError(
            f"the smaller network would be another function: its output {place} differs by {difference:.1e} (what it reads "
            "decides what is removed: say example=..., or other readers); nothing is returned"
        )


def _narrowed(model, small, planned, number, large, ours):
    """An output of the large network as the smaller one should give it, by the recurrent module that gets as much narrower;
    where a layer is filled up, NaN.
    """
    candidates = [large] if large.shape == ours.shape else []
    for name, module in recurrent_modules(model).items() if large.dim() == ours.dim() > 0 else ():
        new = small.get_submodule(name)
        layers = sorted(key for key in planned.keep if key[0] == name)
        top = [key for key in layers if key[1] == layers[-1][1]]
        blank = torch.full(ours.shape, torch.nan, dtype=large.dtype)
        if large.shape[-1] == len(top) * module.hidden_size and ours.shape[-1] == len(top) * new.hidden_size:
            whole = blank.clone()
            for place, key in enumerate(top):
                first, units = place * new.hidden_size, planned.keep[key]
                whole[..., first : first + len(units)] = large[..., place * module.hidden_size + units]
            candidates.append(whole)
        stacked = large.dim() > 1 and len(large) == len(layers)
        if stacked and large.shape[-1] == module.hidden_size and ours.shape[-1] == new.hidden_size:
            for place, key in enumerate(layers):
                units = planned.keep[key]
                blank[place, ..., : len(units)] = large[place, ..., units]
            candidates.append(blank)
    return min(candidates, key=lambda one: float((one - ours).abs().nan_to_num().max()) if one.numel() else 0.0, default=large)


def _works(model, readers):
    """What is to be done about chains of linear layers, and about recurrent modules; None where there are none.

    The two do not touch each other: a chain begins with the rows of what reads recurrent units.
    """
    refuse_compiled(model)
    readers, linear = split_readers(model, readers)
    found = find_chains(model, linear)
    refuse_unusual(model, {name for one in found for name in (*one.rows, *(column.name for column in one.feeds))})
    chains = ShrunkChains(found) if found else None
    return chains, None if chains and not recurrent_modules(model) else _Shrinking(model, readers)


def _plan_of(chains, work):
    """One `Plan` of both."""
    found = work.plan if work else Plan({}, {}, {}, [])
    if chains:
        keep = {(name, 0, 0): units for name, units in chains.keep.items()}
        folded = {(name, 0, 0): count for name, count in chains.folded.items() if count}
        hidden = {name: len(units) for name, units in chains.keep.items()}
        found = Plan(found.keep | keep, found.hidden | hidden, found.folded | folded, [*found.lines, *chains.lines])
    return found


class _Shrinking:
    def __init__(self, model, readers):
        self.model = model
        self.readers = check_readers(model, readers)
        self.nodes = all_units(model, self.readers)
        self.owners = {one.module: one.owner for one in self.nodes}
        named = set(self.readers)
        self.free = {one: one.projected or one.module in named for one in self.nodes}
        involved = {name for one in self.nodes for name in (*one.rows, *(column.name for column in one.feeds))}
        refuse_unusual(model, involved)
        life = Life(self.nodes, self.free)
        self.moved, self.constant, self.live = life.moved, life.constant, life.live
        self.plan = self._plan()

    def _plan(self):
        keep, hidden, folded, lines = {}, {}, {}, []
        for one in self.nodes:
            key = one.module, one.layer, one.direction
            stays = torch.ones(one.hidden, dtype=torch.bool)
            if self.free[one]:
                stays = self.live[one] & self.moved[one] & self.constant[one].isnan()
                folds = self.live[one] & ~self.constant[one].isnan()
                if folds.any():
                    folded[key] = int(folds.sum())
            keep[key] = torch.nonzero(stays).flatten()
        for name, module in self.owners.items():
            own = {key: units for key, units in keep.items() if key[0] == name}
            for layer in sorted({key[1] for key in own}, reverse=True):
                if not any(len(units) for key, units in own.items() if key[1] == layer):
                    place = next(one.place for one in self.nodes if (one.module, one.layer) == (name, layer))
                    raise InputError(f"all {module.hidden_size} units of {place} are dead; a layer needs at least one")
            projected = getattr(module, "proj_size", 0)
            hidden[name] = max(1, projected + 1 if projected else 1, *map(len, own.values()))
        for one in self.nodes:
            key = one.module, one.layer, one.direction
            line = f"{one.place}: {len(keep[key])} of {one.hidden} units stay"
            line += f", {folded[key]} constants go into biases" if key in folded else ""
            filled = hidden[one.module] - len(keep[key])
            line += f", filled up to {hidden[one.module]} as the module has one hidden size" if filled else ""
            lines.append(line)
        return Plan(keep, hidden, folded, lines)

    # What is left

    def kept(self, one):
        """Numbers of the units at the places of the new layer; -1 for a zero unit that fills it up."""
        units = self.plan.keep[one.module, one.layer, one.direction]
        return F.pad(units, (0, self.plan.hidden[one.module] - len(units)), value=-1)

    def build(self):
        small = copy.deepcopy(self.model)
        modules = dict(self.model.named_modules())
        offsets = self._offsets()
        for name, module in self.owners.items():
            fresh = self._recurrent(name, module, [one for one in self.nodes if one.module == name], offsets)
            small = _put(small, name, fresh)
        for source, readers in self.readers.items():
            for reader, copies in readers:
                if isinstance(modules[reader], nn.Linear):
                    small = _put(small, reader, self._linear(modules[reader], source, copies, offsets))
        return small

    def _offsets(self):
        """What constants add to the biases of their readers: parameter or linear layer -> vector."""
        offsets = {}
        for one in self.nodes:
            values = self.constant[one].nan_to_num()
            if not values.any():
                continue
            for column in one.feeds:
                if column.reader is one:
                    continue
                part = column.weight.detach()[:, column.first : column.first + one.hidden]
                key = id(column.reader.get("bias_ih") if column.reader else column.linear)
                offsets[key] = offsets.get(key, 0) + part @ values.to(part.device, part.dtype)
        return offsets

    def _recurrent(self, name, module, nodes, offsets):
        hidden, weight = self.plan.hidden[name], nodes[0].get("weight_ih")
        first = [one for one in nodes if one.layer == 0]
        inputs = len(self._inputs(first[0]))
        own = {"bias": module.bias, "device": weight.device, "dtype": weight.dtype}
        if isinstance(module, (nn.RNN, nn.RNNCell)):
            own["nonlinearity"] = module.nonlinearity
        if isinstance(module, nn.RNNBase):
            own |= {name: getattr(module, name) for name in ("num_layers", "batch_first", "dropout", "bidirectional")}
        if isinstance(module, nn.LSTM):
            own["proj_size"] = module.proj_size
        fresh = type(module)(inputs, hidden, **own)
        for one in nodes:
            units = self.kept(one)
            rows = torch.cat([torch.where(units < 0, -1, gate * one.hidden + units) for gate in range(one.gates)])
            states = torch.arange(one.get("weight_hh").shape[1]) if one.projected else units
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"):
                old = one.get(kind)
                if old is None:
                    continue
                values = old.detach() + offsets[id(old)] if id(old) in offsets else old.detach()
                columns = {"weight_ih": self._inputs(one), "weight_hh": states, "weight_hr": units}.get(kind)
                picked = torch.arange(len(old)) if kind == "weight_hr" else rows
                parameter = getattr(fresh, f"{kind}{one.suffix}")
                parameter.copy_(_pick(values, picked, columns))
                parameter.requires_grad_(old.requires_grad)
        return fresh.train(module.training)

    def _inputs(self, one):
        """Columns of `weight_ih` that stay, -1 for zero ones."""
        if not one.sources:
            return torch.arange(one.get("weight_ih").shape[1])
        parts = [(first, self.kept(source)) for source, first in one.sources]
        parts.sort(key=lambda part: part[0])
        return torch.cat([torch.where(units < 0, -1, first + units) for first, units in parts])

    def _linear(self, module, source, copies, offsets):
        owner = next(one.owner for one in self.nodes if one.module == source)
        last = max(one.layer for one in self.nodes if one.module == source)
        top = [one for one in self.nodes if one.module == source and one.layer == last]
        width = sum(one.hidden for one in top)
        if getattr(owner, "proj_size", 0):
            return copy.deepcopy(module)
        columns = [
            torch.where(self.kept(one) < 0, -1, k * width + one.direction * one.hidden + self.kept(one))
            for k in range(copies)
            for one in top
        ]
        fold = offsets.get(id(module))
        columns = torch.cat(columns)
        weight = module.weight
        fresh = nn.Linear(
            len(columns), module.out_features, bias=module.bias is not None or fold is not None, device=weight.device,
            dtype=weight.dtype,
        )  # fmt: skip
        fresh.weight.copy_(_pick(weight.detach(), torch.arange(len(weight)), columns))
        fresh.weight.requires_grad_(weight.requires_grad)
        if fresh.bias is not None:
            fresh.bias.copy_((module.bias.detach() if module.bias is not None else 0) + (0 if fold is None else fold))
            fresh.bias.requires_grad_(module.bias is None or module.bias.requires_grad)
        return fresh.train(module.training)


def _pick(values, rows, columns=None):
    """Rows (and columns) of a tensor by number, zeros for -1."""
    if columns is None:
        return F.pad(values, (0, 1))[rows]
    return F.pad(values, (0, 1, 0, 1))[rows][:, columns]


def _put(model, name, module):
    """Put a module in the place `name` of a model; returns the model, which is the module itself for the empty name."""
    if not name:
        return module
    parent, _, short = name.rpartition(".")
    setattr(model.get_submodule(parent), short, module)
    return model
