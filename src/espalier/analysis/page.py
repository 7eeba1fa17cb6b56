"""Pages of HTML in one file, readable offline, made of the templates beside this file. What goes in is escaped."""

import functools
import math
from dataclasses import dataclass
from datetime import UTC, datetime

import jinja2
import markupsafe
import numpy as np

from espalier.analysis.drawing import interval
from espalier.runs import files

REFERENCES = {
    "reber": "A. S. Reber (1967). Implicit learning of artificial grammars. Journal of Verbal Learning and Verbal Behavior 6.",
    "lstm": "S. Hochreiter, J. Schmidhuber (1997). Long short-term memory. Neural Computation 9(8).",
    "gru": "K. Cho et al. (2014). Learning phrase representations using RNN encoder-decoder. EMNLP.",
    "rnn_tanh": "J. L. Elman (1990). Finding structure in time. Cognitive Science 14(2).",
    "rnn_relu": "Q. V. Le, N. Jaitly, G. E. Hinton (2015). A simple way to initialize recurrent networks of rectified linear "
    "units. arXiv:1504.00941.",
    "magnitude": "S. Han, J. Pool, J. Tran, W. J. Dally (2015). Learning both weights and connections for efficient neural "
    "networks. NeurIPS.",
    "orthogonal": "A. M. Saxe, J. L. McClelland, S. Ganguli (2014). Exact solutions to the nonlinear dynamics of learning in "
    "deep linear neural networks. ICLR.",
    "adam": "D. P. Kingma, J. Ba (2015). Adam: a method for stochastic optimization. ICLR.",
    "study": "H. Darji (2022). Investigating sparsity in recurrent neural networks. Master's thesis, University of Passau.",
    "barabasi_albert": "A.-L. Barabasi, R. Albert (1999). Emergence of scaling in random networks. Science 286.",
    "watts_strogatz": "D. J. Watts, S. H. Strogatz (1998). Collective dynamics of small-world networks. Nature 393.",
    "erdos_renyi": "P. Erdos, A. Renyi (1959). On random graphs I. Publicationes Mathematicae 6.",
    "networkx": "A. A. Hagberg, D. A. Schult, P. J. Swart (2008). Exploring network structure, dynamics, and function using "
    "NetworkX. SciPy.",
    "holm": "S. Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6.",
    "nadeau": "C. Nadeau, Y. Bengio (2003). Inference for the generalization error. Machine Learning 52.",
}


@dataclass(frozen=True)
class Table:
    """Names of columns and rows of values; the first `words` columns are aligned as text."""

    columns: list
    rows: list
    words: int = 0

    @property
    def constant(self):
        """Places of the columns that hold the same in every row, of several."""
        if len(self.rows) < 2:
            return []
        return [place for place in range(len(self.columns)) if len({str(row[place]) for row in self.rows}) == 1]

    @property
    def shown(self):
        """The table without those columns, as long as there are others."""
        left = [place for place in range(len(self.columns)) if place not in self.constant]
        if not left:
            return self
        rows = [[row[place] for place in left] for row in self.rows]
        return Table([self.columns[place] for place in left], rows, sum(place < self.words for place in left))

    @property
    def caption(self):
        """What those columns hold, in words; empty where they hold nothing."""
        there = self.constant if self.shown is not self else []
        told = [f"{self.columns[place]} {self.rows[0][place]}".strip() for place in there if str(self.rows[0][place])]
        return f"In every row: {', '.join(told)}." if told else ""


@functools.cache
def templates():
    """The templates, which escape what they are given."""
    loader = jinja2.PackageLoader("espalier.analysis")
    return jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )


def write(path, template, title, subtitle, about, drawings=(), unfinished=(), seeds=(), used=(), differing=None, **values):
    """The page `path` by one of the templates.

    subtitle: what it is about, a sentence.  about: command, and with seeds versions and config (YAML text).
    drawings: of `shown`.  unfinished: (overrides, why).  used: keys of `REFERENCES`.  differing: a `Table` of what differs
    between jobs, or None.  values: what the template asks for.
    """
    text = templates().get_template(template).render(
        title=title, subtitle=subtitle, about=about, drawings=drawings, unfinished=unfinished, seeds=sorted(set(seeds)),
        references=[source for key, source in REFERENCES.items() if key in used],
        differing=differing, made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), **values,
    )  # fmt: skip
    files.write_text(path, text)


def number(values, digits=4):
    """Mean of the values, with half the width of its 95 % interval where there are several."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if not len(values):
        return ""
    half = interval(values)
    return f"{values.mean():.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def shown(folder, captions):
    """The figures of a folder that are there, (drawing, caption) of `name -> caption`."""
    paths = {name: folder / "figures" / f"{name}.svg" for name in captions}
    return [
        (markupsafe.Markup(inline(path.read_text(encoding="utf-8"), name)), captions[name])
        for name, path in paths.items()
        if is_drawing(path)
    ]


def is_drawing(path):
    """Whether a file is a whole SVG."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return "<svg" in text and text.rstrip().endswith("</svg>")


def drawn(folder):
    """Whether there are figures in a folder, and all of them whole."""
    paths = list((folder / "figures").glob("*.svg"))
    return bool(paths) and all(map(is_drawing, paths))


def inline(drawing, name):
    """An SVG for the inside of a page: its identifiers, unique within one drawing only, get a prefix."""
    drawing = drawing[drawing.index("<svg") :]
    return drawing.replace(' id="', f' id="{name}-').replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
