"""Whether a smaller network is the same function: run beside the large one on inputs of several shapes."""

import contextlib
import copy
import itertools

import torch

from espalier.errors import InputError
from espalier.pruning.running import Repeated, Runs, first_line, flat, given, tensors, with_tensors

#: Largest difference that counts as equal (see `apart`): in double precision; in it, where constants went into biases that are
#: kept in single; and of networks that compute in single by themselves.
DOUBLE, FOLDED, SINGLE = 1e-10, 1e-6, 1e-5
#: Outputs below this count as zero.
LEAST = 1e-6
#: What torch's layers call their widths.
WIDTHS = (
    "hidden_size", "input_size", "in_features", "out_features", "embedding_dim", "num_features", "in_channels", "out_channels",
)  # fmt: skip
#: Sets of numbers that are tried at most.
MOST = 64


def several(example):
    """Inputs of several shapes, as (what differs from the first, (arguments, keywords)), the example first: of a function as it
    makes them, as far as it does, else with other values, another batch and other steps, as far as tensors allow.
    """
    if callable(example):
        found = [("same", given(example))]
        for kind, shape in (("batch", (5, 6)), ("time", (2, 9)), ("both", (1, 1)), ("both", (1, 9)), ("both", (5, 4))):
            with contextlib.suppress(Exception):  # of a shape for which it has no inputs
                found.append((kind, given(lambda *_, shape=shape: example(*shape))))
        return found
    first = given(example)
    found = [("same", first)]
    generator = torch.Generator().manual_seed(11)
    changes = (
        ("same", lambda one: _redrawn(one, generator, 1)), ("same", lambda one: _redrawn(one, generator, 5)),
        ("batch", lambda one: one[:1]), ("batch", lambda one: torch.cat([one, one, one[:1]])),
        ("time", lambda one: one[:, : max(1, one.shape[1] - 2)] if one.dim() > 1 else one),
        ("time", lambda one: torch.cat([one, one.flip(1), one[:, :1]], 1) if one.dim() > 1 else one),
    )  # fmt: skip
    for kind, change in changes:
        found.append((kind, with_tensors(first, iter([change(one) if one.dim() else one for one in tensors(first)]))))
    return found


def _redrawn(values, generator, size):
    """Other numbers of the same kind, so much larger; whole ones in another order."""
    if values.is_floating_point():
        noise = torch.randn(values.shape, generator=generator, dtype=torch.float64)
        return size * (values + noise.to(values.dtype).to(values.device))
    return values.flip(0)


def apart(ours, theirs, large):
    """The largest difference of an output, relative to each value or, where that is more, to what its values usually are (their
    geometric mean).  theirs: what ours should be, NaN where nobody can tell; large: the output of the large network.
    """
    ours, theirs = ours.double(), theirs.double()
    asked = torch.ones_like(theirs, dtype=torch.bool) if large.isnan().any() else ~theirs.isnan()
    ours, theirs = ours[asked], theirs[asked]
    if not ours.numel():
        return 0.0
    sizes = theirs.abs()
    sizes = sizes[sizes.isfinite() & (sizes > 0)]
    usual = max(float(sizes.log().mean().exp()) if len(sizes) else 0.0, LEAST)
    differences = (ours - theirs).abs() / theirs.abs().clamp(min=usual)
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    return float(differences.nan_to_num(nan=torch.inf).masked_fill(same, 0.0).max())


