"""Sweeps: parallel, interrupted, on a full disk, from one's own folder, reported."""

import importlib.util
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import kill
import pytest
import torch
from helpers import TINY_PRUNE

from espalier.analysis import tables
from espalier.errors import InputError
from espalier.runs.device import device
from espalier.settings import PruneConfig, from_yaml
from espalier.studies import controls

ROOT = Path(__file__).parents[2]
FAST = [*TINY_PRUNE, "curve=false", "logger=none"]


def run(door, *arguments, cwd, **how):
    command = [sys.executable, str(ROOT / f"{door}.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **how)


def test_parallel_jobs_give_the_same_bits_and_share_their_base(door, tmp_path):
    sweep = ["-m", *FAST, "cell=gru", "target=i2h,h2h,both", "percent=[50,90]", "retrain=fixed"]
    code, _, err = door("prune", *sweep, "outputs=alone")
    assert code == 0, err
    beside = run("prune", *sweep, "outputs=beside", "engine=joblib", "hydra.launcher.n_jobs=2", cwd=tmp_path)
    assert beside.returncode == 0, beside.stderr
    assert kill.results(tmp_path / "alone") == kill.results(tmp_path / "beside") != {}
    assert len(list((tmp_path / "beside" / "trainings").glob("*-train-*/seed_0/result.json"))) == 1
    assert re.search(r"\[3/3\] .* done", beside.stderr)


def test_two_commands_at_the_same_time_train_one_base(tmp_path):
    commands = [[*FAST, "cell=gru", f"target={target}", "percent=[50]"] for target in ("i2h", "h2h")]
    both = [kill.start("prune", command, tmp_path / "outputs") for command in commands]
    assert [process.wait() for process in both] == [0, 0], [process.stderr.read() for process in both]
    (log,) = (tmp_path / "outputs").glob("trainings/*-train-*/seed_0/training.log")
    assert log.read_text(encoding="utf-8").count("epoch 1:") == 1


def test_a_parallel_sweep_is_killed_and_goes_on_elsewhere(door, tmp_path):
    """SIGKILL to all processes of a sweep in two, its end in one: the same bits as in one go, nothing done twice. (At random,
    many times, for every door: benchmarks/kill.py.)
    """
    arguments = [*kill.DOORS["prune"], "logger=none"]
    code, _, err = door("prune", "-m", "seed=0,1", *arguments, f"outputs={tmp_path / 'whole'}")
    assert code == 0, err
    killed = tmp_path / "killed"
    process = kill.start("prune", [*kill.PARALLEL, *arguments], killed)
    kill.wait_for(process, lambda: len(list(killed.glob("trainings/*-prune_*/*/result.json"))) >= 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    stamps = {path: path.stat().st_mtime_ns for path in killed.rglob("result.json")}
    assert len(stamps) >= 3  # two levels and at least one base
    code, _, err = door("prune", "-m", "seed=0,1", *arguments, f"outputs={killed}")
    assert code == 0, err
    assert kill.results(killed) == kill.results(tmp_path / "whole") != {}
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_ctrl_c_ends_promptly_and_loses_nothing_finished(tmp_path):
    arguments = [*kill.DOORS["prune"], "trainer.max_epochs=100000", "logger=none"]
    process = kill.start("prune", arguments, tmp_path)
    (checkpoint,) = kill.wait_for(process, lambda: list(tmp_path.glob("trainings/*-train-*/seed_0/training.ckpt")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130 and "the same command goes on" in err and "Traceback" not in err
    reached = torch.load(checkpoint, weights_only=True)["epoch"]
    assert 0 <= reached < 100_000 and not list(tmp_path.rglob("result.json"))  # promptly: it did not train to the end


def test_a_full_disk_is_told_and_leaves_nothing_that_looks_whole(tmp_path):
    def small_files():  # a file cannot grow beyond this, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    done = run("train", *FAST[: len(FAST) - 3], "logger=none", cwd=tmp_path, preexec_fn=small_files)
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("error: "), done.stderr
    assert "File too large" in done.stderr and "Traceback" not in done.stderr
    assert (
        not list(tmp_path.rglob("result.json")) and not list(tmp_path.rglob("*.pt")) and not list(tmp_path.rglob(".*.ckpt.*"))
    )


def test_an_experiment_of_ones_own_from_a_folder_of_ones_own(door, tmp_path):
    folder = tmp_path / "settings" / "experiment"
    folder.mkdir(parents=True)
    lines = [
        "# @package _global_",
        "percent: [50]",
        "hydra:",
        "  sweeper:",
        "    params: {cell: 'gru,rnn_tanh', target: 'i2h,h2h'}",
    ]
    (folder / "mine.yaml").write_text("\n".join(lines))
    code, _, err = door("prune", "-m", "-cd", "settings", "experiment=mine", "target=h2h", *FAST)
    assert code == 0, err
    (sweep,) = (tmp_path / "outputs" / "sweeps").glob("prune-mine-*")
    summary = tables.read(sweep / "summary.csv")
    assert set(summary["cell"]) == {"gru", "rnn_tanh"} and set(summary["target"]) == {"h2h"}
    code, _, err = door("prune", "-cd", "settings", "experiment=mine", *FAST)
    assert code == 2 and "python prune.py -m -cd settings experiment=mine" in err


def test_the_installed_package_brings_its_conf_and_commands(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    site = tmp_path / "site"
    assert (site / "espalier" / "conf" / "prune.yaml").exists() and (site / "espalier" / "analysis" / "thesis.csv").exists()
    (info,) = site.glob("*.dist-info")
    points = (info / "entry_points.txt").read_text(encoding="utf-8")
    for door in ("train", "prune", "structure_search"):
        assert f"espalier-{door.replace('_', '-')} = espalier.cli:{door}" in points
    code = f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv = ['espalier-prune', '--info', 'searchpath']\n"
    code += "from espalier.cli import prune\nprune()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert str(site / "espalier" / "conf") in done.stdout, done.stderr


def test_a_sweep_with_controls(door, tmp_path, monkeypatch):
    sweep = ["-m", *FAST, "cell=gru", "target=i2h", "percent=[50,90]", "seed=0,1", "controls=true", "retrain=fixed"]
    folder = tmp_path / "first"
    code, _, err = door("prune", *sweep, f"outputs={folder / 'outputs'}")
    assert code == 0, err
    (sweep,) = (folder / "outputs" / "sweeps").iterdir()
    page = (sweep / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3 and "python prune.py -m" in page and "How far can one prune" in page
    monkeypatch.undo()  # from here on figures are drawn
    code, _, err = door("prune", f"report={sweep}")
    assert code == 0, err
    the_report_is_one_file_that_answers((folder, sweep))
    the_report_can_be_made_again_also_from_a_half_finished_sweep((folder, sweep), door, tmp_path)
    controls_are_runs_of_their_own((folder, sweep))


def the_report_is_one_file_that_answers(swept):
    _, sweep = swept
    page = (sweep / "report.html").read_text(encoding="utf-8")
    assert all(target.startswith(("#", "data:")) for target in re.findall(r"""(?:src|href)=["']([^"']*)""", page)), (
        "not self-contained"
    )
    for words in (
        "How far can one prune",
        "What does it cost",
        "Level by level",
        "Without learning",
        "small dense",
        "trained on",
    ):
        assert words in page
    assert page.index("How far can one prune") < page.index("<svg") and page.count("<svg") == 3
    assert "python prune.py -m" in page and "torch 2." in page and "Han" in page and "n = 2 seeds" in page and "±" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)) and len(ids) > 10
    for reference in re.findall(r'(?:url\(|href=")#([^")]+)', page):
        assert reference in ids


def the_report_can_be_made_again_also_from_a_half_finished_sweep(swept, door, tmp_path):
    folder, sweep = swept
    copy = tmp_path / "outputs"
    shutil.copytree(folder / "outputs", copy)
    for path in copy.glob("prune/gru*/seed_1"):
        shutil.rmtree(path)
    (copy / "sweeps" / sweep.name / "report.html").unlink()
    code, out, err = door("prune", f"report=outputs/sweeps/{sweep.name}")
    assert code == 0, err
    page = (copy / "sweeps" / sweep.name / "report.html").read_text(encoding="utf-8")
    assert "Not finished" in page and "cell=gru" in page and "1 runs are not finished" in out
    for wrong, told in (("nowhere", "no folder of a sweep"), (".", "no folder of a sweep")):
        code, _, err = door("prune", f"report={wrong}")
        assert code == 2 and told in err and err.count("\n") == 1


def controls_are_runs_of_their_own(swept):
    folder, _ = swept
    runs = (folder / "outputs").glob("prune/gru*/seed_0/config.yaml")
    configs = [from_yaml(path, PruneConfig) for path in runs]
    (config,) = [one for one in configs if one.percent == [50, 90] and not one.fresh]
    config.outputs = str(folder / "outputs")
    i2h, h2h, head = controls.weights(config.cell, [6, 5], 6, 2)
    assert (i2h, h2h, head) == (3 * (36 + 30), 3 * (36 + 25), 0)
    small = controls.dense(config, 90)
    units = small.model.hidden[0]
    kept = i2h + h2h - round(0.9 * i2h)
    assert sum(controls.weights(config.cell, [units] * 2, 6, 2)) <= kept
    assert sum(controls.weights(config.cell, [units + 1] * 2, 6, 2)) > kept
    assert small.model.embedding == 6 and controls.dense(PruneConfig(percent=[100]), 100) is None
    trained = list((folder / "outputs").glob("train/gru*/seed_0/result.json"))
    assert len(trained) == 4  # two small dense ones, two with other regularisers


def test_under_the_thesis_the_published_values_stand_beside_ours(door, tmp_path):
    code, _, err = door("prune", "-m", "experiment=thesis_pruning", "cell=gru", "target=h2h", *FAST, "percent=[50,100]")
    assert code == 0, err
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    page = (sweep / "report.html").read_text(encoding="utf-8")
    assert "published: cut" in page and "0.5733" in page and "90 %" in page


def test_one_gpu_per_job(tmp_path, monkeypatch):
    for name in ("SLURM_JOB_ID", "RAY_JOB_ID", "RAY_WORKER_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    with device("auto", 0) as none, device("auto", 1) as only, device("cpu", 4) as cpu:
        assert (none.type, str(only), cpu.type) == ("cpu", "cuda:0", "cpu")
    with device("auto", 2, tmp_path) as first, device("auto", 2, tmp_path) as second:
        assert {first.index, second.index} == {0, 1}
    with device("auto", 2, tmp_path) as again:
        assert again.index == 0
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        with device("auto", 2, tmp_path) as given:
            assert given.index == 0  # Slurm has chosen already
    with pytest.raises(InputError, match="there are 1 CUDA devices"), device("cuda:3", 1):
        pass


def slurm_is_up():
    return shutil.which("sinfo") and not subprocess.run(["sinfo", "-h"], capture_output=True).returncode


@pytest.mark.skipif(not slurm_is_up(), reason="no Slurm here")
def test_slurm_runs_a_job_array_and_a_killed_job_goes_on(tmp_path):
    sweep = ["-m", *kill.DOORS["prune"], "trainer.max_epochs=300", "target=i2h,h2h", "logger=none"]
    slurm = ["engine=slurm", "hydra.launcher.mem_gb=2", "hydra.launcher.timeout_min=10"]
    process = kill.start("prune", [*sweep, *slurm], tmp_path / "outputs")
    kill.wait_for(process, lambda: list(tmp_path.glob("outputs/trainings/*-train-*/seed_0/training.ckpt")))
    (scripts,) = tmp_path.glob("outputs/sweeps/*/.submitit")
    ours = sorted({path.name.partition("_")[0] for path in scripts.iterdir() if path.name[0].isdigit()})
    subprocess.run(["scancel", "--signal=KILL", "--full", *ours], check=True)
    subprocess.run(["scancel", *ours], check=True)
    os.killpg(process.pid, signal.SIGKILL)  # without sacct the waiting command cannot see what happened to its tasks
    process.communicate()
    while subprocess.run(["squeue", "-h", f"--jobs={','.join(ours)}"], capture_output=True, text=True).stdout.strip():
        time.sleep(0.5)
    (log,) = tmp_path.glob("outputs/trainings/*-train-*/seed_0/training.log")
    before = log.read_text(encoding="utf-8").count("epoch ")
    assert 0 < before < 300 and not list(tmp_path.rglob("result.json"))
    kill.finish("prune", [*sweep, *slurm], tmp_path / "outputs")
    assert log.read_text(encoding="utf-8").count("epoch ") <= 301, "the base started over"
    assert len(list(tmp_path.glob("outputs/sweeps/*/.submitit/*_[01]"))) >= 2, "no job array"
    kill.finish("prune", sweep, tmp_path / "whole")
    assert kill.results(tmp_path / "outputs") == kill.results(tmp_path / "whole")


@pytest.fixture
def ray_cluster():
    """The address of a Ray cluster of our own, of this machine with two pretended GPUs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="ray")  # short, since Ray puts sockets into it
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}", "--num-gpus=2"]
    command += ["--num-cpus=2", "--include-dashboard=false", f"--temp-dir={folder}", "--disable-usage-stats"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        kill.wait_for(process, lambda: list(Path(folder).glob("session_*/sockets/raylet*")))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()  # it ends what it started
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(importlib.util.find_spec("hydra_plugins.hydra_ray_launcher") is None, reason="no Ray here")
def test_ray_joins_a_running_cluster(door, tmp_path, ray_cluster):
    sweep = ["-m", *FAST, "cell=gru,rnn_tanh", "target=i2h,h2h", "percent=[50]"]
    cluster = [f"hydra.launcher.ray.init.address={ray_cluster}", "hydra.launcher.ray.remote.num_gpus=1"]
    done = run("prune", *sweep, "engine=ray", *cluster, "outputs=cluster", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\[4/4\] .* done", done.stderr)
    (folder,) = (tmp_path / "cluster" / "sweeps").iterdir()
    assert len(tables.read(folder / "summary.csv")) == 4 and "GRU" in (folder / "report.html").read_text(encoding="utf-8")
    code, _, err = door("prune", *sweep, "outputs=alone")
    assert code == 0, err
    assert kill.results(tmp_path / "cluster") == kill.results(tmp_path / "alone") != {}


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_a_missing_engine_is_told_with_the_remedy(tmp_path):
    done = run("prune", "-m", *FAST, "engine=ray", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "espalier[ray]" in done.stderr
