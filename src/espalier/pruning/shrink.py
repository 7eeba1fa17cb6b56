"""Shrink: remove dead hidden units physically. The smaller network is the same function."""

import functools
import warnings

import torch

from espalier.errors import InputError
from espalier.pruning.chains import ShrunkChains, find_chains
from espalier.pruning.found import Found
from espalier.pruning.narrow import Narrow
from espalier.pruning.running import kept_states, maker
from espalier.pruning.same import Beside, adapt, widths_of, without
from espalier.pruning.selection import refuse_compiled
from espalier.pruning.told import Plan, Shrinking
from espalier.pruning.trained import difference_in_training
from espalier.pruning.units import recurrent_modules, refuse_unusual, split_readers

#: Told where a smaller network was not compared.
UNCHECKED = (
    "not checked: what it takes is not known, say example=...; it is assumed that between its layers and their readers",
    "  nothing stands but element-wise functions that keep zero at zero",
)


@torch.random.fork_rng(devices=[])
@torch.no_grad()
def plan(model, readers=None, example=None):
    """The `Plan` of shrinking a model; the model stays as it is. Arguments and errors as for `shrink`."""
    return (_shrink_told(model, readers) if example is None else _shrink_found(model, readers, example))[1]


@torch.random.fork_rng(devices=[])
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
    say: called with a line per layer, and with what was seen of the smaller model; None: nothing.
    example: the model's inputs: a tensor, a tuple (several arguments), a dict (by name), or a function from (batch, time) to
    one of these. With it readers are found by running the model (`espalier.readers`), and `readers` are checked against it.

    Returns: a model of the same class, of plain torch modules; its `kept` says which units stay, as in a `Plan`. It was run
    beside the large one on inputs of several shapes where these can be made: from the example, or what the first module takes.
    That is in evaluation, and on the way through the model that the example takes; with an example it is compared in training
    too, dropout aside, and warned about where something reads what goes only there.
    Raises: InputError if it is another function, all units of a layer are dead, a reader is missing or impossible, parameters
    are shared (but with an example) or on the meta device.
    """
    small, planned, lines = _shrink_told(model, readers) if example is None else _shrink_found(model, readers, example)
    for line in (*planned.lines, *lines) if say else ():
        say(line)
    small.kept = planned.keep
    return small


def _narrowing(model, readers, example):
    """(`Narrow`, its `Plan`) of a model whose readers are found by running it."""
    refuse_compiled(model)
    refuse_unusual(model, [name for name, one in model.named_parameters() if one.is_meta])
    found = Found(model, example)
    found.check(readers)
    narrow = Narrow(found)
    return narrow, _planned(narrow)


def _planned(narrow):
    hidden = {key[0]: len(units) for key, units in narrow.keep.items()}
    return Plan(narrow.keep, hidden, narrow.folded, narrow.lines)


def _refuse_unreached(model, small, found):
    """Raise InputError about a layer that the example does not reach, and that would not fit any more if another input did."""
    widths = widths_of(model, small)
    for name in found.probe.unreached:
        layer = small.get_submodule(name)
        taken = next((getattr(layer, one) for one in ("in_features", "input_size", "in_channels") if hasattr(layer, one)), None)
        if taken in widths:
            raise InputError(
                f"the example does not reach {name!r}, which takes {taken} channels, as many as what gets narrower: give an "
                "example that does, or delete it"
            )


def _refuse_states(model):
    """Raise InputError where a model keeps a state, as wide as its units, that it would go on from."""
    widths = {module.hidden_size for module in recurrent_modules(model).values()}
    for name, held in kept_states(model):
        if any(one.dim() and one.shape[-1] in widths for one in held):
            raise InputError(f"{type(model).__name__} keeps a state in {name}, as wide as its units: reset it (to None) first")


def _shrink_found(model, readers, example):
    """(a smaller model, its `Plan`, lines for people)."""
    _refuse_states(model)
    beside = Beside(model, example)
    narrow, planned = _narrowing(model, readers, example)
    small, lines, trained = _smaller(model, beside, narrow, planned)
    if planned.folded and trained > beside.tolerance:  # a constant that is another one in training, behind dropout or a norm
        narrow = Narrow(narrow.found, folds=False)
        planned = _planned(narrow)
        small, lines, trained = _smaller(model, beside, narrow, planned)
    if trained > beside.tolerance:
        warnings.warn(
            f"in training the smaller network is another function: it differs by {trained:.1e}, for something reads what goes "
            "only there; in evaluation it is the same",
            stacklevel=5,
        )
    return small, planned, lines


def _smaller(model, beside, narrow, planned):
    """(the smaller model, lines for people, the difference in training, 0 where it cannot be told).

    Raises: InputError if it is another function.
    """
    small, inputs, outputs, lines = narrow.build(), {}, {}, []
    beside.folded = bool(planned.folded)
    _refuse_unreached(model, small, narrow.found)
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
            lines.append(f"{what} {number} gets narrower by {gone}")
    adapted, left = adapt(small, widths_of(model, small), differs)
    for told, names in (
        ("set to the new width", adapted), ("equal to an old width, left as it is", left),
        ("not reached by the example, left as it is", narrow.found.probe.unreached),
    ):  # fmt: skip
        if names:
            lines.append(f"{told}: {', '.join(names)}")
    difference, place = beside.difference(small, inputs, narrowed)
    _refuse_other(beside, difference, place)
    places = [name.rpartition(".") for name in adapted]
    small.adapted = {
        ".".join(filter(None, (place, name))): getattr(small.get_submodule(place), name) for place, _, name in places
    }
    lines.append(f"equal to {difference:.1e} on {len(beside.expected)} inputs of {beside.shapes} shapes")
    return small, lines, difference_in_training(beside, small, inputs, narrowed) or 0.0


def _shrink_told(model, readers):
    """(a smaller model, its `Plan`, lines for people). It is run beside the large one on inputs that can be made without an
    example, where that can be.

    Constants go into the biases of readers where that is seen to be the same: functions may stand between.
    Raises: InputError if it is another function.
    """
    _works(model, readers, True)  # refuses what cannot be, before anything is run
    try:
        make = maker(model, linear=True)
        beside = Beside(model, lambda batch, time: make(batch, time))
    except InputError:
        beside = None
    for folds in (True, False) if beside else (False,):
        chains, work = _works(model, readers, folds)
        planned = _plan_of(chains, work)
        small = work.build() if work else model
        small = chains.build(small) if chains else small
        if beside is None:
            return small, planned, UNCHECKED
        beside.folded = bool(planned.folded)
        differs = beside.difference(small, None, functools.partial(_narrowed, model, small, planned))
        if differs[0] <= beside.tolerance:
            return small, planned, ()
    _refuse_other(beside, *differs)


def _refuse_other(beside, difference, place):
    if difference > beside.tolerance:
        raise InputError(
            f"the smaller network would be another function: its output {place} differs by {difference:.1e}; something else "
            "reads what goes (say example=..., or other readers), or depends on the width, such as a scale by its root"
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


def _works(model, readers, folds):
    """What is to be done about chains of linear layers, and about recurrent modules; None where there are none.

    The two do not touch each other: a chain begins with the rows of what reads recurrent units.
    """
    refuse_compiled(model)
    readers, linear = split_readers(model, readers)
    found = find_chains(model, linear)
    refuse_unusual(model, {name for one in found for name in (*one.rows, *(column.name for column in one.feeds))})
    chains = ShrunkChains(found) if found else None
    return chains, None if chains and not recurrent_modules(model) else Shrinking(model, readers, folds)


def _plan_of(chains, work):
    """One `Plan` of both."""
    found = work.plan if work else Plan({}, {}, {}, [])
    if chains:
        keep = {(name, 0, 0): units for name, units in chains.keep.items()}
        folded = {(name, 0, 0): count for name, count in chains.folded.items() if count}
        hidden = {name: len(units) for name, units in chains.keep.items()}
        found = Plan(found.keep | keep, found.hidden | hidden, found.folded | folded, [*found.lines, *chains.lines])
    return found
