"""Fixtures: small configurations, and the command line called in this process."""

import sys

import pytest
import torch
from helpers import tiny_config

from espalier import cli
from espalier.settings import TrainConfig


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def config(tmp_path):
    """A function that makes a small pruning configuration; keyword arguments change it."""
    return lambda **changes: tiny_config(tmp_path / "outputs", **changes)


@pytest.fixture
def train_config(tmp_path):
    return lambda **changes: tiny_config(tmp_path / "outputs", TrainConfig, **changes)


@pytest.fixture
def door(monkeypatch, capsys, tmp_path):
    """Calls a door with overrides, as the shell would: (exit code, standard output, standard error)."""

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        monkeypatch.chdir(tmp_path)
        try:
            getattr(cli, name)()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(autouse=True)
def unrendered(request, monkeypatch):
    """Figures are made but not rendered, which is most of the time of a tiny run, except for tests marked `rendered`."""
    if request.node.get_closest_marker("rendered"):
        return
    import numpy as np
    from matplotlib import image
    from matplotlib.figure import Figure

    def savefig(figure, content, format, **how):
        if format == "png":
            image.imsave(content, np.zeros((1, 1, 3)))
        else:
            content.write(b"<svg></svg>")

    monkeypatch.setattr(Figure, "savefig", savefig)
