# Each target makes the virtual environment itself when it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
# PyTorch, where it is installed, is a rival of `make bench`.
TORCH_PYTHON ?= $(BIN)/python
# How long `make chaos` and how much `make fuzz` go on, and the seed of both.
MINUTES ?= 10
INPUTS ?= 100000
# Of the page of `make search`.
PORT ?= 8080
SEED ?= 0
# Where `make engines` installs what only these checks need.
ENGINES ?= .venv-engines

.PHONY: demo search test test-slow chaos fuzz engines bench docs lint clean

demo: $(READY)  ## trains DANZCR on the embedded dataset, within a minute or so, and prints its four mAP figures
	$(BIN)/tfxmr train --flagfile=flags/scenes/danzcr_small.cfg --run_dir=runs/demo

search: $(READY)  ## serves a page to search the embedded images and texts with; opens nothing, prints its address
	$(BIN)/tfxmr train --model=sm --dataset=scenes --protocol=standard --run_dir=runs/search_page
	$(BIN)/tfxmr search --run_dir=runs/search_page --web --port=$(PORT)

test: $(VENV)/.hub lint  ## runs the tests
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(READY)  ## runs the long tests
	$(BIN)/python -m pytest -m slow -n 2

chaos: $(READY)  ## kills commands, fills their disks and damages their files, and checks what they leave
	$(BIN)/python tests/robustness/chaos.py --minutes=$(MINUTES) --seed=$(SEED)

fuzz: $(READY)  ## feeds damaged files to every parser, ten minutes of one core
	$(BIN)/python tests/robustness/fuzz.py --inputs=$(INPUTS) --seed=$(SEED)

bench: $(READY)  ## times what must be fast, half an hour on an idle machine
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/ranking.py
	$(BIN)/python benchmarks/ranking.py --items=100000 --sample=2048
	$(BIN)/python benchmarks/closed_form.py --items=2173
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/decoding.py
	$(BIN)/python benchmarks/decoding.py --features=MobileNetV2
	$(BIN)/python benchmarks/training_step.py --torch_python=$(TORCH_PYTHON)

engines:  ## runs Beam, Slurm and Milvus, half an hour; what cannot be had here is skipped, and it says why
	test -e $(ENGINES)/bin/pip || $(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/pip install --quiet --editable '.[beam,milvus]'
	-$(ENGINES)/bin/pip install --quiet --no-deps milvus==2.3.5
	$(ENGINES)/bin/python tests/engines/engines.py

docs: $(READY)  ## builds the site, docs/_build/html/index.html, and runs its notebooks; a warning is an error
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

$(READY): setup.py pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $(READY)

# TensorFlow Text, of keras-hub, is not made for every platform: where it cannot be had, and fits no package that is
# there already, tests of hub:PRESET are skipped, and say so.
$(VENV)/.hub: $(READY)
	$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/.held
	-$(BIN)/python -m pip install --quiet --constraint $(VENV)/.held --editable '.[hub]' && touch $@

clean:
	rm -rf $(VENV) $(ENGINES) runs build docs/_build *.egg-info
