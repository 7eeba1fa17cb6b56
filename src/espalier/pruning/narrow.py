"""Removes groups of channels that are dead: slices of parameters, and what modules know of their widths."""

import copy

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning.attention import narrow_query
from espalier.pruning.found import Found
from espalier.pruning.life import moved_by_bias
from espalier.pruning.units import CANDIDATE, RECURRENT


class Narrow:
    """What `shrink` would do with what was found: `removed`, a list of groups; `keep`, (module, layer, direction) -> numbers of
    the units that stay; `lines`, for people.

    folds: whether constants other than zero go into biases.  Raises: InputError if all units of a layer are dead.
    """

    def __init__(self, found: Found, folds=True):
        self.found, self.model, self.folds = found, found.model, folds
        self.parameters = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        for name, (place, first, last) in found.views.items():
            self.parameters[name] = self.parameters[place].detach()[first:last]
        self.silent = self._silent()
        self.unread = self._unread()
        self.removed = [group for group in found.groups if self._may_go(group)]
        self._level()
        #: (module, layer, direction) -> number of units whose channel is a constant that goes into biases.
        self.folded = self._folded()
        gone = {unit for group in self.removed for unit in group.units}
        self.keep = {
            key: torch.tensor([n for n in range(one.hidden) if (one, n) not in gone]) for key, one in found.units.items()
        }
        self.lines = [f"{one.place}: {len(self.keep[key])} of {one.hidden} units stay" for key, one in found.units.items()]
        for other, count in self._others().items():
            self.lines.append(f"{other}: {count} channels go with them")

    def _folded(self):
        counts = {}
        for group in self.removed:
            if group in self.silent and any(group.constant.get(one, 0.0) for one in group.readers):
                for one, _ in group.units:
                    key = one.module, one.layer, one.direction
                    counts[key] = counts.get(key, 0) + 1
        return counts

    def _others(self):
        """Layers that put out what goes together with units -> how many of their channels."""
        counts = {}
        for group in self.removed:
            for name, dim, _ in group.slices:
                if self.found.puts_out(name, dim):
                    counts[name] = counts.get(name, 0) + 1
        return counts

    # What is dead

    def _silent(self):
        """Groups that are always zero: nothing that moves reaches any of their members."""
        column_of = {}
        for group in self.found.groups:
            for one in group.readers:
                column_of[one] = group
        moved, changed = set(), True
        while changed:
            changed = False
            for group in self.found.groups:
                if group not in moved and self._moves(group, column_of, moved):
                    moved.add(group)
                    changed = True
        return {group for group in self.found.groups if group not in moved}

    def _moves(self, group, column_of, moved):
        def reached(name, rows):
            weight = self.parameters[name].detach().cpu()[rows]
            weight = weight.reshape(len(rows), weight.shape[1], -1).abs().sum(2).sum(0)
            for index in torch.nonzero(weight).flatten().tolist():
                key = (self.found.first(name), 1, index)
                source = column_of.get(key)
                if source is None or source in moved or source.constant.get(key, 0.0) != 0:
                    return True
            return False

        for one, number in group.units:
            first = CANDIDATE[one.gates] * one.hidden
            gate = slice(first, first + one.hidden)
            if moved_by_bias(one, gate)[number]:
                return True
            rows = torch.tensor([first + number])
            if reached(one.name("weight_ih"), rows) or (
                bool(one.get("weight_hh").detach()[rows].any()) if one.projected else reached(one.name("weight_hh"), rows)
            ):
                return True
        for name, dim, index in group.slices:
            owner, short = self.found.owner(name)
            if self.found.puts_out(name, dim):
                bias = owner.bias
                if (bias is not None and bias[index] != 0) or reached(name, torch.tensor([index])):
                    return True
            elif self._stands(owner, short, name, dim) and self.parameters[name].select(dim, index).any():
                return True
        return False

    def _stands(self, owner, short, name, dim):
        """Whether a slice is a channel by itself: of an embedding, or of a parameter that is added to something."""
        if isinstance(owner, nn.Embedding):
            return short == "weight"
        known = type(owner) in (*RECURRENT, nn.Linear, nn.Conv1d, nn.BatchNorm1d)
        return not known and (name, dim) not in self.found.probe.summed

    def _unread(self):
        """Groups that nothing reads but what goes too."""
        unread, changed = set(), True
        while changed:
            changed = False
            gone_rows = {}
            for group in (*self.silent, *unread):
                for name, rows in self.found.rows_of(group):
                    gone_rows.setdefault(name, set()).update(rows)
                for name, dim, index in group.slices:
                    if dim == 0:
                        gone_rows.setdefault(name, set()).add(index)
            for group in self.found.groups:
                if group in unread or group.outputs or group.summed:
                    continue
                gone = {name: set(rows) for name, rows in gone_rows.items()}
                for name, rows in self.found.rows_of(group):
                    gone.setdefault(name, set()).update(rows)
                if all(self._empty(one, gone.get(one[0], ())) for one in group.readers):
                    unread.add(group)
                    changed = True
        return unread

    def _empty(self, reader, gone):
        """Whether a column holds zeros, but for rows that are gone."""
        name, dim, index = reader
        column = self.parameters[name].detach().select(dim, index)
        rows = torch.nonzero(column.reshape(len(column), -1).abs().sum(1)).flatten().tolist()
        return all(row in gone for row in rows) if dim == 1 else not rows

    def _may_go(self, group):
        if group.fixed:
            return False
        if group in self.unread and (group in self.silent or not group.outputs):
            return True
        if group not in self.silent:
            return False
        if group.inputs:  # a start that is given may be other than zero, and then lives on
            return all(self._empty(one, ()) for one in group.readers)
        return all(self._folds(one, value) for one, value in group.constant.items() if one in group.readers)

    def _folds(self, reader, value):
        """Whether a constant in a column can go into the bias of its layer."""
        owner, _ = self.found.owner(reader[0])
        if value == 0:
            return True
        if value != value or not self.folds:
            return False
        if isinstance(owner, nn.Conv1d):
            return not any(owner.padding) if not isinstance(owner.padding, str) else owner.padding == "valid"
        return isinstance(owner, nn.Linear) or (type(owner) in RECURRENT and bool(owner.bias))

    def _level(self):
        """Keep as many units in every layer and direction of a module: it has one hidden size."""
        changed = True
        while changed:
            changed = False
            gone = {}
            for group in self.removed:
                for one, _ in group.units:
                    gone.setdefault(one, []).append(group)
            for one in self.found.units.values():
                if len(gone.get(one, ())) == one.hidden:
                    raise InputError(f"all {one.hidden} units of {one.place} are dead; a layer needs at least one")
            for one in self.found.units.values():
                mates = [other for other in self.found.units.values() if other.module == one.module]
                most = min(len(gone.get(other, ())) for other in mates)
                if one.projected:
                    most = min(most, one.hidden - one.owner.proj_size - 1)
                for group in reversed(gone.get(one, ())[max(most, 0) :]):
                    if group in self.removed:
                        self.removed.remove(group)
                        changed = True
                if changed:
                    break

    # What is left

    @torch.no_grad()
    def build(self):
        """A copy of the model without what was removed."""
        small = copy.deepcopy(self.model)
        gone, added = {}, {}  # (parameter, dimension) -> indices; parameter (of a bias) -> what constants add
        for group in self.removed:
            for name, rows in self.found.rows_of(group):
                gone.setdefault((name, 0), set()).update(rows)
            for name, dim, index in group.slices:
                gone.setdefault((name, dim), set()).add(index)
            for (name, dim, index), value in group.constant.items():
                if value and (name, dim, index) in group.readers and group in self.silent:
                    column = self.parameters[name].detach().double().select(1, index)
                    if not column.any():
                        continue
                    added[name] = added.get(name, 0) + value * column.reshape(len(column), -1).sum(1)
        aliases = {}
        for name in self.found.names:
            aliases.setdefault(self.found.first(name), []).append(name)
        for name, values in added.items():
            self._add(small, name, values, gone, aliases)
        for first, names in aliases.items():
            dims = {dim: indices for (name, dim), indices in gone.items() if name == first}
            if dims and first not in self.found.views:
                self._cut(small, names, dims)
        self._unpack(small, gone)
        self._tell_widths(small)
        return small

    def _add(self, small, name, values, gone, aliases):
        """Add what constants give to the bias beside a weight, which gets one where it has none."""
        place, _, short = name.rpartition(".")
        target, short = small.get_submodule(place), short.replace("weight", "bias", 1)
        values = values.to(self.parameters[name].dtype)
        if getattr(target, short) is not None:
            getattr(target, short).add_(values)
            return
        setattr(target, short, nn.Parameter(values))
        bias = f"{place}.{short}" if place else short
        aliases[bias] = [bias]
        if (name, 0) in gone:
            gone[bias, 0] = gone[name, 0]

    def _unpack(self, small, gone):
        """Give attention that reads narrower keys or values weights for each of the three; let it take a narrower query."""
        for name, (place, first, _) in self.found.views.items():
            if (name, 1) not in gone:
                continue
            path = place.rpartition(".")[0]
            if name.endswith("#query"):
                narrow_query(small.get_submodule(path), gone[name, 1])
                continue
            module, packed = small.get_submodule(path), self.model.get_submodule(path).in_proj_weight
            if module._qkv_same_embed_dim:
                parts = packed.detach().chunk(3)
                for short, part in zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), parts):
                    setattr(module, short, nn.Parameter(part.clone(), packed.requires_grad))
                module.in_proj_weight, module._qkv_same_embed_dim = None, False
            short = "k_proj_weight" if first == module.embed_dim else "v_proj_weight"
            self._cut(small, [f"{path}.{short}" if path else short], {1: gone[name, 1]})

    def _cut(self, small, names, dims):
        place, _, short = names[0].rpartition(".")
        old = getattr(small.get_submodule(place), short)
        values = old.detach()
        for dim, indices in dims.items():
            stay = [k for k in range(values.shape[dim]) if k not in indices]
            values = values.index_select(dim, torch.tensor(stay, dtype=torch.long, device=values.device))
        fresh = nn.Parameter(values.clone(), old.requires_grad) if isinstance(old, nn.Parameter) else values.clone()
        for name in names:
            place, _, short = name.rpartition(".")
            setattr(small.get_submodule(place), short, fresh)
            small.get_submodule(place)._non_persistent_buffers_set.discard(short)  # nobody makes it anew at this width

    def _tell_widths(self, small):
        """Set what torch's layers know of their own widths."""
        for name, old in self.model.named_modules():
            module = small.get_submodule(name)
            if type(module) is nn.Linear:
                module.out_features, module.in_features = module.weight.shape
            elif type(module) is nn.Conv1d and module.groups == 1:
                module.out_channels, module.in_channels = module.weight.shape[:2]
            elif isinstance(module, nn.MultiheadAttention) and not module._qkv_same_embed_dim:
                module.kdim, module.vdim = module.k_proj_weight.shape[1], module.v_proj_weight.shape[1]
            elif type(module) is nn.Embedding:
                module.embedding_dim = module.weight.shape[1]
            elif type(module) is nn.BatchNorm1d and module.running_mean is not None:
                module.num_features = len(module.running_mean)
            elif type(module) in RECURRENT:
                weight = getattr(module, "weight_ih" if isinstance(module, nn.RNNCellBase) else "weight_ih_l0")
                module.input_size = weight.shape[1]
                module.hidden_size = len(weight) // (self._rows(old) // old.hidden_size)

    @staticmethod
    def _rows(module):
        return len(getattr(module, "weight_ih" if isinstance(module, nn.RNNCellBase) else "weight_ih_l0"))
