"""Numbers and pieces of C as text."""

import math
import re
from importlib import resources

import numpy as np

#: tanh(z) on |z| <= 8.5 as z A(z^2) / B(z^2), fitted for the least largest error.
ABOVE = (0.9999995827674866, 0.13200676441192627, 0.0032824815716594458, 1.7138690964202397e-05, 8.596189537968257e-09)
BELOW = (1.0, 0.46533870697021484, 0.025063520297408104, 0.0002938790712505579, 5.819530883854895e-07)


def literal(value):
    """A number of single precision with every digit."""
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def polynomials():
    """A and B of `tanh_of`, in Horner's form."""
    found = []
    for numbers in (ABOVE, BELOW):
        text = literal(numbers[-1])
        for number in numbers[-2::-1]:
            text = f"({text} * y + {literal(number)})"
        found.append(text)
    return found


def sections(upper, numbers):
    """The pieces of kernels.c by name."""
    text = resources.files("espalier.pruning.c").joinpath("kernels.c").read_text(encoding="utf-8")
    text = text.replace("@P@", upper).replace("@ABOVE@", numbers[0]).replace("@BELOW@", numbers[1])
    parts = re.split(r"^/\* == (\w+) == \*/\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def indented(lines):
    """Lines of code, each as deep as the braces around it."""
    depth = 0
    for line in lines:
        if line.startswith(("#", " *")) or "\n" in line:
            yield line
            continue
        depth -= line.startswith("}")
        yield "    " * depth + line if line else line
        depth += line.count("{") - line.count("}") + line.startswith("}")
