"""A network as C: traced and checked once, written in any layout."""

import copy
from pathlib import Path

import numpy as np
import torch

from espalier.errors import InputError
from espalier.pruning.c.check import FAST, Compiled, compared, compiler, temporary
from espalier.pruning.c.layouts import TILES, rounded
from espalier.pruning.c.program import folded
from espalier.pruning.c.sequences import Sequences
from espalier.pruning.c.write import Writer
from espalier.pruning.running import first_line
from espalier.pruning.selection import refuse_compiled
from espalier.runs import files

#: Headers of C that the files, and programs around them, include.
HEADERS = ("assert", "complex", "ctype", "errno", "float", "limits", "math", "stdint", "stdio", "stdlib", "string", "time")
#: Largest difference that counts as equal, relative to the largest output.
TOLERANCE = 1e-5
#: (steps, seed) of the sequences that it is held against torch on; the first is the example's.
TRIED = ((7, 0), (1, 1), (2, 2), (9, 3), (33, 4), (64, 5), (200, 6))


class Network:
    """A model that can be written as C.  `program`, what it computes at a step; `sequences`, those that it is tried on, and
    `expected`, what torch makes of them, as arrays.

    example: as for `espalier.export`.  Raises: InputError for what the export does not know, and if the program is not what
    torch computes.
    """

    def __init__(self, model, example=None):
        refuse_compiled(model)
        for name, one in (*model.named_parameters(), *model.named_buffers()):
            if one.is_floating_point() and not torch.isfinite(one).all():
                raise InputError(f"{name} holds values that are not finite")
        self.made = Sequences(model, example)
        self.program = folded(copy.deepcopy(self.made.program))
        self.sequences, self.expected = [], []
        for steps, seed in TRIED:
            sequence = self.made.sequence(self.made.steps or steps, seed)
            self.sequences.append(self.made.numbers(sequence).numpy())
            self.expected.append(self.made.expected(sequence).double().numpy())
        self._check()

    def _check(self):
        name = self.made.name
        try:
            found = self._computed(self.program)
        except RuntimeError as error:  # of sizes that do not fit
            raise InputError(f"{name} is more than the C export understands: {first_line(error)}") from None
        difference = _apart(found, self.expected)
        if not difference <= TOLERANCE:
            raise InputError(
                f"{name} as the C export understands it differs from torch by {difference:.1e}; nothing was written"
            )

    def _computed(self, program):
        """What a program makes of the sequences, computed by torch."""
        found = [program.run(torch.from_numpy(one)) for one in self.sequences]
        return [ours.reshape(theirs.shape).numpy() for ours, theirs in zip(found, self.expected)]

    def writer(self, path, layout=None, quantize=None):
        return Writer(self.program, path, self._title(), layout, quantize)

    def write(self, path, layout=None, quantize=None):
        """Write `path` and the header beside it.  Returns a row for `export`; arguments and errors as there."""
        if layout is not None and (not isinstance(layout, str) or layout not in TILES):
            raise InputError(f"layout must be one of {', '.join(TILES)}, or None, got {layout!r}")
        path = Path(path)
        if path.stem in HEADERS:
            raise InputError(f"{path}: its header would hide C's own {path.stem}.h; take another name")
        writer = self.writer(path, layout, quantize)
        row, wanted, notes = {"path": str(path), "layouts": writer.lines, **writer.about}, self.expected, []
        if quantize:
            wanted = self.in_steps()
            row["error"] = _apart(wanted, self.expected)
            notes.append(f"int8: off by {100 * row['error']:.2g} % of the largest output")
        if compiler():
            with temporary() as folder:
                row["difference"] = compared(Compiled(writer, folder), self.sequences, wanted)
            row["shapes"] = len(self.sequences)
            if not row["difference"] <= TOLERANCE:
                raise InputError(f"{self.made.name} in C differs from torch by {row['difference']:.1e}; nothing was written")
        else:
            notes.append("not compiled and not checked: there is no C compiler (cc, or what CC names)")
        files.write_text(path.with_suffix(".h"), writer.header)
        files.write_text(path, writer.source)
        return row | ({"note": "; ".join(notes)} if notes else {})

    def latency(self, steps, layout=None, quantize=None):
        """(median, lower, upper quartile) of the milliseconds of a pass over so many steps on one thread of this machine, or
        None without a compiler.
        """
        if not compiler():
            return None
        sequence = self.made.numbers(self.made.sequence(self.made.steps or steps, 1)).numpy()
        with temporary() as folder:
            return Compiled(self.writer("net.c", layout, quantize), folder, FAST).latency(sequence)

    def in_steps(self):
        """What should come out where matrices and tables are in int8: computed with them as they are read again."""
        twin = copy.deepcopy(self.program)
        for node in twin.nodes:
            node.matrices = [torch.from_numpy(rounded(one.numpy())) for one in node.matrices]
            if node.kind == "embedding":
                node.more["table"] = torch.from_numpy(rounded(node.more["table"].numpy()))
        return self._computed(twin)

    def _title(self):
        nodes = self.program.nodes
        cells = [f"{node.more['cell']} {node.width}" for node in nodes if node.kind == "cell"]
        removed = [round(100 * float((one == 0).double().mean())) for node in nodes for one in node.matrices] or [0]
        least, most = min(removed), max(removed)
        share = f"; {least if least == most else f'{least} to {most}'} % of each matrix zero" if most else ""
        return f"{self.made.name} ({', '.join(cells) or 'no recurrent layer'}{share}), written by espalier."


def _apart(found, expected):
    """The largest difference, relative to the largest output of each sequence; NaN where one is."""
    differences = [np.abs(a - b).max() / max(np.abs(b).max(), 1e-12) for a, b in zip(found, expected)]
    return float(np.max(differences))
