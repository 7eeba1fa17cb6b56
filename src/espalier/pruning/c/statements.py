"""The lines of C that compute each kind of node."""

import numpy as np

from espalier.names import GATES
from espalier.pruning.c.layouts import in_steps, padded
from espalier.pruning.c.text import literal

#: Functions of one number `x`, and of numbers `a`, `b`.
MAPS = {
    "relu": "x < 0.0f ? 0.0f : x",
    "tanh": "tanh_of(x)",
    "sigmoid": "sigmoid_of(x)",
    "leaky_relu": "x < 0.0f ? {0} * x : x",
    "elu": "x < 0.0f ? {0} * expm1f(x) : x",
    "silu": "x / (1.0f + expf(-x))",
    "gelu": "0.5f * x * (1.0f + erff(x * 0.70710678f))",
    "softplus": "x > 20.0f ? x : log1pf(expf(x))",
    "softsign": "x / (1.0f + fabsf(x))",
    "hardtanh": "x < {0} ? {0} : x > {1} ? {1} : x",
    "hardsigmoid": "x < -3.0f ? 0.0f : x > 3.0f ? 1.0f : x / 6.0f + 0.5f",
    "hardswish": "x * (x < -3.0f ? 0.0f : x > 3.0f ? 1.0f : x / 6.0f + 0.5f)",
    "abs": "fabsf(x)",
    "square": "x * x",
    "exp": "expf(x)",
}
PAIRS = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "maximum": "{0} > {1} ? {0} : {1}",
    "minimum": "{0} < {1} ? {0} : {1}",
}  # fmt: skip


