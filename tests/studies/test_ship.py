"""Units, blocks, export and costs from the command line."""

import csv
import json

import pandas as pd
import pytest
import torch
from helpers import TINY_PRUNE, tiny_config

from espalier.analysis import worth
from espalier.learning.bases import rebuild
from espalier.learning.bench import load_data
from espalier.pruning import shrink
from espalier.pruning.c.check import Compiled, compiler, temporary
from espalier.pruning.c.network import Network
from espalier.runs import files
from espalier.studies.plan import base_training

UNITS = [*TINY_PRUNE, "cell=gru", "structure=unit", "percent=[50]", "curve=false", "logger=none", "retrain.max_epochs=1"]


def costs(tmp_path):
    (path,) = (tmp_path / "outputs" / "prune").rglob("costs.csv")
    return path, list(csv.DictReader(path.open()))


def test_units_are_shrunk_exported_and_weighed(door, tmp_path):
    code, _, err = door("prune", *UNITS)
    assert code == 0, err
    code, _, err = door("prune", *UNITS, "export=onnx,torch,int8")  # a finished job ships what it has
    assert code == 0 and "done before" in err, err
    path, rows = costs(tmp_path)
    assert [row["network"] for row in rows] == ["dense", "masked", "csr", "shrunk"]
    for row in rows:
        assert float(row["ms_1_low"]) <= float(row["ms_1"]) <= float(row["ms_1_high"]) and row["repeats"] == "30"
    small = rows[3]
    assert int(small["parameters"]) < int(rows[0]["parameters"]) and float(small["onnx_difference"]) < 1e-5
    assert int(small["onnx_bytes"]) == (path.parent / "export" / "50.onnx").stat().st_size
    assert int(small["int8_bytes"]) == (path.parent / "export" / "50.int8.onnx").stat().st_size
    assert 0 < float(small["int8_error"]) < 0.5 and float(small["onnx_ms_1"]) > 0 and float(small["int8_ms_1"]) > 0
    level = torch.load(path.parent / "levels" / "50.pt", weights_only=True)
    code_lines = (
        (path.parent / "export" / "50.py").read_text(encoding="utf-8").replace("50.pt", str(path.parent / "export" / "50.pt"))
    )
    names = {}
    exec(code_lines, names)
    assert names["model"].sizes["hidden"] == [3, 3]  # 6 and 5, halved
    from espalier import published

    whole = published.build(level["state_dict"], "gru")
    tokens, lengths = torch.randint(60, 90, (4, 7)), torch.tensor([7, 3, 1, 5])
    torch.testing.assert_close(names["model"](tokens, lengths), whole(tokens, lengths), rtol=0, atol=1e-6)
    report = (path.parent / "report.html").read_text(encoding="utf-8")
    assert "What is it worth?" in report and "shrinking pays in" in report and "Exported" in report
    assert "off by, of the largest output" in report
    assert (path.parent / "figures" / "worth.svg").exists()
    before = path.stat().st_mtime_ns
    door("prune", *UNITS, "export=onnx,torch,int8")
    assert path.stat().st_mtime_ns == before  # done is done
    (path.parent / "export" / "50.onnx").unlink()
    door("prune", *UNITS, "export=onnx")
    assert (path.parent / "export" / "50.onnx").exists()


def test_a_sweep_ships_every_job_and_joins_the_costs(door, tmp_path):
    tiny = [override for override in UNITS if not override.startswith("cell")]
    code, _, err = door("prune", "-m", "cell=rnn_tanh,lstm", *tiny, "export=torch", "controls=true")
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    joined = pd.read_csv(folder / "costs.csv")
    assert set(joined["cell"]) == {"rnn_tanh", "lstm"} and len(joined) == 8
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "What is it worth?" in report and "LSTM, unit" in report and "small dense" in report


