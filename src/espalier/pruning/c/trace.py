"""A network traced into a `Program`: run once on one sequence, every function of torch that touches it noted down.

Any eager code will do that keeps to the functions below. What is known of every tensor is which of its dimensions is time and
which the channels (the batch is one sequence), or of which step it is. A loop over a cell comes to one node, as all its steps
are made of the same nodes.
"""

import torch
from torch.overrides import TorchFunctionMode

from espalier.errors import InputError
from espalier.pruning.c.arithmetic import MAPPED, Arithmetic
from espalier.pruning.c.program import Node, Program
from espalier.pruning.c.recurrent import Recurrent
from espalier.pruning.c.shapes import Shapes
from espalier.pruning.c.values import Stacked, Value, digest, double, leaves
from espalier.pruning.running import flat, restore, state_of

#: Functions that leave values and dimensions as they are.
SAME = (
    "contiguous", "clone", "detach", "float", "to", "type", "type_as", "cpu", "dropout", "alpha_dropout", "feature_dropout",
    "data", "requires_grad_", "int", "long", "double",
)  # fmt: skip
#: Names of functions of two -> ours.
PAIRED = {"__add__": "add", "__radd__": "add", "__mul__": "mul", "__rmul__": "mul", "__sub__": "sub", "subtract": "sub",
          "multiply": "mul", "__rsub__": "rsub", "rsub": "rsub", "__truediv__": "div", "true_divide": "div"}  # fmt: skip
BINARY = ("add", "sub", "rsub", "mul", "div", "maximum", "minimum")
MOVED = ("transpose", "permute", "movedim", "moveaxis", "swapaxes", "swapdims", "t", "T", "mT")
SHAPED = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as")
PICKED = ("__getitem__", "select", "narrow", "index_select", "unbind", "chunk", "split", "__iter__", "take_along_dim")
#: What only looks at a tensor.
LOOKED = (
    "dim", "size", "shape", "dtype", "device", "numel", "ndim", "is_floating_point", "__len__", "layout", "is_cuda",
    "is_contiguous", "stride", "requires_grad", "is_nested", "ndimension", "is_quantized", "names", "get_device", "is_mps",
    "new_zeros", "new_ones", "zeros_like", "ones_like", "empty_like", "new_empty", "is_sparse", "grad_fn", "is_complex",
    "is_inference", "is_leaf", "grad", "itemsize", "element_size", "data_ptr", "is_cpu", "is_meta", "full_like", "new_full",
)  # fmt: skip


