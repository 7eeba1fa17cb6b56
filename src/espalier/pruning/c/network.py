"""Write a network as C."""

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
from espalier.pruning.selection import refuse_compiled
from espalier.runs import files

#: Headers of C that the files, and programs around them, include.
HEADERS = ("assert", "complex", "ctype", "errno", "float", "limits", "math", "stdint", "stdio", "stdlib", "string", "time")
#: Largest difference that counts as equal, relative to the largest output.
TOLERANCE = 1e-5
#: (steps, seed) of the sequences that it is held against torch on; the first is the example's.
TRIED = ((7, 0), (1, 1), (2, 2), (9, 3), (33, 4), (64, 5), (200, 6))


def translated(model, example=None):
    """(the `Sequences` of a model, its folded program, sequences, what torch makes of them).

    Raises: InputError for what the export does not know, and if the program is not what torch computes.
    """
    refuse_compiled(model)
    for name, one in (*model.named_parameters(), *model.named_buffers()):
        if one.is_floating_point() and not torch.isfinite(one).all():
            raise InputError(f"{name} holds values that are not finite")
    made = Sequences(model, example)
    program = folded(copy.deepcopy(made.program))
    given = [made.sequence(made.steps or steps, seed) for steps, seed in TRIED]
    expected = [made.expected(one).double() for one in given]
    numbers = [made.numbers(one) for one in given]
    for one, theirs in zip(numbers, expected):
        try:
            ours = program.run(one).reshape(theirs.shape)
        except RuntimeError as error:  # of sizes that do not fit
            first = str(error).splitlines()[0]
            raise InputError(f"{made.name} is more than the C export understands: {first}") from None
        difference = float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12))
        if not difference <= TOLERANCE:
            raise InputError(
                f"{made.name} as the C export understands it differs from torch by {difference:.1e}; nothing was written"
            )
    return made, program, [one.numpy() for one in numbers], [one.numpy() for one in expected]


def write(model, path, example=None, layout=None, quantize=None):
    """Write `path` and the header beside it.  Returns a row for `export`; arguments and errors as there."""
    if layout is not None and (not isinstance(layout, str) or layout not in TILES):
        raise InputError(f"layout must be one of {', '.join(TILES)}, or None, got {layout!r}")
    if Path(path).stem in HEADERS:
        raise InputError(f"{path}: its header would hide C's own {Path(path).stem}.h; take another name")
    made, program, sequences, expected = translated(model, example)
    writer = Writer(program, path, _title(made.name, program), layout, quantize)
    row = {"path": str(path), "layouts": writer.lines, **writer.about}
    wanted, notes = expected, []
    if quantize:
        steps = _in_steps(program)
        wanted = [np.asarray(steps.run(torch.from_numpy(one))) for one in sequences]
        row["error"] = max(_apart(ours, theirs) for ours, theirs in zip(wanted, expected))
        notes.append(f"int8: off by {100 * row['error']:.2g} % of the largest output")
    if compiler():
        with temporary() as folder:
            row["difference"] = compared(Compiled(writer, folder), sequences, wanted)
        row["shapes"] = len(sequences)
        if not row["difference"] <= TOLERANCE:
            raise InputError(f"{made.name} in C differs from torch by {row['difference']:.1e}; nothing was written")
    else:
        notes.append("not compiled and not checked: there is no C compiler (cc, or what CC names)")
    files.write_text(path.with_suffix(".h"), writer.header)
    files.write_text(path, writer.source)
    row["bytes"] = writer.about["flash"]
    return row | ({"note": "; ".join(notes)} if notes else {})


def milliseconds(model, path, steps, example=None, layout=None, quantize=None):
    """Median milliseconds of a pass over so many steps on one thread of this machine, or None without a compiler."""
    if not compiler():
        return None
    made, program, _, _ = translated(model, example)
    writer = Writer(program, path, "", layout, quantize)
    with temporary() as folder:
        return Compiled(writer, folder, FAST).milliseconds(made.numbers(made.sequence(made.steps or steps, 1)).numpy())


def _title(name, program):
    cells = [f"{node.more['cell']} {node.width}" for node in program.nodes if node.kind == "cell"]
    removed = [round(100 * float((one == 0).double().mean())) for node in program.nodes for one in node.matrices] or [0]
    least, most = min(removed), max(removed)
    share = f"; {least if least == most else f'{least} to {most}'} % of each matrix zero" if most else ""
    return f"{name} ({', '.join(cells) or 'no recurrent layer'}{share}), written by espalier."


def _in_steps(program):
    """The program with its matrices and tables as int8 values are read again."""
    twin = copy.deepcopy(program)
    for node in twin.nodes:
        node.matrices = [torch.from_numpy(rounded(one.numpy())) for one in node.matrices]
        if node.kind == "embedding":
            node.more["table"] = torch.from_numpy(rounded(node.more["table"].numpy()))
    return twin


def _apart(ours, theirs):
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-12))
