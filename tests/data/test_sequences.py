"""Real-valued sequences, and strings with any labels: read, scaled, told what is wrong, and pruned from the command line."""

import csv

import numpy as np
import pytest
import torch
from helpers import HEADER, TINY_PRUNE, TINY_SEARCH, series, ts

from espalier import SequenceClassifier, data, shrink
from espalier.analysis import tables
from espalier.data.baselines import character_bayes
from espalier.data.strings_csv import encode
from espalier.errors import InputError
from espalier.pruning import prune
from espalier.runs.identity import plain
from espalier.settings import Sequences, StringsCsv

#: Overrides that make any job of ours a matter of a second, of data that have their own size.
FAST = [key for key in TINY_PRUNE if "data.t" not in key]


@pytest.fixture
def files(tmp_path):
    for name, seed in (("train", 0), ("test", 1)):
        (tmp_path / f"{name}.ts").write_text(ts(*series(seed)))
    return {"train": str(tmp_path / "train.ts"), "test": str(tmp_path / "test.ts")}


def load(kind, **settings):
    return data.load(plain(kind(**settings)))


def test_sequences_are_read_padded_and_scaled_on_train_alone(files):
    found = load(Sequences, **files, validation_fraction=0.25)
    assert [len(split) for split in (found.train, found.validation, found.test)] == [45, 15, 60]
    assert found.sizes == {"features": 2, "outputs": 2} and found.labels == ("a", "b")
    real = torch.arange(found.train.sequences.shape[1])[None] < found.train.lengths[:, None]
    steps = found.train.sequences[real].double()
    torch.testing.assert_close(steps.mean(0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(steps.std(0, correction=0), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-6)
    assert not found.train.sequences[~real].any()
    raw = load(Sequences, **files, validation_fraction=0.25, scale=False)
    mean, deviation = (
        value(raw.train.sequences[real].double()) for value in (lambda v: v.mean(0), lambda v: v.std(0, correction=0))
    )
    real = torch.arange(raw.test.sequences.shape[1])[None] < raw.test.lengths[:, None]
    expected = ((raw.test.sequences[real] - mean) / deviation).float()
    torch.testing.assert_close(found.test.sequences[real], expected)
    assert 0 <= found.baselines["nearest mean"] <= 1 and found.baselines["constant"] == 0.5


def test_repeats_leave_train_and_are_counted(files, tmp_path):
    (values, labels), (others, names) = series(0), series(1)
    (tmp_path / "train.ts").write_text(ts([*values, *values[:3], others[0]], [*labels, *labels[:3], names[0]]))
    facts = load(Sequences, **files).facts
    assert (facts["duplicates"], facts["also_in_test"]) == (3, 1)
    found = load(Sequences, **files, deduplicate=False, validation_fraction=0.0)
    assert len(found.train) == 64 and "duplicates" not in found.facts


def test_the_three_formats_say_the_same(files, tmp_path):
    for name, seed in (("train", 0), ("test", 1)):
        values, labels = series(seed)
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            rows = [
                (number, step, label, *(f"{value:.9g}" for value in row))
                for number, (one, label) in enumerate(zip(values, labels))
                for step, row in reversed(list(enumerate(one)))  # rows may stand in any order
            ]
            csv.writer(file).writerows([("series", "step", "label", "x", "y"), *rows])
        longest = max(map(len, values))
        whole = np.stack([np.pad(one, ((0, longest - len(one)), (0, 0))) for one in values])
        np.savez(tmp_path / f"{name}.npz", values=whole, lengths=[len(one) for one in values], labels=labels)
    expected = load(Sequences, **files)
    for kind in ("csv", "npz"):
        found = load(Sequences, train=str(tmp_path / f"train.{kind}"), test=str(tmp_path / f"test.{kind}"))
        for split in ("train", "validation", "test"):
            for ours, theirs in zip(getattr(found, split).inputs, getattr(expected, split).inputs):
                assert torch.equal(ours, theirs)
            assert torch.equal(getattr(found, split).targets, getattr(expected, split).targets)


def test_numbered_classes_are_ordered_like_numbers(tmp_path):
    values, _ = series(0, 24)
    labels = [str(10 - number % 3) for number in range(24)]
    (tmp_path / "x.ts").write_text(ts(values, labels))
    found = load(Sequences, train=str(tmp_path / "x.ts"), test=str(tmp_path / "x.ts"), deduplicate=False)
    assert found.labels == ("8", "9", "10")


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("x.ts", "1,2:3,4:a\n", "no line @data"),
        ("x.ts", "@timeStamps true\n@data\n", "line 1: time stamps are not read"),
        ("x.ts", "@classLabel false\n@data\n", "line 1: every sequence needs a class label"),
        ("x.ts", HEADER, "no sequence in it"),
        ("x.ts", HEADER + "1,2:3,4:a\n1,?:3,4:b\n", "line 8: a value is no number"),
        ("x.ts", HEADER + "1,2:3:a\n", "line 7: 2 channels of different lengths"),
        ("x.ts", HEADER + "1,2:3,4:a\n1,2:b\n", "line 8: 1 channels, the lines before have 2"),
        ("x.ts", HEADER + "1,2:3,inf:a\n", "sequence 1 holds values that are not finite"),
        ("x.arff", "", "sequences are read from .ts, .csv, .npz"),
        ("x.csv", "series,step,x\n0,0,1\n", "no column label"),
        ("x.csv", "series,step,label\n0,0,a\n", "no column of values"),
        ("x.csv", "series,step,label,x\n0,0,a,1\n0,0,a,2\n", "series 0 has a step twice"),
        ("x.csv", "series,step,label,x\n0,0,a,1\n0,1,b,2\n", "series 0 has several labels"),
        ("x.csv", "series,step,label,x\n0,0,a,one\n", "the column x holds text"),
        ("x.csv", "", "not a CSV"),
        ("x.npz", "no archive", "cannot be read"),
        ("x.npz", "", "cannot be read"),
        ("x.csv", "series,step,label,x\n,0,a,1\n", "a row has no series"),
        ("x.csv", "series,step,label,x\n0,0,a,\n", "the column x holds text or gaps"),
    ],
)
def test_what_is_wrong_with_a_file(files, tmp_path, name, content, told):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=told) as error:
        load(Sequences, train=str(tmp_path / name), test=files["test"])
    assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change, told",
    [
        (dict(lengths=np.full(60, 4.0)), "lengths whole ones, got float32 and float64"),
        (dict(values=np.full((60, 9, 2), "x")), "values must be numbers"),
        (dict(lengths=np.full(60, 12)), "lengths must be from 1 to 9"),
        (dict(labels=np.array(["a"])), "must be \\(N, T, channels\\)"),
    ],
)
def test_what_is_wrong_with_an_archive(files, tmp_path, change, told):
    content = dict(values=np.zeros((60, 9, 2), np.float32), lengths=np.full(60, 4), labels=np.array(["a", "b"] * 30))
    np.savez(tmp_path / "x.npz", **{**content, **change})
    with pytest.raises(InputError, match=told):
        load(Sequences, train=str(tmp_path / "x.npz"), test=files["test"])
    np.save(tmp_path / "y.npy", np.zeros(3))
    (tmp_path / "y.npz").write_bytes((tmp_path / "y.npy").read_bytes())
    (tmp_path / "z.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:200])
    for name in ("y", "z"):
        with pytest.raises(InputError, match=r"\.npz: cannot be read as an archive of numbers"):
            load(Sequences, train=str(tmp_path / f"{name}.npz"), test=files["test"])


def test_series_and_labels_called_na_are_names(files, tmp_path):
    rows = "".join(
        f"{name},{step},{label},{step}.5,1\n" for name, label in (("NA", "null"), ("null", "x")) for step in range(4)
    )
    (tmp_path / "x.csv").write_text("series,step,label,a,b\n" + rows)
    found = load(
        Sequences, train=str(tmp_path / "x.csv"), test=str(tmp_path / "x.csv"), deduplicate=False, validation_fraction=0.0
    )
    assert found.labels == ("null", "x") and len(found.train) == 2


def test_a_base_of_values_from_a_file(door, tmp_path, files):
    torch.manual_seed(0)
    settings = ["data=sequences", f"data.train={files['train']}", f"data.test={files['test']}", "logger=none", "cell=gru"]
    torch.save(SequenceClassifier("gru", (6, 5), features=2, outputs=2).state_dict(), tmp_path / "two.pt")
    code, _, err = door("prune", *FAST, *settings, "percent=[50]", "base=two.pt")
    assert code == 0, err
    torch.save(SequenceClassifier("gru", (6, 5), features=3, outputs=2).state_dict(), tmp_path / "three.pt")
    code, _, err = door("prune", *FAST, *settings, "percent=[50]", "base=three.pt")
    assert code == 2 and "three.pt: it has 3 features, 2 outputs; the data need 2 features, 2 outputs" in err, err


def test_files_that_do_not_belong_together(files, tmp_path):
    values, labels = series(3)
    (tmp_path / "c.ts").write_text(ts(values, ["c" if label == "a" else label for label in labels]))
    with pytest.raises(InputError, match=r"c\.ts: the label 'c' does not occur in .*train\.ts"):
        load(Sequences, train=files["train"], test=str(tmp_path / "c.ts"))
    (tmp_path / "one.ts").write_text(ts([one[:, :1] for one in values], labels))
    with pytest.raises(InputError, match=r"one\.ts: 1 channels, .*train\.ts has 2"):
        load(Sequences, train=files["train"], test=str(tmp_path / "one.ts"))
    with pytest.raises(InputError, match=r"none\.ts: cannot be read"):
        load(Sequences, train=str(tmp_path / "none.ts"), test=files["test"])
    with pytest.raises(InputError, match=r"data=sequences needs data\.train=FILE"):
        load(Sequences)


def write_strings(tmp_path):
    for name, first in (("train", 0), ("test", 300)):
        with open(tmp_path / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            rows = [(f"{'äβ語'[k % 3] * 2}{k}", ("Äpfel", "βeta", "no, none")[k % 3]) for k in range(first, first + 150)]
            csv.writer(file).writerows([("string", "label"), *rows])
    return {"train": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")}


def test_strings_of_any_characters_and_labels(tmp_path):
    files = write_strings(tmp_path)
    found = load(StringsCsv, **files)
    assert found.labels == ("no, none", "Äpfel", "βeta") and found.sizes["outputs"] == 3
    characters = sorted(set("äβ語0123456789"))
    assert found.sizes["codes"] == len(characters) + 2  # padding, and what training has not
    tokens, length = found.train.sequences[0], int(found.train.lengths[0])
    text = "".join(characters[code - 1] for code in tokens[:length].tolist())
    assert text[0] == {"no, none": "語", "Äpfel": "ä", "βeta": "β"}[found.labels[int(found.train.targets[0])]]
    assert tokens.dtype == torch.uint8 and not tokens[length:].any()
    assert found.baselines["bigram"] == 1.0 and found.baselines["constant"] == pytest.approx(1 / 3, abs=0.01)
    with open(tmp_path / "test.csv", "a", encoding="utf-8") as file:
        file.write("ß1,βeta\n")
    assert load(StringsCsv, **files).facts["unknown_in_test"] == 1
    with open(tmp_path / "test.csv", "a", encoding="utf-8") as file:
        file.write("x,other\n")
    with pytest.raises(InputError, match=r"test\.csv: the label 'other' does not occur in"):
        load(StringsCsv, **files)


def test_the_character_rules_by_hand():
    codes = {chr(0x4E00 + place): place + 1 for place in range(299)}  # a and b have the first, c has the last
    names = dict(zip("abc", (*list(codes)[:2], list(codes)[-1])))

    def split(texts, labels):
        return encode(["".join(map(names.get, text)) for text in texts], labels, codes, ("x", "y"))

    rule = character_bayes(2)
    train, test = split(["ab", "ab", "bc", "bc"], list("xxyy")), split(["abab", "bcbc", "ba"], list("xyy"))
    assert rule(train, test) == 2 / 3  # of what training has not, the prior decides; of equals the first
    assert rule(split(["a", "b"], list("xy")), split(["a", "a", "b"], list("xxy"))) == 1 / 3  # too short for runs: constant
    wide = split(["ca", "cb"], list("xy"))  # codes beyond 255 are told apart
    assert character_bayes(2)(wide, wide) == 1.0


def test_sequences_from_file_to_report(door, tmp_path, files, monkeypatch):
    settings = ["data=sequences", f"data.train={files['train']}", f"data.test={files['test']}"]
    code, _, err = door("prune", "-m", *FAST, *settings, "cell=gru,rnn_tanh", "target=i2h,both", "percent=[50]", "costs=true")
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert len(tables.read(folder / "summary.csv")) == 4
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "nearest mean" in page and "How far can one prune" in page
    monkeypatch.undo()  # from here on figures are drawn
    code, out, err = door("train", *(key for key in FAST if "retrain" not in key), *settings, "cell=gru")
    assert code == 0 and "nearest mean" in out, err
    (run,) = (tmp_path / "outputs" / "train").glob("*/seed_0")
    assert (run / "figures" / "examples.png").stat().st_size > 10_000
    again = ["prune", *FAST, *settings, "cell=gru", "percent=[50]", "structure=unit", "export=torch"]
    code, _, err = door(*again)
    assert code == 0, err
    code, _, err = door("prune", *FAST, *settings, "model.embedding=4")
    assert code == 2 and err == "error: model.embedding is of tokens; data=sequences has values\n"


@pytest.mark.parametrize("more, pruned", [([], 3), (["structure=unit"], 4)])
def test_controls_of_sequences(door, tmp_path, files, more, pruned):
    """The base trained on, its masks anew, of units gradual; a small dense network, dropout and weight decay."""
    settings = ["data=sequences", f"data.train={files['train']}", f"data.test={files['test']}", "logger=none"]
    code, _, err = door("prune", *FAST, *settings, "cell=gru", "percent=[50]", "controls=true", *more)
    assert code == 0, err
    outputs = tmp_path / "outputs"
    assert len(list(outputs.glob("prune/*/*/result.json"))) == pruned and len(list(outputs.glob("train/*/*/result.json"))) == 3


def test_strings_csv_from_file_to_table(door, tmp_path):
    files = write_strings(tmp_path)
    settings = ["data=strings_csv", f"data.train={files['train']}", f"data.test={files['test']}"]
    code, out, err = door("prune", *FAST, *settings, "cell=gru", "percent=[50]", "logger=none")
    assert code == 0 and "safe percent" in out and "bigram 1.0000" in out, err


def test_a_search_over_sequences(door, tmp_path, files):
    settings = ["data=sequences", f"data.train={files['train']}", f"data.test={files['test']}", "logger=none"]
    tiny = [key for key in TINY_SEARCH if "data.t" not in key]
    code, _, err = door("structure_search", "cell=gru", *tiny, *settings)
    assert code == 0, err
    assert list((tmp_path / "outputs").rglob("prediction.csv"))


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu", "gru", "lstm"])
def test_a_network_of_values_is_shrunk_and_rebuilt(cell):
    torch.manual_seed(0)
    model = SequenceClassifier(cell, (8, 6), features=3, outputs=4)
    values, lengths = model.example(5, 7)
    prune(model, structure="unit", percent=50)
    small = shrink(model, say=None)
    torch.testing.assert_close(small(values, lengths), model(values, lengths), rtol=0, atol=1e-6)
    names = {}
    exec(f"{model.rebuild[0]}\nmodel = {model.rebuild[1]}", names)
    names["model"].load_state_dict(model.state_dict())
    assert torch.equal(names["model"](values, lengths), model(values, lengths))
    padded = torch.cat([values, torch.full((5, 3, 3), 9.0)], 1)  # what comes after the end is not read
    torch.testing.assert_close(model(padded, lengths), model(values, lengths))