def test_what_is_left_of_nothing_is_told(door, tmp_path):
    """All weights of both kinds gone: no unit of a plain cell but constants; nothing that could be exported."""
    tiny = [override for override in UNITS if not override.startswith(("structure", "percent", "cell", "retrain"))]
    code, _, err = door("prune", *tiny, "cell=lstm", "percent=[50,100]", "retrain.max_epochs=0", "costs=true")
    assert code == 0, err
    path, rows = costs(tmp_path)
    assert [row["percent"] for row in rows].count("50") == 4
    told = json.loads((path.parent / "export" / "done.json").read_text(encoding="utf-8"))
    assert set(told["levels"]) == {"50", "100"}


@pytest.mark.parametrize("score", ["incoming", "outgoing", "activation", "taylor", "random"])
def test_every_score_of_units(door, score):
    code, _, err = door("prune", *UNITS, f"score={score}", "retrain.max_epochs=0")
    assert code == 0, err


def test_blocks(door, tmp_path):
    tiny = [*TINY_PRUNE, "percent=[50]", "logger=none", "retrain.max_epochs=1"]
    code, _, err = door("prune", *tiny, "structure=block", "block=[2,3]")
    assert code == 0, err
    (path,) = (tmp_path / "outputs" / "prune").rglob("levels/50.pt")
    masks = torch.load(path, weights_only=True)["masks"]
    gate = masks["recurrent.layers.1.weight_ih_l0"][:5]
    tiles = [part for band in gate.split(2) for part in band.split(3, 1)]
    assert all(tile.all() or not tile.any() for tile in tiles)


def test_the_curve_of_units_ends_where_a_layer_would(door, tmp_path):
    code, _, err = door("prune", *UNITS, "curve=true", "retrain.max_epochs=0")
    assert code == 0, err
    (path,) = (tmp_path / "outputs" / "prune").rglob("curve.csv")
    assert 80 < len(path.read_text(encoding="utf-8").splitlines()) - 1 < 100


@pytest.mark.parametrize(
    "overrides, told",
    [
        (["structure=unit", "percent=95"], "percent=95 would remove all 6 units"),
        (["structure=unit", "target=h2h"], "takes target=both"),
        (["structure=unit", "scope=gate"], "scope of units"),
        (["score=taylor"], "add structure=unit"),
        (["structure=block", "block=[0,1]"], "block must be"),
        (["export=tflite"], "export must be among c, c_int8, int8, onnx, torch"),
    ],
)
def test_bad_input(door, overrides, told):
    code, _, err = door("prune", *TINY_PRUNE, *overrides)
    assert code == 2 and told in err and len(err.strip().splitlines()) == 1


def test_pays_by_hand():
    rows = [
        {"percent": p, "network": n, "ms_1": a, "ms_32": b, "bytes": c}
        for p, values in ((50, (9, 9, 1)), (75, (1, 9, 1)), (90, (2, 9, 1)), (95, (1, 9, 9)))
        for n, (a, b, c) in (("dense", (3, 3, 3)), ("csr", values))
    ]
    middle = pd.DataFrame(rows).set_index(["percent", "network"])
    assert worth.pays(middle, "csr") == "time at batch 1 from 75 % on, time at batch 32 at no level, memory at no level"


def test_numbers_of_levels_that_lie_close_do_not_overlap():
    assert worth.spaced([12.5, 33.3, 54.2, 66.7, 70.8, 79.2]) == [12.5, 33.3, 54.2, 66.7, 79.2]
    assert worth.spaced(range(10, 91, 10)) == [10, 30, 50, 70, 90] and worth.spaced([50, 50]) == [50]


