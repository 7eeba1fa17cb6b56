"""Series that are forecast: windows, rules that need no learning, gaps, and what is wrong with some files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from espalier import data
from espalier.errors import InputError
from espalier.runs.identity import plain
from espalier.settings.data import SeriesCsv, Sine

BEIJING = Path(__file__).parents[3] / "shared" / "data" / "beijing" / "PRSA_data_2010.1.1-2014.12.31.csv"


def load(settings):
    return data.load(plain(settings))


def test_the_sine_is_the_studys():
    found = load(Sine(published=True))
    assert (len(found.train), len(found.validation), len(found.test)) == (5560, 0, 70)
    squares = {name: round(value**2, 4) for name, value in found.baselines.items()}
    assert squares == {"mean of the window": 0.0670, "persistence": 0.0597, "least squares": 0.0360}


@pytest.mark.skipif(not BEIJING.exists(), reason="the file is not there")
def test_the_temperature_is_the_studys():
    found = load(SeriesCsv(path=str(BEIJING), column="TEMP", skip=1, published=True, season=24))
    assert (len(found.train), len(found.test)) == (34986, 365)
    rules = {name: round(value, 3) for name, value in found.baselines.items()}
    assert rules["mean of the window"] == pytest.approx(4.6545, abs=0.0006) and rules["least squares"] == 2.953
    assert rules["seasonal persistence"] == pytest.approx(3.529, abs=0.001)


def test_parts_do_not_share_a_target_and_scales_are_those_of_training(tmp_path):
    values = np.arange(400.0)
    path = tmp_path / "ramp.csv"
    path.write_text("value\n" + "\n".join(map(str, values)))
    found = load(SeriesCsv(path=str(path), column="value", past=12, ahead=5))
    spans = []
    for part in (found.train, found.validation, found.test):
        targets = part.targets.double() * found.unit  # the first training value is 0
        spans.append((round(float(targets.min())), round(float(targets.max()))))
        inputs = part.inputs[0][..., 0].double() * found.unit
        torch.testing.assert_close(targets[:, 0] - inputs[:, -1], torch.ones(len(part)).double(), atol=1e-3, rtol=0)
    assert spans[0][1] < spans[1][0] and spans[1][1] < spans[2][0] and spans[2][1] >= 395
    assert float(found.train.inputs[0].min()) == 0 and float(found.train.targets.max()) == 1 and found.test.targets.max() > 1
    assert found.baselines["persistence"] == pytest.approx(np.sqrt(np.mean(np.arange(1, 6) ** 2)))
    assert found.baselines["least squares"] < 1e-6


def test_gaps_are_filled_in_and_counted(tmp_path):
    text = ["", "1", "NA", "3", "nan", "", "6", *map(str, range(7, 200)), ""]
    path = tmp_path / "gaps.csv"
    path.write_text("a,b\n" + "\n".join(f"{number},{value}" for number, value in enumerate(text)))
    found = load(SeriesCsv(path=str(path), column="b", past=4, ahead=2))
    assert found.facts["gaps"] == 5
    first = found.train.inputs[0][0, :, 0].double() * found.unit + 1
    torch.testing.assert_close(first, torch.tensor([1.0, 1.0, 2.0, 3.0]).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "text, column, told",
    [
        ("a\n1\n2\n3\n", "a", "the series has 3 values, fewer than one window of 48 past and 24 following ones"),
        ("a\n" + "5\n" * 400, "a", "the series is constant in its training part: every value is 5"),
        ("a\n1\ntwo\n3\n", "a", "line 3: a is 'two', no number"),
        ("a\n1\ninf\n3\n", "a", "line 3: a is infinite"),
        ("a,b\n1,2\n", "c", "there is no column 'c'; there are a, b"),
        ("a\n\n\nNA\n", "a", "holds no number"),
        ("", "a", "is no CSV"),
        ("a\n" + "\n".join(map(str, range(80))), "a", "too few for windows of 48 [+] 24 in every part"),
    ],
)
def test_files_that_cannot_be_forecast_are_told(tmp_path, text, column, told):
    path = tmp_path / "series.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=told) as error:
        load(SeriesCsv(path=str(path), column=column))
    assert "\n" not in str(error.value)
