"""Hidden units: which rows and columns belong to them, who reads them, which are dead."""

import numbers
from dataclasses import dataclass, field

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning import reparametrised
from espalier.pruning.selection import refuse_compiled

RECURRENT = (nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell)
#: What treats every number on its own, in whatever mode.
ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Tanh, nn.Sigmoid,
    nn.LogSigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softsign, nn.Tanhshrink, nn.Identity, nn.Dropout,
)  # fmt: skip
#: Number of gates -> the gate whose pre-activation of zero keeps a unit's output at zero, from a zero state: the only one;
#: n of r, z, n; g of i, f, g, o.
CANDIDATE = {1: 0, 3: 2, 4: 2}


@dataclass(eq=False)
class Units:
    """The hidden units of one direction of one layer of a recurrent module.

    module: its name in the model; layer, direction: numbers; owner: the module; suffix: of its parameters' names.
    feeds: what reads the units, as `Column`s; sources: the units that stand in the columns of `weight_ih`, as
    (units, first column), empty where the input comes from elsewhere.
    """

    module: str
    owner: nn.Module
    layer: int
    direction: int
    suffix: str
    feeds: list = field(default_factory=list)
    sources: list = field(default_factory=list)

    def name(self, kind):
        """Full name of a parameter of this layer: kind such as `weight_ih`."""
        return f"{self.module}.{kind}{self.suffix}" if self.module else f"{kind}{self.suffix}"

    def get(self, kind):
        """A parameter of this layer, or None."""
        return getattr(self.owner, f"{kind}{self.suffix}", None)

    @property
    def hidden(self):
        return self.owner.hidden_size

    @property
    def incoming(self):
        """The weights that have the units' gates stacked in their rows."""
        return [self.get(kind) for kind in ("weight_ih", "weight_hh")]

    @property
    def own(self):
        """What the units tell each other, or None where a projection stands between."""
        return None if self.projected else self.get("weight_hh")

    @property
    def projected(self):
        return getattr(self.owner, "proj_size", 0) > 0

    @property
    def gates(self):
        return self.get("weight_ih").shape[0] // self.hidden

    @property
    def rows(self):
        """Names of the parameters that have the units' gates stacked in their rows."""
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [self.name(kind) for kind in kinds if self.get(kind) is not None]

    @property
    def place(self):
        """For people: `rnn, layer 1, reverse`."""
        told = [self.module or type(self.owner).__name__]
        if isinstance(self.owner, nn.RNNBase):
            told.append(f"layer {self.layer}")
        return ", ".join([*told, *(["reverse"] if self.direction else [])])

    def rows_of(self, units):
        """Rows of the given units (an index tensor) in every gate."""
        return (torch.arange(self.gates)[:, None] * self.hidden + units).flatten()


@dataclass(eq=False)
class Column:
    """Where units are read: columns `first` to `first + hidden` of a weight, or the column of each unit (a tensor).

    name: of the weight; weight: the parameter; reader: the `Units` whose rows read, or linear: the linear layer; of a
    projection neither.
    """

    name: str
    weight: nn.Parameter
    first: int | torch.Tensor
    reader: Units | None = None
    linear: nn.Module | None = None

    def of(self, units):
        """Columns of the given units (an index tensor)."""
        return self.first + units if isinstance(self.first, int) else self.first[units]


def recurrent_modules(model):
    """Name -> recurrent module, in their order; one that appears twice comes once."""
    return {name: module for name, module in model.named_modules() if isinstance(module, RECURRENT)}


def sequential_readers(model):
    """Who reads whom in an `nn.Sequential`: name of an `nn.Linear` -> [name of the next], where it is a chain."""
    found, source = {}, None
    for name, module in model.named_children():
        if type(module) is nn.Linear:
            if source is not None:
                found[source] = [name]
            source = name
        elif type(module) not in ELEMENTWISE:
            source = None
    return found