def test_what_differs_by_less_than_its_spread_is_equal():
    """dense 3.0 (2.9 to 3.2), ours 2.8 (2.7 to 2.95): as fast; at a higher level 2.0 (1.9 to 2.1): faster."""
    key = {"cell": "gru", "target": "h2h", "score": "magnitude", "scope": "global"}
    key |= {"nonzero": 9, "bytes": 9, "multiply_adds": 9, "repeats": 30}
    rows = []
    for percent, ours in ((50, (2.8, 2.7, 2.95)), (90, (2.0, 1.9, 2.1))):
        for network, times in (("dense", (3.0, 2.9, 3.2)), ("shrunk", ours)):
            spread = {f"ms_{batch}{end}": value for batch in (1, 32) for end, value in zip(("", "_low", "_high"), times)}
            rows.append({**key, "percent": percent, "network": network, **spread})
    told = worth.section(pd.DataFrame(rows))
    assert told["sentences"][0].startswith("GRU, h2h: shrinking pays in time at batch 1 from 90 % on")
    cells = {(row[1], row[2]): row[-4:] for row in told["times"].rows}
    assert cells["50 %", "shrunk"] == ["2.800 (2.700 to 2.950)"] * 2 + ["equal"] * 2
    assert cells["90 %", "shrunk"][-1] == "1.50" and told["repeats"] == 30
    wide = [{**row, "variant": "model.hidden=[64]", "bytes": 90} for row in rows]
    both = worth.section(pd.DataFrame([*rows, *wide]))["times"].rows
    assert {(row[0], row[4]) for row in both} == {("GRU, h2h", "0.0"), ("GRU, h2h, model.hidden=[64]", "0.1")}  # not averaged


@pytest.mark.skipif(compiler() is None, reason="no C compiler")
def test_programs_in_c_are_weighed_and_tiles_are_priced(door, tmp_path):
    """The network in C gives every test string the class that it has in torch."""
    tiny = [override for override in UNITS if not override.startswith(("structure", "percent"))]
    code, _, err = door("prune", "-m", *tiny, "structure=weight,block", "block=[8,4]", "percent=[80,90]", "export=c,c_int8")
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    rows = pd.read_csv(folder / "costs.csv")
    assert list(rows["network"]) == [*worth.NETWORKS] * 4
    programs = rows[rows["network"].isin(["c", "c_int8"])]
    assert (programs["c_difference"] < 1e-5).all() and (programs["ms_1"] > 0).all() and programs["ms_32"].isna().all()
    assert rows.loc[rows["network"] == "c_int8", "int8_error"].between(0, 0.5, inclusive="neither").all()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / "prune").rglob("export/*.c")}
    code, _, err = door("prune", "-m", *tiny, "structure=weight,block", "block=[8,4]", "percent=[80,90]", "export=c,c_int8")
    assert code == 0 and {path: path.stat().st_mtime_ns for path in before} == before, err  # done is done, of every level
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "the program in C pays in time at batch 1" in report and "What do tiles cost?" in report
    written = next(path for path in (tmp_path / "outputs" / "prune").rglob("export/90.c") if "block" in str(path))
    small = shrink(rebuild(files.load_tensors(written.parents[1] / "levels" / "90.pt", "level")), say=None).eval()
    writer = Network(small).writer(written)
    assert writer.source == written.read_text()
    test = load_data(base_training(tiny_config(tmp_path)).data).test
    with torch.no_grad(), temporary() as there:
        expected = small(test.sequences, test.lengths).argmax(1)
        strings = [one[:length].numpy() for one, length in zip(test.sequences, test.lengths)]
        found = [int(whole[0].argmax()) for whole, _ in Compiled(writer, there).run(strings)]
    assert found == expected.tolist()


def test_an_unknown_format_is_refused(door):
    code, _, err = door("prune", *UNITS, "export=c89")
    assert code != 0 and "export must be among c, c_int8, int8, onnx, torch" in err


def test_exported_files_carry_seed_and_score():
    key = {"cell": "gru", "target": "h2h", "percent": 50, "network": "shrunk"}
    rows = [
        {**key, "score": score, "seed": seed, "onnx_bytes": 1000 + seed, "onnx_difference": 1e-7}
        for score in ("magnitude", "taylor") for seed in (0, 1)
    ]  # fmt: skip
    told = worth.shipped(pd.DataFrame(rows))
    assert told.columns[:5] == ["cell", "target", "score", "seed", "level"]
    assert [row[2:6] for row in told.rows] == [
        [score, seed, "50 %", f"{1000 + seed:,}"] for score in ("magnitude", "taylor") for seed in (0, 1)
    ]