class Beside:
    """The large network on several inputs, to hold smaller ones against.

    example: as for `shrink`.  Raises: InputError if it does not take the example, or does not give the same twice.
    """

    def __init__(self, model, example):
        inputs = [one for _, one in several(example)]
        self.wide = all(one.dtype == torch.float64 for one in model.parameters() if one.is_floating_point())
        self.folded = False  # whether constants went into biases
        self.runs, self.expected = Runs(model, inputs[0]), []
        for one in inputs:
            try:
                outputs = flat(self.runs.forward(self._typed(one)))
            except InputError:
                raise
            except Exception:  # a shape that the model does not take
                continue
            if not any(self._alike(one, other) for other, _ in self.expected):
                self.expected.append((one, outputs))

    @staticmethod
    def _alike(one, other):
        pairs = list(zip(tensors(one), tensors(other)))
        return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)

    def _typed(self, inputs):
        double = self.runs.double
        parts = [one.double() if double and one.is_floating_point() else one for one in tensors(inputs)]
        return with_tensors(inputs, iter(parts))

    @property
    def shapes(self):
        return len({tuple(tuple(one.shape) for one in tensors(inputs)) for inputs, _ in self.expected})

    def difference(self, small, inputs=None, narrowed=lambda number, large, small: large):
        """(largest difference, see `apart`, number of the output), of a network that takes and gives narrower ones.

        inputs: (number, dimension) -> indices that are gone.  narrowed: function from the number of an output, it, and that of
        the smaller network to what the latter should be; places that nobody can tell are NaN in it.
        Raises: InputError if it does not run, or gives other shapes.
        """
        small = copy.deepcopy(small).cpu().eval()
        small = Repeated(small.double() if self.runs.double else small)
        worst, place = 0.0, 0
        for one, expected in self.expected:
            narrow = [without(part, number, inputs or {}) for number, part in enumerate(tensors(self._typed(one)))]
            arguments, keywords = with_tensors(one, iter(narrow))
            try:
                with torch.no_grad():
                    got = flat(small.forward((arguments, keywords)))
            except Exception as error:  # whatever the smaller model says
                told = f"{type(error).__name__}: {first_line(error)}"
                raise InputError(f"the smaller network does not run: {told}") from None
            if len(got) != len(expected):
                raise InputError(f"the smaller network gives {len(got)} outputs, the large one {len(expected)}")
            for number, (ours, large) in enumerate(zip(got, expected)):
                theirs = narrowed(number, large, ours)
                if ours.shape != theirs.shape:
                    raise InputError(
                        f"output {number} of the smaller network is {tuple(ours.shape)}, not {tuple(theirs.shape)}"
                    )
                difference = apart(ours, theirs, large)
                worst, place = (difference, number) if difference > worst else (worst, place)
        return worst, place

    @property
    def tolerance(self):
        """What counts as equal."""
        return (FOLDED if self.folded and not self.wide else DOUBLE) if self.runs.double else SINGLE


def without(values, number, gone):
    """Values, number `number` of several, without what is gone: ((number, row or None), dimension) -> indices; rows of a stack
    lose as many each.
    """
    rows = {}
    for ((which, row), dim), indices in gone.items():
        if which == number and row is None:
            values = _left(values, dim, indices)
        elif which == number:
            rows[row] = dim, indices
    if rows:
        left = [_left(part, *rows[row]) if row in rows else part for row, part in enumerate(values)]
        values = torch.stack(left) if len({part.shape for part in left}) == 1 else values
    return values


def _left(values, dim, indices):
    stay = torch.tensor([k for k in range(values.shape[dim]) if k not in indices], dtype=torch.long, device=values.device)
    return values.index_select(dim, stay)


def widths_of(model, small):
    """Old width -> set of new ones, of the layers that got narrower."""
    found = {}
    for name, old in model.named_modules():
        new = small.get_submodule(name)
        pairs = [(getattr(old, a, None), getattr(new, a, None)) for a in WIDTHS]
        for was, now in pairs:
            if isinstance(was, int) and isinstance(now, int) and was != now:
                found.setdefault(was, set()).add(now)
                if getattr(old, "bidirectional", False):
                    found.setdefault(2 * was, set()).add(2 * now)
    return found


def numbers_of(small, widths):
    """(module, attribute, new value) of plain numbers that a model keeps which were widths of layers that got narrower."""
    found = []
    for module in small.modules():
        if type(module).__module__.startswith("torch.nn"):
            continue
        for name, value in module.__dict__.items():
            if type(value) is int and value in widths and len(widths[value]) == 1:
                found.append((module, name, next(iter(widths[value]))))
    return found


def adapt(small, widths, differs):
    """Set numbers of the old width in a model where nothing else makes it the same: (names set, names left), in words.

    differs: function without arguments, whether the model as it is now is another function.
    """
    places = {module: name for name, module in small.named_modules()}
    found = numbers_of(small, widths)
    old = [(module, name, getattr(module, name)) for module, name, _ in found]
    told = [_told(places, module, name) for module, name, _ in found]
    tries = (chosen for count in range(len(found) + 1) for chosen in itertools.combinations(range(len(found)), count))
    for chosen in itertools.islice(tries, MOST):
        for place, ((module, name, value), (_, _, before)) in enumerate(zip(found, old)):
            setattr(module, name, value if place in chosen else before)
        if not differs():
            return [told[place] for place in chosen], [name for place, name in enumerate(told) if place not in chosen]
    for module, name, before in old:
        setattr(module, name, before)
    return [], told


def _told(places, module, name):
    place = places[module]
    return f"{place}.{name}" if place else name
