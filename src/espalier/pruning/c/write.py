"""The text of net.c and net.h."""

import re
from pathlib import Path

import numpy as np

from espalier.names import GATES
from espalier.pruning.c.layouts import chosen, laid, padded, widened
from espalier.pruning.c.program import ENDS
from espalier.pruning.c.statements import Statements
from espalier.pruning.c.text import indented, literal, polynomials, sections

#: Steps that `net_run` takes at a time, so that it reads weights less often.
BLOCK = 8
#: Steps of the longest sequence where a layer reads backwards and all of it must be there, unless the user says another.
MOST_STEPS = 256
#: Kinds of numbers in numpy and in C.
KINDS = {
    "float32": "float", "int8": "signed char", "int32": "int", "uint32": "unsigned int", "uint16": "unsigned short",
}  # fmt: skip


def prefix_of(path):
    """What the names in a file begin with."""
    stem = re.sub(r"\W", "_", Path(path).stem, flags=re.ASCII).strip("_") or "net"
    return f"n{stem}" if stem[0].isdigit() else stem


class Writer(Statements):
    """Writes a `Program`.  `source` and `header`, the two files; `about`, bytes that they take, by name; `lines`, how each
    matrix lies, in words.

    title: a line that says which network it is.  layout: for all matrices, or None.  quantize: `int8` or None.
    """

    def __init__(self, program, path, title, layout=None, quantize=None):
        self.program, self.quantize = program, quantize
        self.prefix, self.name = prefix_of(path), Path(path).stem
        self.upper = self.prefix.upper()
        self.numbers = {node: k for k, node in enumerate(program.nodes)}
        self.arrays, self.flash, self.kernels, self.lines = [], 0, set(), []
        self.state, self.resets = [], []  # (name, floats); lines of net_reset
        self.offsets, self.total = {}, 0
        self.matrices = self._matrices(layout)
        self.first, self.then, self.end = self._parts()
        self._offsets()
        advance, readout = self._body(self.first), self._body(self.then) + self._ends()
        self.about = self._about()
        self.title = title
        self.source, self.header = self._source(advance, readout), self._header()

    # What is where

    def _matrices(self, layout):
        found = {}
        for node, number in self.program.matrices():
            matrix = widened(node.matrices[number].numpy(), GATES[node.more["cell"]] if node.kind == "cell" else 1)
            own = laid(matrix, chosen(matrix, layout, self.quantize), self.quantize)
            found[node, number] = own
            self.kernels.add(own.layout)
            name = f"w{self.numbers[node]}_{number}"
            self._array(name, own.values, node, number)
            for what, values in (("starts", own.starts), ("places", own.places), ("scale", own.scale)):
                if values is not None:
                    self._array(f"{name}_{what}", values)
            self.lines.append(self._told(node, number, own))
        return found

    @staticmethod
    def _told(node, number, own):
        matrix = node.matrices[number]
        kept = int((matrix != 0).sum())
        kind = "" if node.kind != "cell" else ", h2h" if number == len(node.inputs) else ", i2h"
        removed = 100 * (1 - kept / matrix.numel())
        return f"{node.name or node.kind}{kind}: {matrix.shape[0]} x {matrix.shape[1]}, {removed:.0f} % zero, {own.layout}"

    def _parts(self):
        """(nodes that states need, the others of every step, those of the end)."""
        needed, ends = set(), set()
        for node in reversed(self.program.nodes):
            if node.kind in ("cell", "running", "input", "tokens", "embedding") or node in needed:
                needed |= {node, *node.inputs}
        for node in self.program.nodes:
            if node.kind in ENDS or any(one in ends for one in node.inputs):
                ends.add(node)
        nodes = self.program.nodes
        first = [node for node in nodes if node in needed and node not in ends]
        return first, [node for node in nodes if node not in needed and node not in ends], [n for n in nodes if n in ends]

    def _offsets(self):
        """Where the numbers of each node stand among those of a step; what cells need besides comes after them."""
        for node in self.program.nodes:
            if node.kind != "tokens":
                self.offsets[node] = self.total
                self.total += padded(node.width)
        cells = [node for node in self.program.nodes if node.kind == "cell"]
        self.gates = max((GATES[node.more["cell"]] * padded(node.width) for node in cells), default=0)
        self.inner = max((3 * padded(node.width) for node in cells if node.more["cell"] == "gru"), default=0)

    # Arrays

    def _array(self, name, values, node=None, number=0):
        values = np.ascontiguousarray(values)
        self.flash += values.nbytes
        kind, flat = KINDS[str(values.dtype)], values.reshape(-1)
        end = "u" if kind == "unsigned int" else ""
        texts = [literal(one) if kind == "float" else f"{one}{end}" for one in flat.tolist()]
        texts = texts or ["0"]  # C has no empty arrays
        lines, line = [], ""
        for text in texts:
            if len(line) + len(text) > 118:
                lines.append(line)
                line = ""
            line += f"{text},"
        head = ""
        if node is not None:
            which = f", matrix {number}" if node.kind == "cell" else ""
            head = f"/* {node.name or node.kind}{which} */\n"
        self.arrays.append(f"{head}static const {kind} {name}[{len(texts)}] = {{\n" + "\n".join([*lines, line]) + "\n};")

    def _vector(self, name, values, gates=1):
        """An array of numbers, those of every gate filled up to whole vectors."""
        values = values.numpy().reshape(gates, -1)
        whole = np.zeros((gates, padded(values.shape[1])), np.float32)
        whole[:, : values.shape[1]] = values
        self._array(name, whole)
        return name

    # Files

    def _about(self):
        """Bytes that it takes: of constants, of the state, and of the stack in `net_step` and `net_run`."""
        floats = sum(size for _, size in self.state)
        work = self.total + self.gates
        if self.program.whole:
            floats += (self.program.steps or MOST_STEPS) * work + max(self.inner, 1)
        about = {"bytes": self.flash, "state": max(4 * floats, 1)}
        if not self.program.whole:
            about |= {"stack_step": 4 * (work + self.inner), "stack_run": 4 * (BLOCK * work + self.inner)}
        return about

    def _comment(self):
        about, matrices = self.about, [node.matrices[number] for node, number in self.program.matrices()]
        kept, weights = sum(int((one != 0).sum()) for one in matrices), sum(one.numel() for one in matrices)
        lines = [
            self.title,
            f"{kept:,} of {weights:,} weights of its matrices are not zero"
            + ("; they are in 8 bits, in steps of a 127th of the largest of each row." if self.quantize else "."),
            *(f"  {line}" for line in self.lines),
            f"Constants (flash): {about['bytes']:,} bytes. {self.prefix}_state (RAM): {about['state']:,} bytes.",
        ]
        if self.program.whole:
            lines.append(f"It needs whole sequences: there is {self.prefix}_run, and no step.")
        else:
            lines.append(
                f"Stack: {about['stack_step']:,} bytes of {self.prefix}_step, {about['stack_run']:,} of {self.prefix}_run."
            )
        lines += [
            "C99, nothing but libm. Fastest with: cc -O3 -march=native -ffp-contract=fast",
            f"-D{self.upper}_LIBM takes tanh and exp of libm instead of the quotient below; -D{self.upper}_PLAIN no vectors.",
        ]  # fmt: skip
        return ["/* " + lines[0], *(f" * {line}" for line in lines[1:]), " */"]

    def _header(self):
        P, p, program = self.upper, self.prefix, self.program
        tokens = program.source.kind == "tokens"
        kind, what = ("int", "token codes") if tokens else ("float", "numbers")
        told = [f"/* {self.title}", " *"]
        if program.whole:
            most = "always" if program.steps else "at most"
            told += [
                f" * {p}_run reads {kind} in[steps * {P}_INPUTS] from the first step to the last, {most} {P}_MAX_STEPS, and",
                f" * writes float out[{'steps * ' if program.every_step else ''}{P}_OUTPUTS].",
            ]
        else:
            told += [
                f" * {p}_reset first. {p}_step then takes the {what} of one step and writes float out[{P}_OUTPUTS], what the",
                f" * network gives out after it. {p}_run takes steps * {P}_INPUTS of them and writes "
                + ("those of every step." if program.every_step else "those of the last alone."),
                " * Both go on from where the state is.",
            ]  # fmt: skip
        told += [f" * {p}_run returns for how many steps it wrote; -1, and nothing is done, where it does not take so many."]
        if tokens:
            codes = min(len(node.more["table"]) for node in program.nodes if node.kind == "embedding")
            told += [f" * Codes go from 0 to {codes - 1}; another is read as NaN, which goes through it all until {p}_reset."]
        lines = [*told, " */", f"#ifndef {P}_H", f"#define {P}_H", "", "#ifdef __cplusplus", 'extern "C" {', "#endif", ""]
        lines += [f"#define {P}_INPUTS {program.source.width}", f"#define {P}_OUTPUTS {program.output.width}"]
        lines += [f"#define {P}_CODES {codes}"] if tokens else []
        lines += [f"#define {P}_EVERY_STEP {int(program.every_step)}"]
        if program.whole:
            define = f"#define {P}_MAX_STEPS {program.steps or MOST_STEPS}"
            lines += [define] if program.steps else [f"#ifndef {P}_MAX_STEPS", define, "#endif"]
        fields = [f"    float {name}[{size}];" for name, size in self.state]
        if program.whole:
            fields.append(f"    float work[{P}_MAX_STEPS * {self.total + self.gates} + {max(self.inner, 1)}];")
        lines += ["", "typedef struct {", *(fields or ["    char nothing;"]), f"}} {p}_state;", ""]
        lines += [f"void {p}_reset({p}_state *state);"]
        lines += [] if program.whole else [f"void {p}_step({p}_state *state, const {kind} *in, float *out);"]
        lines += [f"int {p}_run({p}_state *state, const {kind} *in, int steps, float *out);"]
        lines += ["", "#ifdef __cplusplus", "}", "#endif", "", "#endif"]
        return "\n".join(lines) + "\n"

    def _pointers(self, lines):
        """Where the numbers of each node are that these lines name."""
        named = set(re.findall(r"\bx\d+\b", " ".join(lines)))
        found = [(f"x{self.numbers[node]}", offset) for node, offset in self.offsets.items()]
        return [f"float *{name} = work + block * {offset};" for name, offset in found if name in named]

    def _source(self, advance, readout):
        P, p, program = self.upper, self.prefix, self.program
        kind = "int" if program.source.kind == "tokens" else "float"
        pieces = sections(P, polynomials())
        order = ["head", "int8" if self.quantize else "float", "activations"]
        order += [name for name in pieces if name in self.kernels]
        last = program.output
        rows = "t0 + n" if program.every_step else "1"
        where = self._at(last, "t" if program.every_step else "0" if last in self.end else "t0 + n - 1")
        begin = "t0" if program.every_step else "0"
        out = [
            f"for (int t = {begin}; t < {rows}; t++)",
            f"    memcpy(out + (t - {begin}) * {last.width}, {where}, {last.width} * sizeof *out);",
        ]
        text = [
            *self._comment(), f'#include "{self.name}.h"', "#include <math.h>", "#include <string.h>", "",
            "".join(pieces[name] for name in order), *self.arrays, "",
            f"enum {{ STEP_FLOATS = {self.total}, GATE_FLOATS = {self.gates}, INNER_FLOATS = {self.inner} }};", "",
            f"void {p}_reset({p}_state *state)", "{", "memset(state, 0, sizeof *state);", *self.resets, "}", "",
            "/* Takes n steps: everything that states need. Numbers of a node stand `block` steps apart in `work`. */",
            f"static void advance({p}_state *state, float *work, int block, const {kind} *in, int n)", "{",
            "const int t0 = 0;", *self._pointers(advance),
            "(void)t0, (void)state, (void)work, (void)block, (void)in, (void)n;", *advance, "}", "",
            "/* What comes out after step t0 and the n - 1 that follow. */",
            "static void readout(float *work, int block, int t0, int n, int steps, float *out)", "{",
            *self._pointers([*readout, *out]),
            "(void)work, (void)block, (void)t0, (void)n, (void)steps;", *readout, *out, "}", "",
        ]  # fmt: skip
        if program.whole:
            ends = "0, steps" if program.every_step or self.end else "steps - 1, 1"
            count = "steps" if program.every_step else "1"
            text += [
                f"int {p}_run({p}_state *state, const {kind} *in, int steps, float *out)", "{",
                f"if (steps {f'!= {P}_MAX_STEPS' if program.steps else f'< 1 || steps > {P}_MAX_STEPS'}) return -1;",
                f"{p}_reset(state);",
                f"advance(state, state->work, {P}_MAX_STEPS, in, steps);",
                f"readout(state->work, {P}_MAX_STEPS, {ends}, steps, out);", f"return {count};", "}",
            ]  # fmt: skip
        else:
            size = "STEP_FLOATS + GATE_FLOATS"
            text += [
                f"void {p}_step({p}_state *state, const {kind} *in, float *out)", "{",
                f"float work[{size} + INNER_FLOATS];", "advance(state, work, 1, in, 1);",
                "readout(work, 1, 0, 1, 1, out);", "}", "",
                f"int {p}_run({p}_state *state, const {kind} *in, int steps, float *out)", "{",
                f"float work[{BLOCK} * ({size}) + INNER_FLOATS];", "if (steps < 1) return -1;",
                f"for (int done = 0; done < steps; done += {BLOCK}) {{",
                f"const int n = steps - done < {BLOCK} ? steps - done : {BLOCK};",
                f"advance(state, work, {BLOCK}, in + done * {P}_INPUTS, n);",
                *([f"readout(work, {BLOCK}, 0, n, n, out + done * {P}_OUTPUTS);"] if program.every_step
                  else [f"if (done + n == steps) readout(work, {BLOCK}, n - 1, 1, n, out);"]),
                "}", f"return {'steps' if program.every_step else '1'};", "}",
            ]  # fmt: skip
        return "\n".join(indented(text)) + "\n"
