"""Single sequences that a model takes, made from its example, and what it makes of them."""

import copy

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning.c.program import Node
from espalier.pruning.c.trace import traced
from espalier.pruning.c.values import digest
from espalier.pruning.running import Repeated, first_line, flat, given, maker, tensors, with_tensors

#: Steps of the two sequences that a network is traced on: what depends on their number shows.
STEPS = (7, 5)


class Sequences:
    """What a model takes, one sequence at a time, and its `program`.

    kind: `time`, a dimension of the first input is time; `step`, the model is one step, its states go in and out; `examples`,
    there is no time, and what counts as a step is an example.
    example: as for `espalier.export`.  Raises: InputError for what the export does not know.
    """

    def __init__(self, model, example=None):
        self.name = type(model).__name__
        try:
            self.model = copy.deepcopy(model).cpu().float().eval()
        except Exception as error:  # of a state with a graph, or weights that are computed
            raise InputError(f"{self.name} cannot be copied ({type(error).__name__}: {first_line(error)})") from None
        self.runs = Repeated(self.model)
        self.function = example if callable(example) else maker(self.model) if example is None else None
        self.fixed = None if self.function else given(example)
        first = self._made(1, STEPS[0])
        self.kind, places = self._time(first)
        self._check(first)
        #: Number of steps of every sequence, None where there may be any.
        self.steps, problem = None, None
        for self.place in places:
            try:
                self._understand()
                return
            except InputError as error:
                problem = problem or error
        raise problem

    def _understand(self):
        """Trace two numbers of steps, or the only one that the model takes."""
        own = tensors(self.fixed)[0].shape[self.place] if self.fixed and self.kind == "time" else STEPS[0]
        traced, problem = {}, None
        for steps in dict.fromkeys((*STEPS, own)):
            if steps not in STEPS and traced:
                continue
            try:
                traced[steps] = self._traced(steps)
            except InputError:
                raise
            except Exception as error:  # whatever the model says to so many steps
                problem = problem or error
        if not traced:
            told = f"{type(problem).__name__}: {first_line(problem)}"
            raise InputError(f"{self.name} does not take the example: {told}")
        self.steps = next(iter(traced)) if len(traced) == 1 else None
        self.program, self.outputs, self.states = next(iter(traced.values()))
        self.program.steps = self.steps
        if self.steps is None and len({repr(_told(program)) for program, _, _ in traced.values()}) > 1:
            raise InputError(f"what {self.name} computes depends on the number of steps, which the C export does not know")

    # Inputs

    def _made(self, batch, steps):
        if self.function:
            try:
                return given(lambda *_: self.function(batch, steps))
            except Exception as error:  # whatever the user's function says
                told = f"{type(error).__name__}: {first_line(error)}"
                raise InputError(f"the example's function fails at batch {batch}, time {steps}: {told}") from None
        return self.fixed

    def _time(self, first):
        """(kind, dimensions of the first input that may be time, the likeliest first)."""
        values = tensors(first)
        if not values or values[0].dim() == 0:
            raise InputError(f"{self.name} takes no tensor that could be a sequence")
        sequence, modules = values[0], list(self.model.modules())
        layers = [one for one in modules if isinstance(one, nn.RNNBase)]
        cells = any(isinstance(one, nn.RNNCellBase) for one in modules)
        if self.function:
            longer = tensors(self._made(1, STEPS[1]))[0]
            moving = [k for k, (a, b) in enumerate(zip(sequence.shape, longer.shape)) if a != b]
            if moving:
                return "time", moving[:1]
            self.fixed, self.function = (first, None) if layers else (None, self.function)
        if not self.function and layers:
            if not self._batched(sequence):
                return "time", [0]
            return "time", [1, 0] if all(one.batch_first for one in layers) else [0, 1]
        if not self.function and self._batched(sequence) and cells:
            return "time", [1]
        return ("step", [None]) if cells and len(values) > 1 else ("examples", [0])

    def _check(self, first):
        for one in tensors(first)[1:]:
            if not one.is_floating_point() and one.dim() > 1:
                raise InputError(f"{self.name} takes more than one sequence, which the C export does not know")

    def _with(self, sequence, steps, states=None):
        """Inputs with this sequence; states zero, or as given, and lengths that say how long it is."""
        inputs = self._made(1, steps if self.kind == "time" else 6)
        changed, given_states = [sequence], iter(states or [])
        for one in tensors(inputs)[1:]:
            if one.is_floating_point():
                zero = torch.zeros_like(one, dtype=torch.float32)
                changed.append(next(given_states, self._single_state(zero)))
            else:
                changed.append(torch.full_like(one[:1], steps) if one.dim() else one)
        return with_tensors(inputs, iter(changed))

    @staticmethod
    def _single_state(zero):
        """A state of one sequence: the batch is the dimension before the last."""
        return zero.narrow(-2, 0, 1) if zero.dim() > 1 else zero

    def sequence(self, steps, seed):
        """The first input of a model for one sequence of so many steps."""
        generator = torch.Generator().manual_seed(seed)
        if self.function:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                made = self._made(1 if self.kind == "time" else steps, steps if self.kind == "time" else 6)
            values = tensors(made)[0]
        else:
            values = tensors(self.fixed)[0]
            if self.kind != "time":
                values = values[torch.arange(steps) % len(values)]
            else:
                values = values.narrow(1 - self.place, 0, 1) if self._batched(values) else values
                values = values.index_select(self.place, torch.arange(steps) % values.shape[self.place])
            drawn = torch.randint(values.numel(), values.shape, generator=generator)
            values = values.flatten()[drawn] if seed else values
        return values.float() if values.is_floating_point() else values

    def _batched(self, values):
        """Whether one of its dimensions is the batch, beside time and channels."""
        return values.dim() > (2 if values.is_floating_point() else 1)

    def numbers(self, sequence):
        """The sequence as C takes it: `(T, inputs)`, or `(T,)` of tokens."""
        if self.kind == "step":
            return sequence.reshape(len(sequence), -1) if sequence.is_floating_point() else sequence.flatten()
        moved = sequence.movedim(self.place, 0)
        return moved.flatten(1) if sequence.is_floating_point() else moved.flatten()

    # What the model makes of them

    def _traced(self, steps):
        if self.kind == "step":
            steps = 1
        sequence = self.sequence(steps, 0)
        inputs = self._with(sequence, steps)
        numbers = self.numbers(sequence)
        tokens = not sequence.is_floating_point()
        source = Node("tokens" if tokens else "input", [], 1 if tokens else numbers.shape[1], "input")
        dims = ["one"] * sequence.dim()
        if self.kind != "step":
            dims[self.place] = "time"
        if not tokens:
            others = [k for k in range(sequence.dim()) if dims[k] != "time" and k != self._batch(sequence)]
            for k in others:
                dims[k] = "channel" if len(others) == 1 else "part"
        starts = [(k, one) for k, one in enumerate(tensors(inputs)[1:]) if one.is_floating_point()]
        program, outputs, states = traced(self.model, source, inputs, tensors(inputs)[0], tuple(dims), steps, starts)
        if len(states) != len(starts):
            raise InputError(f"{self.name} takes numbers beside its sequence that are no states of its recurrent layers")
        return program, outputs, states

    def _batch(self, sequence):
        """The dimension of the batch, or None where there is none beside what counts as time."""
        if self.kind == "step":
            return 0 if sequence.dim() > 1 else None
        return int(self.place == 0) if self.kind == "time" and sequence.dim() > 2 else None

    @torch.no_grad()
    def expected(self, sequence):
        """What torch makes of a sequence: `(T, outputs)`, or `(outputs,)` where only the end is told."""
        if self.kind == "step":
            return self._stepped(sequence)
        steps = sequence.shape[self.place]
        found = flat(self.runs.forward(self._with(sequence, steps)))[0]
        if self.program.every_step and found.numel() % steps:
            raise InputError(f"{self.name} gives out {found.numel()} numbers of {steps} steps, not as many of each")
        return found.reshape(steps, -1) if self.program.every_step else found.reshape(-1)

    def _stepped(self, sequence):
        """Step by step, what comes out as a state going in again."""
        kept, found, states = [], [], None
        for number in sorted(self.states):
            node, memory = self.states[number]
            wanted = [
                k for k, one in enumerate(self.outputs)
                if (one.node.inputs[0] is node and one.node.kind == "memory" if memory else one.node is node)
            ]  # fmt: skip
            if not wanted:
                raise InputError(f"{self.name} does not give out the states that it takes")
            kept.append(wanted[-1])
        for k in range(len(sequence)):
            outputs = flat(self.runs.forward(self._with(sequence[k : k + 1], 1, states)))
            states = [outputs[place] for place in kept]
            found.append(outputs[0].reshape(-1))
        return torch.stack(found)


def _told(program):
    """What a program computes, to compare it with another."""
    numbers, told = {node: k for k, node in enumerate(program.nodes)}, [program.every_step]
    for node in program.nodes:
        more = {name: digest(value) for name, value in node.more.items()}
        told.append((node.kind, node.width, [numbers[one] for one in node.inputs], list(map(digest, node.matrices)), more))
    return told
