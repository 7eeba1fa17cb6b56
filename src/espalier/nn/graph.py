"""Recurrent networks wired like a graph: a vertex is a hidden unit, an edge an i2h weight."""

import networkx as nx
import torch
from torch import nn
from torch.autograd.function import once_differentiable

from espalier.errors import InputError
from espalier.graphs import layered
from espalier.nn import fused
from espalier.nn.cells import gates, layer
from espalier.nn.classifier import INITS, READOUTS, read_out

SKIPS = ("summed", "separate")
H2H = ("dense", "diagonal")
SINKS = ("last_layer", "all")
GATE_MASKS = ("tiled", "interleaved")


class GraphStack(nn.Module):
    """The recurrent layers of a graph, each run as one fused call over all cells that feed it.

    layers: one recurrent module of torch per layer of the graph; skips: the further cells of `skip: separate`, ordered by
    target, then source layer.  Each carries the buffers `mask_ih_l0` and `mask_hh_l0`, True where a weight counts; the others
    are zero and stay out of the computation.
    """

    def __init__(self, cell, structure, inputs, skip, h2h, gate_mask):
        super().__init__()
        self.cell, self.sizes = cell, structure.sizes
        edges = structure.edges()
        self.layers, self.skips = nn.ModuleList(), nn.ModuleList()
        self.plan = []  # per layer of the graph: its cells as (module, source layers), layer -1 being the input
        for target, size in enumerate(self.sizes):
            sources = [source for source, to in edges if to == target]
            cells = [[-1]] if target == 0 else [sources] if skip == "summed" else [[target - 1], *([s] for s in sources[:-1])]
            planned = []
            for k, own in enumerate(cells):
                widths = [inputs if source < 0 else self.sizes[source] for source in own]
                module = layer(cell, sum(widths), size)
                if target == 0:
                    mask = torch.ones(size, inputs, dtype=torch.bool)
                else:
                    mask = torch.cat([_mask(size, width, edges[source, target]) for source, width in zip(own, widths)], 1)
                spread = mask.repeat(gates(cell), 1) if gate_mask == "tiled" else mask.repeat_interleave(gates(cell), 0)
                module.register_buffer("mask_ih_l0", spread)
                square = torch.ones(size, size, dtype=torch.bool) if h2h == "dense" else torch.eye(size, dtype=torch.bool)
                module.register_buffer("mask_hh_l0", square.repeat(gates(cell), 1))
                (self.skips if k else self.layers).append(module)
                planned.append((module, own))
            self.plan.append(planned)
        self._index = None
        self.register_load_state_dict_post_hook(lambda *_: self.rewire())
        self.rewire()

    @torch.no_grad()
    def rewire(self):
        """Take note of changed masks: weights outside them become zero."""
        self._index = None
        for module in [*self.layers, *self.skips]:
            for kind in ("ih", "hh"):
                getattr(module, f"weight_{kind}_l0").mul_(getattr(module, f"mask_{kind}_l0"))

    def forward(self, inputs):
        """`(T, N, inputs)` -> the states `(T, N, size)` of every layer of the graph."""
        modules = [module for planned in self.plan for module, _ in planned]
        if self._index is None or self._index[0].device != inputs.device:
            self._index = self._places(inputs.device)
        index, shapes = self._index
        parameters = [parameter for module in modules for parameter in module.parameters()]
        weights = iter(_Assembled.apply(index, shapes, *parameters))
        states = []
        for size, planned in zip(self.sizes, self.plan):
            sources = [inputs if source < 0 else states[source] for _, own in planned for source in own]
            found = torch.cat(sources, 2) if len(sources) > 1 else sources[0]
            found = fused.call(self.cell, found, tuple(next(weights) for _ in range(4)), self.training)
            states.append(found.unflatten(2, (len(planned), size)).sum(2) if len(planned) > 1 else found)
        return states

    def _places(self, device):
        """Where each entry of each parameter stands in the weights of the fused calls, one layer after the other: cells side
        by side within each gate, so that i2h and h2h are block-diagonal. What is masked goes to one place past the end.
        Returns (index of all entries, shapes of the four weights of every layer).
        """
        shapes, places, start = [], [], 0
        for size, planned in zip(self.sizes, self.plan):
            units, blocks = size * len(planned), gates(self.cell)
            width = sum(module.input_size for module, _ in planned)
            shapes += [(blocks * units, width), (blocks * units, units), (blocks * units,), (blocks * units,)]
            starts = [start]
            for shape in shapes[-4:]:
                starts.append(starts[-1] + torch.Size(shape).numel())
            offset = 0
            for k, (module, _) in enumerate(planned):
                rows = torch.arange(blocks)[:, None] * units + k * size + torch.arange(size)
                rows = rows.flatten()
                i2h = starts[0] + rows[:, None] * width + offset + torch.arange(module.input_size)
                h2h = starts[1] + rows[:, None] * units + k * size + torch.arange(size)
                i2h[~module.mask_ih_l0.cpu()] = -1
                h2h[~module.mask_hh_l0.cpu()] = -1
                places += [i2h.flatten(), h2h.flatten(), starts[2] + rows, starts[3] + rows]
                offset += module.input_size
            start = starts[-1]
        index = torch.cat(places)
        index[index < 0] = start
        return index.to(device), shapes


