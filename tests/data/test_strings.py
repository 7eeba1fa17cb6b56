import pytest
import torch

from espalier import data
from espalier.data.strings import encode, read_csv, refuse_conflicts, texts
from espalier.errors import InputError
from espalier.runs.identity import plain
from espalier.settings import Reber, ReberCsv


def load(config):
    return data.load(plain(config))


@pytest.fixture
def write(tmp_path):
    def write(content, name="strings.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def test_encode_pads_with_zeros():
    strings = encode(["AB", "ABC"], [0, 1])
    assert strings.sequences.tolist() == [[65, 66, 0], [65, 66, 67]]
    assert strings.lengths.tolist() == [2, 3] and strings.targets.tolist() == [0, 1]
    assert strings.sequences.dtype == torch.uint8 and texts(strings) == ["AB", "ABC"]


def test_reads_text_as_text_and_ignores_other_columns(write):
    path = write("\ufeff,string,valid\n0,NA,1\n1,007,0\n2,null,1\n")
    assert read_csv(path) == (["NA", "007", "null"], [1, 0, 1])


@pytest.mark.parametrize(
    "content, told",
    [
        ("", "empty"),
        ("string,label\nA,1\n", "no column valid"),
        ("string,valid\n", "no string"),
        ("string,valid\nA,1\n,0\n", "line 3.*empty"),
        ("string,valid\nA,1\nB,2\n", "line 3.*0 or 1"),
        ("string,valid\nA\n", "line 2.*0 or 1"),
        ("string,valid\nA,1\nBäC,0\n", r"line 3.*xe4.*ASCII"),
        (b"string,valid\nA,1\nB\xffC,0\n", "line 3.*ASCII"),
        ('string,valid\nA,1\n"B\nC",0\n', "ends in line 4 has a line break in it"),
        ("string,valid\n" + "A" * 200_000 + ",1\n", "line 2: not a CSV .*field limit"),
        ("string,valid\nA,1\n" + "B" * 200_000 + ",1\n", "line 3: not a CSV .*field limit"),
    ],
)
def test_bad_files_are_told_with_file_and_line(write, content, told):
    path = write(content)
    with pytest.raises(InputError, match=told) as error:
        read_csv(path)
    assert path in str(error.value) and "\n" not in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_csv(tmp_path / "none.csv")


def test_both_labels_are_refused():
    with pytest.raises(InputError, match="'AB' has both labels"):
        refuse_conflicts(("train.csv", ["AB", "C"], [1, 0]), ("test.csv", ["AB"], [0]))


def csv_of(strings):
    return "string,valid\n" + "".join(f"{text},{label}\n" for text, label in strings)


def test_repeats_leave_train_and_are_counted(write):
    train = [(f"A{k}", k % 2) for k in range(40)]
    train_path = write(csv_of([*train, *train[:3], ("T1", 1)]), "train.csv")
    test_path = write(csv_of([("T1", 1), ("T2", 0)]), "test.csv")
    config = ReberCsv(train=train_path, test=test_path, validation_fraction=0.25)
    splits = load(config)
    assert splits.facts["duplicates"] == 3 and splits.facts["also_in_test"] == 1
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (30, 10, 2)
    config.deduplicate = False
    config.validation_fraction = 0.0
    splits = load(config)
    assert (len(splits.train), len(splits.validation)) == (44, 0)


def test_generated_splits_are_disjoint_and_balanced():
    splits = load(Reber(train_size=1500, test_size=500))
    parts = [set(texts(part)) for part in (splits.train, splits.validation, splits.test)]
    assert [len(part) for part in parts] == [1350, 150, 500]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    for part in (splits.train, splits.validation, splits.test):
        assert int(part.targets.sum()) * 2 == len(part)


def test_sizes_cap_the_files(write):
    path = write(csv_of([(f"A{k}", k % 2) for k in range(100)]), "train.csv")
    other = write(csv_of([(f"B{k}", k % 2) for k in range(100)]), "test.csv")
    splits = load(ReberCsv(train=path, test=other, train_size=50, test_size=1000, validation_fraction=0.2))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (40, 10, 100)


def test_one_label_alone_is_refused(write):
    path = write(csv_of([("A", 1), ("B", 1)]))
    with pytest.raises(InputError, match="both labels"):
        load(ReberCsv(train=path, test=write(csv_of([("C", 1), ("D", 0)]), "test.csv")))