def known_readers(model):
    """Who reads whom, as far as the model says so: by an attribute `readers` (a dict), also of a submodule; or None."""
    found = {}
    for prefix, module in model.named_modules():
        own = getattr(module, "readers", None)
        if isinstance(own, dict):
            dot = f"{prefix}." if prefix else ""
            for source, readers in own.items():
                entries = [(entry,) if isinstance(entry, str) else tuple(entry) for entry in readers]
                named = [(dot + name, *copies) for name, *copies in entries]
                found[dot + source] = [one[0] if len(one) == 1 else one for one in named]
    if not found and type(model).forward is nn.Sequential.forward:
        return sequential_readers(model) or None
    return found or ({"": []} if isinstance(model, RECURRENT) else None)


def split_readers(model, readers):
    """(readers of recurrent modules, or None; readers of linear layers), from what was given or the model itself says."""
    readers = known_readers(model) if readers is None else readers
    if not isinstance(readers, dict):
        return readers, {}
    modules = dict(model.named_modules())
    linear = {name: entries for name, entries in readers.items() if isinstance(modules.get(name), nn.Linear)}
    rest = {name: entries for name, entries in readers.items() if name not in linear}
    return rest or (None if linear else readers), linear


def check_readers(model, readers, modules=None):
    """The readers of every recurrent module concerned: name -> list of (name of the reader, copies).

    readers: name -> names; a reader is a name, or (name, copies) for a linear layer that reads the output several times side by
    side, such as a flattened sequence. None: what the model says itself.  modules: the recurrent modules that need readers, by
    default those named in `readers`.

    Raises: InputError naming the candidates where a reader is missing or impossible.
    """
    refuse_compiled(model)
    recurrent = recurrent_modules(model)
    if not recurrent:
        raise InputError(f"{type(model).__name__} holds no nn.RNN, nn.GRU, nn.LSTM or cell module")
    readers = known_readers(model) if readers is None else readers
    if readers is not None and not isinstance(readers, dict):
        raise InputError(f'readers must be a dict such as {{"rnn": ["head"]}}, got {readers!r}')
    for name in modules or readers or recurrent:
        for hidden in reparametrised.hidden(recurrent[name]) if name in recurrent else ():
            reparametrised.refuse(model, name, hidden)
    needed = [name for name in (modules or readers or recurrent) if not getattr(recurrent.get(name), "proj_size", 0)]
    missing = [name for name in needed if readers is None or name not in readers]
    if missing:
        name = missing[0]
        if name not in recurrent:
            raise InputError(f"the model has no recurrent module {name!r}; it has {', '.join(map(repr, recurrent))}")
        told = ", ".join(map(repr, candidates(model, recurrent[name], name))) or "none"
        raise InputError(f"who reads {name!r}? say readers={{{name!r}: [...]}}; modules of a fitting width: {told}")
    readers = readers or {}
    unknown = [name for name in readers if name not in recurrent]
    if unknown:
        raise InputError(f"the model has no recurrent module {unknown[0]!r}; it has {', '.join(map(repr, recurrent))}")
    everything, checked, read_by = dict(model.named_modules()), {}, {}
    for source, names in readers.items():
        if not isinstance(names, (list, tuple)):
            raise InputError(f"readers[{source!r}] must be a list of names, got {names!r}; [] says that nobody reads it")
        checked[source] = []
        for entry in names:
            name, copies = reader_of(source, entry)
            fitting = candidates(model, recurrent[source], source)
            told = f"modules of a fitting width: {', '.join(map(repr, fitting)) or 'none'}"
            if name not in everything:
                raise InputError(f"readers[{source!r}]: the model has no module {name!r}; {told}")
            module = everything[name]
            for hidden in reparametrised.hidden(module):
                reparametrised.refuse(model, name, hidden)
            if not isinstance(module, (nn.Linear, *RECURRENT)):
                raise InputError(
                    f"readers[{source!r}]: {name!r} is {type(module).__name__}; only nn.Linear and recurrent modules can "
                    f"read units; {told}"
                )
            width = output_width(recurrent[source])
            wanted = module.in_features if isinstance(module, nn.Linear) else module.input_size
            if wanted != width * copies:
                raise InputError(
                    f"readers[{source!r}]: {name!r} takes {wanted} inputs, {source!r} gives {width}"
                    + (f", {copies} times" if copies > 1 else "") + f"; {told}"
                )  # fmt: skip
            if name in read_by:
                raise InputError(f"readers: {name!r} reads both {read_by[name]!r} and {source!r}; only one can be")
            read_by[name] = source
            checked[source].append((name, copies))
    return checked


