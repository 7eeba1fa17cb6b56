"""Images: scikit-learn's digits, MNIST's files, and what is wrong with some of these."""

import gzip

import pytest
import torch
from helpers import write_idx

from espalier import data
from espalier.data import mnist
from espalier.errors import InputError
from espalier.runs.identity import plain
from espalier.settings import Digits, Mnist


def load(settings):
    return data.load(plain(settings))


def test_digits_are_drawn_large_split_and_scaled():
    found = load(Digits())
    assert [len(part) for part in (found.train, found.validation, found.test)] == [1294, 144, 359]
    assert found.sizes == {"features": 784, "outputs": 10} and found.train.inputs[0].shape == (1294, 784)
    assert abs(float(torch.cat([found.train.inputs[0], found.validation.inputs[0]]).mean())) < 1e-5
    assert load(Digits(side=8)).sizes["features"] == 64
    rules = found.baselines
    assert rules["constant"] < 0.15 < 0.85 < rules["nearest mean"] < rules["nearest neighbour"]
    again, other = load(Digits()), load(Digits(seed=1))
    assert torch.equal(found.test.targets, again.test.targets) and not torch.equal(found.test.targets, other.test.targets)
    assert len(load(Digits(train_size=200, test_size=50)).test) == 50


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_reads_its_files(tmp_path, packed):
    write_idx(tmp_path, "train", 60, packed)
    pixels, classes = write_idx(tmp_path, "t10k", 40, packed)
    found = load(Mnist(root=str(tmp_path)))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [54, 6, 40]
    assert found.sizes == {"features": 30, "outputs": 4}
    order = found.test.targets
    assert sorted(order.tolist()) == sorted(classes.tolist())
    raw = found.test.inputs[0] * mnist.DEVIATION + mnist.MEAN
    torch.testing.assert_close(raw[0] * 255, torch.from_numpy(pixels[0]).float().flatten(), atol=1e-3, rtol=0)


def test_with_the_test_files_alone_they_are_cut_in_parts(tmp_path):
    write_idx(tmp_path)
    found = load(Mnist(root=str(tmp_path)))
    parts = [part.inputs[0] for part in (found.train, found.validation, found.test)]
    assert [len(part) for part in parts] == [29, 3, 8] and found.facts["source"] == "t10k, cut in two"
    assert len(torch.unique(torch.cat(parts), dim=0)) == 40  # disjoint


def spoiled(path, change):
    path.write_bytes(change(path.read_bytes()))


IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda folder: spoiled(folder / IMAGES, lambda content: content[:-7]), "damaged or not whole"),
        (lambda folder: spoiled(folder / IMAGES, lambda content: content[:9]), "damaged or not whole"),
        (lambda folder: spoiled(folder / IMAGES, lambda content: b""), "is no IDX file of images"),
        (lambda folder: spoiled(folder / LABELS, lambda content: b"\0\0\x0b" + content[3:]), "no IDX file of labels"),
        (lambda folder: spoiled(folder / IMAGES, lambda content: gzip.compress(content)[:-9]), "cannot be read"),
        (lambda folder: write_idx(folder, labels=39), "39 labels for the 40 images of t10k-images-idx3-ubyte"),
        (lambda folder: (folder / LABELS).unlink(), "there is no t10k-labels-idx1-ubyte"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "there is no t10k-images-idx3-ubyte"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_told(tmp_path, change, told):
    write_idx(tmp_path)
    change(tmp_path)
    with pytest.raises(InputError, match=told) as error:
        load(Mnist(root=str(tmp_path)))
    assert "\n" not in str(error.value)
