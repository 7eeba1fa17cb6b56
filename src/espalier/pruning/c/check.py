"""Compiles what was written, runs it, and holds it against what should come out."""

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from espalier.errors import InputError

#: Flags that a file must compile with, without a warning; and those of the fastest program.
STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O2")
FAST = ("-std=c99", "-O3", "-march=native", "-ffp-contract=fast")
#: Passes that are measured, each over the sequence as often as takes some milliseconds.
PASSES = 15
MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "@NAME@.h"

static @p@_state state;

/* Reads sequences (their steps, then their numbers) from standard input and writes what comes out: of the whole, and again step
   by step. With an argument: how many microseconds a pass takes, median and quartiles of several. */
static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int count, char **arguments)
{
    int steps;
    (void)arguments;
    while (fread(&steps, sizeof steps, 1, stdin) == 1) {
        @TYPE@ *in = malloc(sizeof *in * (size_t)steps * @P@_INPUTS);
        float *out = malloc(sizeof *out * (size_t)steps * @P@_OUTPUTS);
        if (!in || !out || fread(in, sizeof *in * @P@_INPUTS, (size_t)steps, stdin) != (size_t)steps) return 1;
        if (count > 1) {
            const int passes = @PASSES@;
            double taken[@PASSES@], total = 0.0;
            int times = 1;
            for (int k = -1; k < passes; k++) {
                const clock_t start = clock();
                for (int n = 0; n < times; n++) {
                    @p@_reset(&state);
                    if (@p@_run(&state, in, steps, out) < 0) return 2;
                }
                total = 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / times;
                if (k < 0 && total * times < 4000.0) {
                    times *= 2;
                    k--;
                    continue;
                }
                if (k >= 0) taken[k] = total;
            }
            qsort(taken, (size_t)passes, sizeof *taken, by_size);
            printf("%.6f %.6f %.6f\n", taken[passes / 2], taken[passes / 4], taken[passes - 1 - passes / 4]);
        } else {
            int written;
            @p@_reset(&state);
            written = @p@_run(&state, in, steps, out);
            if (written < 0) return 2;
            fwrite(out, sizeof *out * @P@_OUTPUTS, (size_t)written, stdout);
            @STEP@
        }
        free(in);
        free(out);
    }
    return 0;
}
"""
STEP = r"""@p@_reset(&state);
            for (int t = 0; t < steps; t++) {
                @p@_step(&state, in + t * @P@_INPUTS, out);
                fwrite(out, sizeof *out, @P@_OUTPUTS, stdout);
            }"""


def compiler():
    """The C compiler of this machine, or None: `CC`, or cc."""
    return shutil.which(os.environ.get("CC", "cc"))


class Compiled:
    """A written network compiled into a program in a folder of its own.

    writer: a `Writer`.  flags: of the compiler.  Raises: InputError with the first line of what the compiler says.
    """

    def __init__(self, writer, folder, flags=STRICT):
        folder = Path(folder)
        self.writer, self.program = writer, folder / "program"
        (folder / f"{writer.name}.c").write_text(writer.source)
        (folder / f"{writer.name}.h").write_text(writer.header)
        main = MAIN.replace("@STEP@", "" if writer.program.whole else STEP)
        kind = "int" if writer.program.source.kind == "tokens" else "float"
        places = {"@NAME@": writer.name, "@p@": writer.prefix, "@P@": writer.upper, "@TYPE@": kind, "@PASSES@": str(PASSES)}
        for place, text in places.items():
            main = main.replace(place, text)
        (folder / f"{writer.name}_main.c").write_text(main)
        sources = [f"{writer.name}.c", f"{writer.name}_main.c"]
        command = [compiler(), *flags, "-o", self.program.name, *sources, "-lm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
            raise InputError(f"{writer.name}.c does not compile ({' '.join(flags)}): {first}")

    def run(self, sequences):
        """(what comes out of the whole, and step by step or None) of every sequence, as arrays `(steps, outputs)`."""
        found = self._call(sequences)
        values, outputs = np.frombuffer(found, np.float32).copy(), []
        width, program, start = self.writer.program.output.width, self.writer.program, 0
        for one in sequences:
            counts = [len(one) if program.every_step else 1, *([] if program.whole else [len(one)])]
            parts = []
            for count in counts:
                parts.append(values[start : start + count * width].reshape(count, width))
                start += count * width
            outputs.append((parts[0], parts[1] if len(parts) > 1 else None))
        return outputs

    def milliseconds(self, sequence):
        """Median milliseconds of a pass over a sequence, on one thread."""
        return self.latency(sequence)[0]

    def latency(self, sequence):
        """(median, lower, upper quartile) of the milliseconds of `PASSES` passes over a sequence, on one thread."""
        return tuple(float(value) / 1000 for value in self._call([sequence], "time").split())

    def _call(self, sequences, *arguments):
        kind = np.int32 if self.writer.program.source.kind == "tokens" else np.float32
        given = b"".join(struct.pack("=i", len(one)) + np.ascontiguousarray(one, kind).tobytes() for one in sequences)
        done = subprocess.run([str(self.program), *arguments], input=given, capture_output=True)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise InputError(
                f"{self.writer.name}.c does not run: it ends with {done.returncode}" + (f", {said[0]}" if said else "")
            )
        return done.stdout


def compared(compiled, sequences, expected):
    """The largest difference from what is expected, relative to the largest output of each sequence."""
    worst = 0.0
    for (whole, steps), theirs in zip(compiled.run(sequences), expected):
        theirs = np.atleast_2d(np.asarray(theirs, float))
        pairs = [(whole, theirs)]
        if steps is not None:
            pairs.append((steps if len(theirs) == len(steps) else steps[-1:], theirs))
        for ours, wanted in pairs:
            difference = np.abs(ours - wanted).max() / max(np.abs(wanted).max(), 1e-12)
            worst = max(worst, float(difference) if np.isfinite(difference) else np.inf)
    return worst


def temporary():
    """A folder to compile in."""
    return tempfile.TemporaryDirectory(prefix="espalier-c-")