class Trace(Arithmetic, Shapes, Recurrent, TorchFunctionMode):
    """Notes what a model does to one sequence.

    source: node of the input; tensor: that input; dims: the roles of its dimensions; steps: their number; starts: tensors that
    are given as states and count as zero.
    """

    def __init__(self, source, tensor, dims, steps, starts=()):
        super().__init__()
        self.nodes, self.known, self.alive, self.steps = {}, {}, [], steps
        self.place = []  # names of the modules that are running, the innermost last
        self.starts = {id(one): number for number, one in starts}
        #: Number of an input that is a state -> (cell, whether it is an LSTM's memory)
        self.states = {}
        self.note(tensor, Value(source, dims, None if "time" in dims else 0))

    # What is known

    def note(self, tensor, value):
        self.known[id(tensor)] = value
        self.alive.append(tensor)

    def value(self, one):
        return self.known.get(id(one)) if isinstance(one, torch.Tensor) else None

    def node(self, kind, inputs, width, matrices=(), **more):
        """The node of this description; the same for the same."""
        name = self.place[-1] if self.place else ""
        key = kind, tuple(map(id, inputs)), width, *map(digest, matrices), *((k, digest(v)) for k, v in sorted(more.items()))
        if key not in self.nodes:
            self.nodes[key] = Node(kind, list(inputs), width, name, [double(one) for one in matrices], more)
        return self.nodes[key]

    def refuse(self, what):
        where = f" in {self.place[-1]!r}" if self.place and self.place[-1] else ""
        raise InputError(f"{what}{where}, which the C export does not know")

    # What happens

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        name = getattr(getattr(func, "__self__", None), "__name__", name) if name in ("__get__", "__set__") else name
        name = name if name.startswith("__") else name.strip("_")
        name = name.replace("__i", "__", 1) if name in ("__iadd__", "__imul__", "__isub__", "__itruediv__") else name
        name = PAIRED.get(name, name)
        output = func(*args, **kwargs)
        nest = [*args, *kwargs.values()]
        if not any(self.value(one) for one in leaves(nest)) or name in LOOKED:
            return output
        handler = getattr(self, f"on_{name}", None)
        if handler is None:
            handler = next((group for names, group in self._groups() if name in names), None)
        if handler is None:
            if name in ("item", "__bool__", "__float__", "__int__", "tolist", "numpy"):
                self.refuse("the way through the network depends on values")
            self.refuse(f"{name}")
        found = handler(name, output, *args, **kwargs)
        self._spread(output, found)
        return output

    def _groups(self):
        return (
            (SAME, self.same), (MAPPED, self.mapped), (BINARY, self.binary), (MOVED, self.moved), (SHAPED, self.shaped),
            (PICKED, self.picked), (("softmax", "log_softmax"), self.softmax), (("mean", "sum", "amax", "max"), self.reduced),
            (("lstm", "gru", "rnn_tanh", "rnn_relu"), self.layers),
            (("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), self.cell),
        )  # fmt: skip

    def _spread(self, output, found):
        if isinstance(output, torch.Tensor):
            self.note(output, found)
            return
        for one, value in zip(output, found):
            self._spread(one, value)


def _watched(model, trace):
    """Hooks that tell a trace which module runs."""
    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: trace.place.append(name)))
        handles.append(module.register_forward_hook(lambda *_: trace.place.__delitem__(-1)))
    return handles


def traced(model, source, inputs, which, dims, steps, starts=()):
    """(`Program` of a model, what its outputs are, states that go in) from one run on inputs of `steps` steps.

    inputs: (arguments, keywords); which: the tensor that is the sequence; dims: the roles of its dimensions; starts: (number,
    tensor) of states among the inputs.  Raises: InputError naming what the export does not know.
    """
    trace = Trace(source, which, dims, steps, starts)
    handles = _watched(model, trace)
    arguments, keywords = inputs
    before = state_of(model)
    try:
        with torch.no_grad(), trace:
            outputs = model(*arguments, **keywords)
    finally:
        restore(model, before)
        for handle in handles:
            handle.remove()
    trace.place.clear()
    first, *rest = flat(outputs)
    value = trace.value(first)
    if not isinstance(value, Value) or "channel" not in value.dims:
        raise InputError(f"the first output of {type(model).__name__} is not made of its input, or not channels of a step")
    for one in rest:
        known = trace.value(one)
        parts = known.values if isinstance(known, Stacked) else [known]
        if not all(isinstance(part, Value) and part.node.kind in ("cell", "memory") for part in parts):
            raise InputError(f"{type(model).__name__} gives out more than one sequence and the states of its layers")
    if value.at not in (None, -1, 0, steps - 1):
        raise InputError(f"{type(model).__name__} gives out step {value.at}, neither the last nor all")
    output = value.node
    if value.at == 0 and steps > 1:
        output = trace.node("take", [output], output.width, first=True)
    program = Program(_ordered(source, output), output, value.at is None or steps == 1)
    return program, [trace.value(one) for one in (first, *rest)], trace.states


def _ordered(source, output):
    """The nodes that an output needs, each after what it is made of."""
    found, seen = [source], {source}

    def visit(node):
        if node in seen:
            return
        seen.add(node)
        if node.kind == "memory":
            raise InputError(f"what an LSTM keeps ({node.name!r}) is used as a value, which the C export does not know")
        for one in node.inputs:
            visit(one)
        found.append(node)

    visit(output)
    return found