class Statements:
    """Part of a `Writer`."""

    def _at(self, node, step="t"):
        return f"x{self.numbers[node]} + ({step}) * {padded(node.width)}"

    def _product(self, node, number, x, width, n, out, height):
        own, name = self.matrices[node, number], f"w{self.numbers[node]}_{number}"
        scale = f"{name}_scale" if own.scale is not None else "0"
        if own.layout == "dense":
            return f"dense({name}, {scale}, {own.rows // 8}, {own.columns}, {x}, {width}, {n}, {out}, {height});"
        groups = len(own.starts) - 1
        return f"{own.layout}({name}, {scale}, {name}_starts, {name}_places, {groups}, {x}, {width}, {n}, {out}, {height});"

    def _body(self, nodes):
        lines = []
        for node in nodes:
            lines += [f"/* {node.kind}{' ' + node.name if node.name else ''} */"]
            lines += [line for line in getattr(self, f"_on_{node.kind}")(node) if line]
        return lines

    def _ends(self):
        return ["{", "const int t0 = 0, n = 1;", "(void)t0, (void)n;", *self._body(self.end), "}"] if self.end else []

    def _each(self, node, text):
        """A loop over the steps and the channels: `k`; the rest of the channels stays zero."""
        lines = ["for (int t = t0; t < t0 + n; t++) {", f"float *y = {self._at(node)};"]
        for letter, one in zip("ab", dict.fromkeys(node.inputs)):
            lines.append(f"const float *{letter} = {self._at(one)};")
        return [*lines, f"for (int k = 0; k < {node.width}; k++) {text}", *self._rest(node), "}"]

    @staticmethod
    def _rest(node):
        width = padded(node.width)
        return [f"for (int k = {node.width}; k < {width}; k++) y[k] = 0.0f;"] if width > node.width else []

    def _on_tokens(self, node):
        return []

    def _on_input(self, node):
        lines = ["for (int t = t0; t < t0 + n; t++) {", f"float *y = {self._at(node)};"]
        return [*lines, f"for (int k = 0; k < {node.width}; k++) y[k] = in[t * {node.width} + k];", *self._rest(node), "}"]

    def _on_embedding(self, node):
        table, name = node.more["table"].numpy(), f"e{self.numbers[node]}"
        codes, scale = len(table), ""
        if self.quantize:
            steps, sizes = in_steps(table)
            self._array(name, steps, node)
            self._array(f"{name}_scale", sizes)
            scale = f" * {name}_scale[in[t]]"
        else:
            self._array(name, table.astype(np.float32), node)
        return [
            "for (int t = t0; t < t0 + n; t++) {",
            f"const int known = in[t] >= 0 && in[t] < {codes};",
            f"float *y = {self._at(node)};",
            f"for (int k = 0; k < {node.width}; k++) y[k] = known ? {name}[in[t] * {node.width} + k]{scale} : NAN;",
            *self._rest(node), "}",
        ]  # fmt: skip

    def _on_linear(self, node):
        name, width = self._vector(f"b{self.numbers[node]}", node.more["bias"]), padded(node.width)
        lines = [f"for (int t = t0; t < t0 + n; t++) memcpy({self._at(node)}, {name}, sizeof {name});"]
        for number, one in enumerate(node.inputs):
            lines.append(self._product(node, number, self._at(one, "t0"), padded(one.width), "n", self._at(node, "t0"), width))
        return lines

    def _on_cell(self, node):
        cell, k, width = node.more["cell"], self.numbers[node], padded(node.width)
        high = GATES[cell] * width
        h, c = f"state->h{k}", f"state->c{k}"
        inner = node.more["bias_hh"].reshape(GATES[cell], -1)
        outer = node.more["bias_ih"].reshape(GATES[cell], -1) + inner
        if cell == "gru":  # what r multiplies stays apart
            outer[2], inner = outer[2] - inner[2], inner.clone()
            inner[:2] = 0
        bias = self._vector(f"b{k}", outer, GATES[cell])
        for what, start in ((f"h{k}", node.more["start"][0]), (f"c{k}", node.more["start"][1])):
            if what[0] == "h" or cell == "lstm":
                self.state.append((what, width))
                if start.any():
                    self.resets.append(f"memcpy(state->{what}, {self._vector(f'start_{what}', start)}, sizeof state->{what});")
        lines = ["{", "float *gates = work + block * STEP_FLOATS;"]
        lines += ["float *inner = gates + block * GATE_FLOATS;"] if cell == "gru" else []
        lines += [f"for (int t = 0; t < n; t++) memcpy(gates + t * {high}, {bias}, sizeof {bias});"]
        for number, one in enumerate(node.inputs):
            lines.append(self._product(node, number, self._at(one, "0"), padded(one.width), "n", "gates", high))
        lines += ["for (int t = n - 1; t >= 0; t--) {" if node.more["reverse"] else "for (int t = 0; t < n; t++) {"]
        entered, to = f"gates + t * {high}", f"gates + t * {high}"
        if cell == "gru":
            second = self._vector(f"b{k}_h2h", inner, 3)
            lines.append(f"memcpy(inner, {second}, sizeof {second});")
            to = "inner"
        lines.append(self._product(node, len(node.inputs), h, 0, "1", to, 0))
        if cell == "lstm":
            self.kernels.add("lstm")
            lines.append(f"lstm({width}, {entered}, {c}, {h});")
        elif cell == "gru":
            self.kernels.add("gru")
            lines.append(f"gru({width}, {entered}, inner, {h});")
        else:
            function = MAPS["relu" if cell == "rnn_relu" else "tanh"]
            lines.append(f"for (int k = 0; k < {width}; k++) {{ const float x = gates[t * {high} + k]; {h}[k] = {function}; }}")
        return [*lines, f"memcpy({self._at(node)}, {h}, sizeof {h});", "}", "}"]

    def _on_map(self, node):
        function = MAPS[node.more["function"]].format(*map(literal, node.more["numbers"]))
        return self._each(node, f"{{ const float x = a[k]; y[k] = {function}; }}")

    def _on_affine(self, node):
        k = self.numbers[node]
        scale, shift = self._vector(f"scale{k}", node.more["scale"]), self._vector(f"shift{k}", node.more["shift"])
        return self._each(node, f"y[k] = a[k] * {scale}[k] + {shift}[k];")

    def _on_pair(self, node):
        second = "a[k]" if node.inputs[0] is node.inputs[1] else "b[k]"
        return self._each(node, f"y[k] = {PAIRS[node.more['function']].format('a[k]', second)};")

    def _on_slice(self, node):
        return self._each(node, f"y[k] = a[k + {node.more['first']}];")

    def _on_concat(self, node):
        lines, place = ["for (int t = t0; t < t0 + n; t++) {", f"float *y = {self._at(node)};"], 0
        for one in node.inputs:
            lines.append(f"memcpy(y + {place}, {self._at(one)}, {one.width} * sizeof *y);")
            place += one.width
        return [*lines, *self._rest(node), "}"]

    def _on_softmax(self, node):
        last = "y[k] = a[k] - most - logf(total);" if node.more["log"] else "y[k] = expf(a[k] - most) / total;"
        return [
            "for (int t = t0; t < t0 + n; t++) {",
            f"const float *a = {self._at(node.inputs[0])};",
            f"float *y = {self._at(node)};",
            "float most = a[0], total = 0.0f;",
            f"for (int k = 1; k < {node.width}; k++) most = a[k] > most ? a[k] : most;",
            f"for (int k = 0; k < {node.width}; k++) total += expf(a[k] - most);",
            f"for (int k = 0; k < {node.width}; k++) {last}",
            *self._rest(node), "}",
        ]  # fmt: skip

    def _on_running(self, node):
        k, function = self.numbers[node], node.more["function"]
        so_far = f"state->r{k}"
        self.state.append((f"r{k}", padded(node.width)))
        if function == "max":
            self.resets.append(f"for (int k = 0; k < {padded(node.width)}; k++) {so_far}[k] = -INFINITY;")
            step = f"{{ if (a[k] > {so_far}[k] || a[k] != a[k]) {so_far}[k] = a[k]; y[k] = {so_far}[k]; }}"
            return self._each(node, step)
        if function == "sum":
            return self._each(node, f"y[k] = {so_far}[k] += a[k];")
        self.state.append((f"seen{k}", 1))
        lines = self._each(node, f"y[k] = ({so_far}[k] += a[k]) / state->seen{k}[0];")
        return [lines[0], f"state->seen{k}[0] += 1.0f;", *lines[1:]]

    def _on_all_steps(self, node):
        (one,) = node.inputs
        lines = [f"float *y = {self._at(node, '0')};", "for (int t = 0; t < steps; t++)"]
        lines += [f"    memcpy(y + t * {one.width}, {self._at(one)}, {one.width} * sizeof *y);"]
        return ["{", *lines, *self._rest(node), "}"]

    def _on_take(self, node):
        (one,) = node.inputs
        step = "0" if node.more["first"] else "steps - 1"
        return [f"memcpy({self._at(node, '0')}, {self._at(one, step)}, {padded(node.width)} * sizeof(float));"]
