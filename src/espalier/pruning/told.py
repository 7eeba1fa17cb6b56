"""Shrinking where somebody says who reads whom: what is dead by the weights alone, and the smaller modules."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from espalier.errors import InputError
from espalier.pruning.life import Life
from espalier.pruning.same import WIDTHS
from espalier.pruning.units import all_units, check_readers, refuse_unusual


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


class Shrinking:
    """What is to be done about the recurrent modules of a model whose readers are told: `plan`, and `build`.  folds: as `Life`
    has it.
    """

    def __init__(self, model, readers, folds):
        self.model = model
        self.readers = check_readers(model, readers)
        self.nodes = all_units(model, self.readers)
        self.owners = {one.module: one.owner for one in self.nodes}
        named = set(self.readers)
        self.free = {one: one.projected or one.module in named for one in self.nodes}
        involved = {name for one in self.nodes for name in (*one.rows, *(column.name for column in one.feeds))}
        refuse_unusual(model, involved)
        life = Life(self.nodes, self.free, folds)
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
            adopt(small.get_submodule(name), fresh)
        for source, readers in self.readers.items():
            for reader, copies in readers:
                if isinstance(modules[reader], nn.Linear):
                    adopt(small.get_submodule(reader), self._linear(modules[reader], source, copies, offsets))
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
        return fresh

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
        return fresh


def _pick(values, rows, columns=None):
    """Rows (and columns) of a tensor by number, zeros for -1."""
    if columns is None:
        return F.pad(values, (0, 1))[rows]
    return F.pad(values, (0, 1, 0, 1))[rows][:, columns]


def adopt(module, fresh):
    """Give a module the parameters and widths of another of its type: its hooks, and what else it holds, stay."""
    for name, parameter in fresh.named_parameters(recurse=False):
        setattr(module, name, parameter)
    for name in WIDTHS:
        if hasattr(fresh, name):
            setattr(module, name, getattr(fresh, name))
