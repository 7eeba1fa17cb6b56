"""Pages of HTML in one file, readable offline: their style and their pieces."""

import html
import math
from datetime import UTC, datetime

import numpy as np

from espalier.analysis import figures
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
    "study": "H. Darji (2021). Investigating sparsity in recurrent neural networks. Master's thesis, University of Passau.",
    "barabasi_albert": "A.-L. Barabasi, R. Albert (1999). Emergence of scaling in random networks. Science 286.",
    "watts_strogatz": "D. J. Watts, S. H. Strogatz (1998). Collective dynamics of small-world networks. Nature 393.",
    "erdos_renyi": "P. Erdos, A. Renyi (1959). On random graphs I. Publicationes Mathematicae 6.",
    "networkx": "A. A. Hagberg, D. A. Schult, P. J. Swart (2008). Exploring network structure, dynamics, and function using "
    "NetworkX. SciPy.",
    "holm": "S. Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6.",
    "nadeau": "C. Nadeau, Y. Bengio (2003). Inference for the generalization error. Machine Learning 52.",
}
STYLE = """
:root { --ink: #22223b; --soft: #6b7080; --line: #d9dbe3; --mark: #1b6ca8; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1080px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } 
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
p.lead { font-size: 1.05rem; } .soft { color: var(--soft); } code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: #f5f6fa; padding: .7rem; overflow-x: auto; white-space: pre-wrap; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .22rem .55rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { text-align: right; font-weight: 600; white-space: normal; vertical-align: bottom; }
pre.settings { column-count: 3; } th.word, td.word { text-align: left; }
.wide { overflow-x: auto; } figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: 13px; } .bad { color: #a4161a; }
@page { size: A4 landscape; margin: 12mm; }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } figure, tr { break-inside: avoid; }
 h2 { break-after: avoid; }
 table { font-size: 6.5pt; } th, td { padding: .1rem .25rem; } .wide { overflow: visible; } pre { white-space: pre-wrap; } }
"""


def write(path, title, parts):
    """The page `path` of HTML parts, empty ones left out."""
    page = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    page += '<meta name="viewport" content="width=device-width, initial-scale=1">'
    page += f"<style>{STYLE}</style></head><body>\n" + "\n".join(filter(None, parts)) + "\n</body></html>\n"
    files.write_text(path, page)


def head(title, told, command):
    """The first lines: title, what it is about, when and by which command it was made."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<h1>{title}</h1><p class='soft'>{text(told)} Made {made} by</p><pre>{text(command)}</pre>"


def text(value):
    return html.escape(str(value))


def table(columns, rows, words=0):
    """An HTML table of plain values; the first `words` columns are aligned as text."""
    cells = ["".join(f"<th{_word(k, words)}>{text(name)}</th>" for k, name in enumerate(columns))]
    cells += ["".join(f"<td{_word(k, words)}>{value}</td>" for k, value in enumerate(row)) for row in rows]
    return '<div class="wide"><table>' + "".join(f"<tr>{row}</tr>" for row in cells) + "</table></div>"


def _word(k, words):
    return ' class="word"' if k < words else ""


def number(values, digits=4):
    """Mean of the values, with half the width of its 95 % interval where there are several."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if not len(values):
        return ""
    half = figures.interval(values)
    return f"{values.mean():.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def shown(folder, captions):
    """The figures of a folder that are there, `name -> caption`, each inside the page."""
    drawn = []
    for name, caption in captions.items():
        path = folder / "figures" / f"{name}.svg"
        if path.exists():
            drawn.append(f"<figure>{inline(path.read_text(encoding='utf-8'), name)}<figcaption>{caption}</figcaption></figure>")
    return "<h2>Figures</h2>" + "".join(drawn) if drawn else ""


def inline(drawing, name):
    """An SVG for the inside of a page: its identifiers, unique within one drawing only, get a prefix."""
    drawing = drawing[drawing.index("<svg") :]
    return drawing.replace(' id="', f' id="{name}-').replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")


def unfinished(jobs):
    if not jobs:
        return ""
    rows = [[text(overrides), f'<span class="bad">{text(why)}</span>'] for overrides, why in jobs]
    return "<h2>Not finished</h2><p>The same command does these again and skips the rest.</p>" + table(["job", "why"], rows, 2)


def settings(seeds, about):
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    seeds = ", ".join(str(seed) for seed in sorted(set(seeds)))
    return (
        f"<h2>Settings</h2><p>Seeds {seeds}. {text(versions)}.</p><p>Configuration; of a sweep, that of its first job.</p>"
        f"<pre class='settings'>{text(about['config'])}</pre>"
    )


def references(used):
    """The list of those of `REFERENCES` that were used."""
    told = "".join(f"<li>{text(source)}</li>" for key, source in REFERENCES.items() if key in used)
    return f"<h2>References</h2><ul>{told}</ul>"
