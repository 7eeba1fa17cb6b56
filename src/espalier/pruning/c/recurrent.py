"""Traces recurrent layers, their cells, and packed sequences."""

from dataclasses import replace

import torch

from espalier.names import GATES
from espalier.pruning.c.values import Stacked, Value, double


class Recurrent:
    """Part of a `Trace`."""

    def on_pack_padded_sequence(self, name, output, values, lengths, batch_first=False):
        value = self.value(values)
        return Value(value.node, ("time", "channel") if "channel" in value.dims else ("time",)), None

    def on_pad_packed_sequence(self, name, output, values, sizes, batch_first, *_):
        value = self.value(values)
        dims = ("one", "time") if batch_first else ("time", "one")
        return Value(value.node, (*dims, *value.dims[1:])), None

    def layers(self, name, output, values, *arguments):
        """All layers and directions of a call of `torch.lstm` and its like."""
        packed = isinstance(arguments[2], (list, tuple))
        arguments = arguments[1:] if packed else arguments
        starts, weights, biases, count, _, _, bidirectional = arguments[:7]
        starts = starts if isinstance(starts, (tuple, list)) else (starts,)
        value, both = self.channels(values), 2 if bidirectional else 1
        first = 1 if not packed and arguments[7] and len(value.dims) == 3 else 0
        if value.dims[first] != "time":
            self.refuse("a recurrent layer over something other than time")
        each = 4 if biases else 2
        if len(weights) != each * count * both:
            self.refuse("a projection (proj_size)")
        current, hidden, memory = value.node, [], []
        for number in range(count):
            found = []
            for direction in range(both):
                place = number * both + direction
                own = weights[each * place :][:each]
                begins = [self._start(one, place, len(own[1].T)) for one in starts]
                node = self._cell_node(name, current, own, begins, bool(direction))
                found.append(node)
                at = 0 if direction else self.steps - 1
                hidden.append(Value(node, ("one", "channel"), at))
                memory.append(Value(self.node("memory", [node], node.width), ("one", "channel"), at))
                for k, one in enumerate(starts):
                    if id(one) in self.starts:
                        self.states.setdefault(self.starts[id(one)], (node, k == 1))
            current = found[0] if both == 1 else self.node("concat", found, 2 * found[0].width)
        out = replace(value, node=current)
        packs = [self._packed(part) for part in ((hidden, memory) if name == "lstm" else (hidden,))]
        return (out, *packs)

    @staticmethod
    def _packed(values):
        dims = ("layer", "one", "channel")
        return replace(values[0], dims=("one", "one", "channel")) if len(values) == 1 else Stacked(tuple(values), dims)

    def _start(self, tensor, place, width):
        if self.value(tensor) is not None:
            self.refuse("a recurrent layer that starts from values of another")
        if id(tensor) in self.starts or tensor is None:
            return torch.zeros(width, dtype=torch.float64)
        return double(tensor).reshape(-1, width)[place]

    def _cell_node(self, name, source, weights, starts, reverse=False):
        i2h, h2h, *biases = weights
        hidden = h2h.shape[1]
        if len(h2h) != GATES[name] * hidden:
            self.refuse("a projection (proj_size)")
        zero = torch.zeros(len(i2h), dtype=torch.float64)
        given, inner = [zero if one is None else double(one) for one in biases or (None, None)]
        return self.node(
            "cell", [source], hidden, [i2h, h2h], cell=name, bias_ih=given, bias_hh=inner, reverse=reverse,
            start=torch.stack([*starts, *starts][:2]),
        )  # fmt: skip

    def cell(self, name, output, values, states, *weights):
        """One step of an `nn.LSTMCell` and its like: the next of the same, or the first."""
        name = name.removesuffix("_cell")
        value, states = self.channels(values), states if isinstance(states, (tuple, list)) else (states,)
        if value.at is None:
            self.refuse("a cell over all steps at once")
        known = self.value(states[0])
        if known is None:
            if self.value(states[-1]) is not None:
                self.refuse("a cell that starts from values of another")
            numbers = [self.starts.get(id(one)) for one in states]
            node = self._cell_node(name, value.node, weights, [self._start(one, 0, weights[1].shape[1]) for one in states])
            for k, number in enumerate(numbers):
                if number is not None:
                    self.states[number] = node, k == 1
            if value.at != 0:
                self.refuse("a cell that starts in the middle")
        else:
            node = known.node
            if node.kind != "cell":
                self.refuse("a state that is changed between steps")
            expected = self._cell_node(name, value.node, weights, list(node.more.get("start", ())))
            if node is not expected or known.at != value.at - 1:
                self.refuse("a cell that does not go on from its own state")
            memory = self.value(states[-1])
            if name == "lstm" and memory != Value(self.node("memory", [node], node.width), known.dims, known.at):
                self.refuse("a cell whose memory is changed between steps")
        dims = tuple(value.dims)
        found = Value(node, dims, value.at)
        return (found, Value(self.node("memory", [node], node.width), dims, value.at)) if name == "lstm" else found
