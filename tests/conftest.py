"""Fixtures: small configurations, and the command line called in this process."""

import base64
import sys

import pytest
import torch
from helpers import tiny_config

from espalier import cli
from espalier.analysis import drawing
from espalier.settings import TrainConfig

#: A figure of one white pixel.
EMPTY = {
    "png": base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"),
    "svg": b"<svg></svg>",
}


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
    monkeypatch.setattr(drawing, "rendered", lambda figure: EMPTY)
