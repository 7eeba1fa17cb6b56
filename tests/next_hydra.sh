#!/usr/bin/env bash
# The doors on the newest pre-release of Hydra: a small environment that has it and borrows all else from .venv.
# Where the index has none, nothing is tested.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .venv-next
"$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" -m venv .venv-next
if ! .venv-next/bin/python -m pip install --quiet --pre \
  'hydra-core>=1.4.0rc1,<1.5' 'omegaconf>=2.4.0rc1,<2.5' 'hydra-joblib-launcher>=1.4.0rc1,<1.5'; then
  echo "no pre-release of Hydra 1.4 to be had: nothing to test"
  exit 0
fi
.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' \
  >"$(.venv-next/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/borrowed.pth"
PYTHONPATH="$PWD/src" .venv-next/bin/python -c 'import hydra; print("Hydra", hydra.__version__)'
PYTHONPATH="$PWD/src" exec .venv-next/bin/python -m pytest -n 2 -p no:cacheprovider tests/test_cli.py tests/test_conf.py tests/studies