def _mask(rows, columns, places):
    mask = torch.zeros(rows, columns, dtype=torch.bool)
    for place in places:
        mask[place] = True
    return mask


class _Assembled(torch.autograd.Function):
    """Parameters, entry by entry, at their places in larger tensors that are zero elsewhere; the gradient goes the way back."""

    @staticmethod
    def forward(ctx, index, shapes, *parameters):
        ctx.save_for_backward(index)
        ctx.shapes = [parameter.shape for parameter in parameters]
        sizes = [torch.Size(shape).numel() for shape in shapes]
        flat = torch.cat([parameter.flatten() for parameter in parameters])
        whole = flat.new_zeros(sum(sizes) + 1)
        whole[index] = flat
        return tuple(part.view(shape) for part, shape in zip(whole[:-1].split(sizes), shapes))

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):
        (index,) = ctx.saved_tensors
        whole = torch.cat([gradient.flatten() for gradient in gradients] + [gradients[0].new_zeros(1)])
        parts = whole[index].split([shape.numel() for shape in ctx.shapes])
        return None, None, *(part.view(shape) for part, shape in zip(parts, ctx.shapes))


class GraphClassifier(nn.Module):
    """Classifies sequences, of tokens or of values, with a recurrent network wired like a graph.

    graph: a networkx graph; undirected edges lead from the node that comes first (see `espalier.graphs.layered`). Layer l has
    a unit per vertex of its layer; i2h weights exist where the graph has an edge, layer 0 is fed by the embedding, densely.
    cell: `rnn_tanh`, `rnn_relu`, `gru` or `lstm`.
    skip: `summed`, one cell per layer over all the layers that feed it, what they bring summed before the activation;
    `separate`, one cell over the layer before and a complete one more per layer that skips to it, their outputs added after the
    activation (the study's code).
    h2h: `dense` within a layer, or `diagonal`, each unit knowing only itself, so that nothing but the graph connects units.
    sinks: the head reads the `last_layer`, or `all` vertices that feed no other one.
    width: of the embedding, by default the number of source vertices, as the study had it.
    gate_mask: a unit's edges hold in each of its gates (`tiled`), or row by row over the stacked gates (`interleaved`, a
    mistake of the study, which gives most gate rows the edges of another unit).
    codes, outputs, readout, init, features: as for `SequenceClassifier`; `init: orthogonal` needs dense h2h.

    Raises: InputError for a graph that no network can be wired like, or an unknown word.
    """

    def __init__(
        self,
        graph,
        cell,
        skip="summed",
        h2h="dense",
        sinks="last_layer",
        width=None,
        gate_mask="tiled",
        codes=128,
        outputs=2,
        readout="last_token",
        init="orthogonal",
        features=None,
    ):
        super().__init__()
        told = (
            ("skip", skip, SKIPS), ("h2h", h2h, H2H), ("sinks", sinks, SINKS), ("gate_mask", gate_mask, GATE_MASKS),
            ("readout", readout, READOUTS), ("init", init, INITS),
        )  # fmt: skip
        for name, value, known in told:
            if value not in known:
                raise InputError(f"model.{name} must be one of {', '.join(known)}, got {value!r}")
        self.cell, self.readout = cell, readout
        if features is not None and width is not None:
            raise InputError("model.embedding is of tokens; these sequences are of values")
        structure = layered(graph)
        self.features, width = features, features or width or structure.sizes[0]
        if features is None:
            self.embedding = nn.Embedding(codes, width)
        self.recurrent = GraphStack(cell, structure, width, skip, h2h, gate_mask)
        last = list(range(structure.sizes[-1]))
        #: per layer, the places of the units that the head reads
        self.read = structure.sinks if sinks == "all" else [[] for _ in structure.sizes[:-1]] + [last]
        self.head = nn.Linear(sum(map(len, self.read)), outputs)
        if init == "orthogonal" and gates(cell) == 1 and h2h == "dense":
            for module in [*self.recurrent.layers, *self.recurrent.skips]:
                nn.init.orthogonal_(module.weight_hh_l0)

    def forward(self, sequences, lengths):
        """sequences: `(N, T)` integers or `(N, T, features)` values, padded on the right; lengths: `(N,)`.

        Returns `(N, outputs)`, or `(N, T, outputs)` of `every_step`.
        """
        steps = sequences.transpose(0, 1)
        states = self.recurrent(steps if self.features else self.embedding(steps.int()))
        read = [read_out(found, lengths, self.readout)[..., places] for found, places in zip(states, self.read) if places]
        return self.head(torch.cat(read, -1) if len(read) > 1 else read[0])

    @property
    def readers(self):
        """Raises: InputError. A unit is a vertex here: take it out of the graph."""
        raise InputError("the units of a network wired like a graph are its vertices: remove them from the graph instead")

    @property
    def active(self):
        """Number of parameters that count: all but the i2h and h2h weights outside their masks."""
        masked = sum(int((~mask).sum()) for mask in self.recurrent.buffers())
        return sum(parameter.numel() for parameter in self.parameters()) - masked


def wired(graph, cell, embedding=None, steps=None, **more):
    """A `GraphClassifier` from plain values. graph: node-link data; embedding: its width; steps: of the sequences, which
    it need not know; more: as for the class.
    """
    return GraphClassifier(nx.node_link_graph(graph, edges="edges"), cell, width=embedding, **more)
