"""A column of a CSV as a series, forecast: `data=series_csv data.path=FILE data.column=TEMP`. Gaps (empty, NA, NaN) are filled
in linearly and counted.
"""

import numpy as np
import pandas as pd

from espalier.data import series
from espalier.errors import InputError


def load(settings):
    """settings: path, column, skip (values left out at the start), and those of `espalier.data.series.made`."""
    values, gaps = read(settings["path"], settings["column"])
    return series.made(values[settings["skip"] :], settings, gaps=gaps, column=settings["column"])


def read(path, column):
    """(values, number of gaps that were filled in).  Raises: InputError naming file, column and line."""
    if not path or not column:
        raise InputError("data=series_csv needs data.path=FILE and data.column=NAME")
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: is no CSV ({str(error).splitlines()[0]})") from None
    if column not in frame:
        raise InputError(f"{path}: there is no column {column!r}; there are {', '.join(frame.columns)}")
    text = frame[column].str.strip()
    gap = text.str.lower().isin(["", "na", "nan", "null", "none"])
    values = pd.to_numeric(text.where(~gap), errors="coerce")
    wrong = values.isna() & ~gap
    if wrong.any():
        line = int(np.flatnonzero(wrong)[0])
        raise InputError(f"{path}, line {line + 2}: {column} is {text[line]!r}, no number")
    if np.isinf(values).any():
        raise InputError(f"{path}, line {int(np.flatnonzero(np.isinf(values))[0]) + 2}: {column} is infinite")
    if gap.all():
        raise InputError(f"{path}: the column {column!r} holds no number")
    return values.interpolate(limit_direction="both").to_numpy(dtype=float), int(gap.sum())