def reader_of(source, entry):
    """(name, copies) of an entry of `readers[source]`: a name, or a pair of both.  Raises: InputError."""
    pair = (entry,) if isinstance(entry, str) else tuple(entry) if isinstance(entry, (list, tuple)) else ()
    name, copies = (*pair, 1) if len(pair) == 1 else pair if len(pair) == 2 else (None, 1)
    whole = isinstance(copies, numbers.Integral) and not isinstance(copies, bool) and copies > 0
    if not isinstance(name, str) or not whole:
        raise InputError(f'readers[{source!r}]: {entry!r} is neither the name of a module nor ("name", copies)')
    return name, int(copies)


def output_width(module):
    """Width of what a recurrent module gives out: hidden or projected units, of both directions."""
    return (getattr(module, "proj_size", 0) or module.hidden_size) * (2 if getattr(module, "bidirectional", False) else 1)


def candidates(model, module, name):
    """Names of the modules that could read this one, by their width."""
    width, found = output_width(module), []
    for other, reader in model.named_modules():
        wanted = getattr(reader, "in_features", None) if isinstance(reader, nn.Linear) else None
        wanted = reader.input_size if isinstance(reader, RECURRENT) else wanted
        if wanted == width and other != name:
            found.append(other)
    return found


def all_units(model, readers):
    """The `Units` of every recurrent module of the model, wired to each other.  readers: as `check_readers` returns them."""
    modules = dict(model.named_modules())
    nodes = {}
    for name, module in recurrent_modules(model).items():
        if type(module) not in RECURRENT or reparametrised.hidden(module):
            if name in readers or any(name == reader for entry in readers.values() for reader, _ in entry):
                raise InputError(f"{name!r} is a {type(module).__name__}, a subclass that may compute something else")
            continue
        if isinstance(module, nn.RNNCellBase):
            nodes[name, 0, 0] = Units(name, module, 0, 0, "")
            continue
        for layer in range(module.num_layers):
            for direction in range(2 if module.bidirectional else 1):
                suffix = f"_l{layer}{'_reverse' if direction else ''}"
                nodes[name, layer, direction] = Units(name, module, layer, direction, suffix)
    for (name, layer, direction), units in nodes.items():
        if units.projected:
            units.feeds.append(Column(units.name("weight_hr"), units.get("weight_hr"), 0))
            continue
        units.feeds.append(Column(units.name("weight_hh"), units.get("weight_hh"), 0, units))
        first = direction * units.hidden
        above = [node for key, node in nodes.items() if key[:2] == (name, layer + 1)]
        for reader in above:
            _read(units, reader, first)
        if above:
            continue
        for other, copies in readers.get(name, ()):
            module, width = modules[other], output_width(units.owner)
            if isinstance(module, nn.Linear):
                dot = f"{other}." if other else ""
                for copy in range(copies):
                    units.feeds.append(Column(f"{dot}weight", module.weight, copy * width + first, None, module))
            else:
                for key, reader in nodes.items():
                    if key[:2] == (other, 0):
                        _read(units, reader, first)
    return list(nodes.values())


def _read(units, reader, first):
    units.feeds.append(Column(reader.name("weight_ih"), reader.get("weight_ih"), first, reader))
    reader.sources.append((units, first))


def refuse_unusual(model, names):
    """Raise InputError if a named parameter has no values (meta device) or belongs to several modules at once."""
    owners = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name in names:
        if parameters[name].is_meta:
            raise InputError(f"{name} is on the meta device and has no values; move the model with to_empty and load weights")
        shared = owners[id(parameters[name])]
        if len(shared) > 1:
            raise InputError(f"{' and '.join(shared)} are one shared parameter; removing units for one would change the other")
