"""What a network does at a time step, as a list of nodes; and the same computed by torch, to hold everything else against."""

from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from espalier.errors import InputError

#: Functions of one number: name -> torch's, of (values, parameters).
MAPS = {
    "relu": lambda x: x.relu(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope),
    "elu": lambda x, alpha: F.elu(x, alpha),
    "silu": lambda x: F.silu(x),
    "gelu": lambda x: F.gelu(x),
    "softplus": lambda x: F.softplus(x),
    "softsign": lambda x: F.softsign(x),
    "hardtanh": lambda x, low, high: x.clamp(low, high),
    "hardsigmoid": lambda x: F.hardsigmoid(x),
    "hardswish": lambda x: F.hardswish(x),
    "abs": lambda x: x.abs(),
    "square": lambda x: x * x,
    "exp": lambda x: x.exp(),
}
PAIRS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
#: Nodes of the end of a sequence, made of its steps.
ENDS = ("take", "all_steps")


@dataclass(eq=False)
class Node:
    """Numbers of a time step, `width` of them, made from those of other nodes.

    kind: `input`, `tokens`, `embedding`, `cell`, `memory` (of an LSTM), `linear`, `map`, `affine`, `pair`, `concat`, `slice`,
    `softmax`, `running` (mean, sum or maximum so far), `take` (the first or last step, where a layer reads backwards) or
    `all_steps`, side by side.
    matrices: of `linear` one `(width, width of the input)` per input; of `cell` likewise i2h per input, then h2h.
    more: numbers, words and vectors by name.  name: of the layer, for people.
    """

    kind: str
    inputs: list
    width: int
    name: str = ""
    matrices: list = field(default_factory=list)
    more: dict = field(default_factory=dict)

    def __repr__(self):
        return f"{self.kind} {self.name} ({self.width})"


@dataclass
class Program:
    """nodes: in the order in which they are computed, the input first; output: the last; every_step: whether it is told after
    every step, or after the last one alone; steps: how many every sequence must have, None where there may be any.
    """

    nodes: list
    output: Node
    every_step: bool
    steps: int | None = None

    @property
    def source(self):
        return self.nodes[0]

    @property
    def whole(self):
        """Whether the whole sequence must be there: a layer reads it from its end, or other steps than the last."""
        return self.steps is not None or any(node.more.get("reverse") or node.kind in ENDS for node in self.nodes)

    def matrices(self):
        """(node, number of the matrix) of every matrix."""
        return [(node, number) for node in self.nodes for number in range(len(node.matrices))]

    @torch.no_grad()
    def run(self, sequence):
        """What comes out of a sequence, `(T, inputs)` or `(T,)` tokens: `(T, outputs)` or `(outputs,)`, in double precision."""
        values = {}
        for node in self.nodes:
            given = [values[one] for one in node.inputs]
            values[node] = _computed(node, given, sequence)
        found = values[self.output]
        return found if self.every_step or found.dim() == 1 else found[-1]


def _computed(node, given, sequence):
    more = node.more
    if node.kind == "tokens":
        return sequence.long()
    if node.kind == "input":
        return sequence.double()
    if node.kind == "embedding":
        return more["table"][given[0]]
    if node.kind == "cell":
        return _cell(node, given)
    if node.kind == "linear":
        return sum(values @ matrix.T for values, matrix in zip(given, node.matrices)) + more["bias"]
    if node.kind == "map":
        return MAPS[more["function"]](given[0], *more["numbers"])
    if node.kind == "affine":
        return given[0] * more["scale"] + more["shift"]
    if node.kind == "pair":
        return PAIRS[more["function"]](*given)
    if node.kind == "concat":
        return torch.cat(given, -1)
    if node.kind == "slice":
        return given[0][..., more["first"] : more["first"] + node.width]
    if node.kind == "softmax":
        return (F.log_softmax if more["log"] else F.softmax)(given[0], -1)
    if node.kind == "all_steps":
        return given[0].reshape(-1)
    if node.kind == "take":
        return given[0][0 if more["first"] else -1]
    if node.kind == "running":
        if more["function"] == "max":
            return given[0].cummax(0).values
        sums = given[0].cumsum(0)
        return sums if more["function"] == "sum" else sums / torch.arange(1, len(sums) + 1)[:, None]
    raise InputError(f"{node.kind} cannot be computed")  # pragma: no cover


def _cell(node, given):
    more, (*i2h, h2h) = node.more, node.matrices
    entered = sum(values @ matrix.T for values, matrix in zip(given, i2h)) + more["bias_ih"]
    h = more["start"][0]
    c = more["start"][-1]
    states = []
    for x in entered.flip(0) if more["reverse"] else entered:
        s = h2h @ h + more["bias_hh"]
        if more["cell"] == "lstm":
            i, f, g, o = (x + s).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        elif more["cell"] == "gru":
            (xr, xz, xn), (sr, sz, sn) = x.chunk(3), s.chunk(3)
            r, z = (xr + sr).sigmoid(), (xz + sz).sigmoid()
            n = (xn + r * sn).tanh()
            h = n + z * (h - n)
        else:
            h = (x + s).relu() if more["cell"] == "rnn_relu" else (x + s).tanh()
        states.append(h)
    return torch.stack(states[::-1] if more["reverse"] else states)


def folded(program):
    """The same program with fewer nodes: what scales and shifts goes into the matrices beside it, and concatenations into
    matrices of their parts.
    """
    changed = True
    while changed:
        changed = any(_fold(program, node) for node in list(program.nodes))
        seen = _needed(program.output)
        program.nodes = [node for node in program.nodes if node in seen or node is program.source]
    return program


def _needed(output):
    found, left = set(), [output]
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left += node.inputs
    return found


def _fold(program, node):
    """Fold one node; whether it was."""
    readers = [one for one in program.nodes if node in one.inputs]
    if node is program.output or not readers:
        if node.kind == "affine" and node is program.output:
            return _into_linear(program, node)
        return False
    if node.kind == "affine" and _into_linear(program, node):
        return True
    if node.kind not in ("affine", "concat") or not all(one.matrices for one in readers):
        return False
    for reader in readers:
        inputs, matrices = [], []
        for one, matrix in zip(reader.inputs, reader.matrices):
            if one is not node:
                inputs, matrices = [*inputs, one], [*matrices, matrix]
            elif node.kind == "affine":
                bias = "bias_ih" if reader.kind == "cell" else "bias"
                reader.more[bias] = reader.more[bias] + matrix @ node.more["shift"]
                inputs, matrices = [*inputs, node.inputs[0]], [*matrices, matrix * node.more["scale"]]
            else:
                inputs += node.inputs
                matrices += matrix.split([part.width for part in node.inputs], 1)
        reader.matrices = [*matrices, *reader.matrices[len(reader.inputs) :]]
        reader.inputs = inputs
    return True


def _into_linear(program, node):
    """Fold what scales and shifts into the linear layer before it, if nobody else reads that."""
    before = node.inputs[0]
    if before.kind != "linear" or sum(before in one.inputs for one in program.nodes) > 1:
        return False
    before.matrices = [matrix * node.more["scale"][:, None] for matrix in before.matrices]
    before.more["bias"] = before.more["bias"] * node.more["scale"] + node.more["shift"]
    for one in program.nodes:
        one.inputs = [before if given is node else given for given in one.inputs]
    program.output = before if program.output is node else program.output
    return True
