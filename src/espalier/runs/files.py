"""Files appear whole: a temporary file beside the target, fsync, then one atomic rename."""

import contextlib
import csv
import hashlib
import io
import json
import os
import pickle
import uuid
from pathlib import Path

from espalier.errors import InputError


@contextlib.contextmanager
def whole(path):
    """A binary file to write to; `path` holds all of it afterwards, or, if anything fails, what it held before."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_text(path, text):
    with whole(path) as file:
        file.write(text.encode())


def write_json(path, value):
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path):
    """The value in a JSON file, or None if there is none that is whole."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_rows(path, columns, rows):
    """A CSV of dicts; None becomes an empty field, floats keep every digit."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def save_tensors(path, value):
    """`torch.save`, whole. For values that load again with `weights_only=True`: tensors and plain containers."""
    import torch

    content = io.BytesIO()
    torch.save(value, content)  # in memory first: a full disk then raises OSError, which torch would hide
    with whole(path) as file:
        file.write(content.getbuffer())


def load_tensors(path, what):
    """`torch.load` that runs no code.  Raises: InputError naming the file: missing, truncated, or holding more than tensors."""
    import torch

    try:
        with open(path, "rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{what} {path} does not exist") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{what} {path} carries code or is no checkpoint; save a state_dict of tensors with torch.save"
        ) from None
    except (PermissionError, IsADirectoryError) as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror})") from None
    except Exception:  # damaged files make torch raise OSError, RuntimeError, EOFError, KeyError and more
        raise InputError(f"{what} {path} is truncated, damaged or no checkpoint") from None


def digest(path):
    """SHA-256 of a file's content, as hex.  Raises: InputError if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
