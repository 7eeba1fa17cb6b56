# Both targets set up .venv from requirements.lock when it is missing or older than the lock.
PYTHON ?= python3
VENV := .venv/bin
.PHONY: prune test test-next docs lint clean

prune: .venv/ready
	$(VENV)/python prune.py -m cell=lstm,gru target=i2h,h2h,both experiment=quick

test: .venv/ready lint
	$(VENV)/python -m pytest -n 2

# The doors once more, on the newest pre-release of Hydra where the index has one.
test-next: .venv/ready
	tests/next_hydra.sh

# The pages of docs/ and the reference, into outputs/docs.
docs: .venv/ready
	$(VENV)/python -m mkdocs build --strict --quiet
	@echo outputs/docs/index.html

lint: .venv/ready
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "espalier needs Python 3.11 to 3.13: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(VENV)/python -m pip install --quiet -r requirements.lock -e .
	touch $@

clean:
	rm -rf .venv .venv-next
