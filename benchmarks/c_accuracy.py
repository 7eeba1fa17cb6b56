"""Whether a network that prune.py trained, 90 % of it removed in tiles, is as accurate in C as in torch on all test strings.

    python benchmarks/c_accuracy.py [overrides of prune.py such as cell=gru]

Runs prune.py in a folder of its own and compiles the file that it exported. Exits with 1 if the accuracies differ.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from omegaconf import OmegaConf

from espalier.learning.bases import rebuild
from espalier.learning.bench import load_data
from espalier.pruning import shrink
from espalier.pruning.c.check import FAST, Compiled, temporary
from espalier.pruning.c.network import Network
from espalier.runs import files
from espalier.settings import PruneConfig, Reber
from espalier.studies.plan import base_training

PRUNE = ["cell=lstm", "percent=[90]", "structure=block", "block=[8,4]", "export=c", "curve=false"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        door = Path(__file__).parents[1] / "prune.py"
        subprocess.run([sys.executable, door, *PRUNE, *sys.argv[1:], f"outputs={folder}"], check=True)
        (written,) = Path(folder, "prune").rglob("export/90.c")
        small = shrink(rebuild(files.load_tensors(written.parents[1] / "levels" / "90.pt", "level")), say=None).eval()
        writer = Network(small).writer(written)
        assert writer.source == written.read_text(), "what was exported is not what is exported now"
        config = OmegaConf.to_container(OmegaConf.load(written.parents[1] / "config.yaml"))
        test = load_data(base_training(PruneConfig(data=Reber(**config["data"]))).data).test
        with torch.no_grad(), temporary() as there:
            logits = torch.cat([small(*part) for part in zip(test.sequences.split(100), test.lengths.split(100))])
            strings = [one[:length].numpy() for one, length in zip(test.sequences, test.lengths)]
            ours = torch.tensor([int(whole[0].argmax()) for whole, _ in Compiled(writer, there, FAST).run(strings)])
        in_torch, in_c = (int((found == test.targets).sum()) for found in (logits.argmax(1), ours))
        told = f"{in_torch} right in torch, {in_c} in C; {writer.about['bytes']:,} bytes of constants"
        print(f"{len(strings)} test strings: {told}")
        return in_torch != in_c


if __name__ == "__main__":
    sys.exit(main())
