# make demo | check | test | lint | docs | bench | test-oldest: each builds its environment first (delete .venv to start afresh).
#   TORCH   what to install as torch, e.g.  make test TORCH=torch==2.13.0
#   PYTHON  the Python that makes the environment, >= 3.10
#   WORKERS processes that run tests, e.g. make test WORKERS=0 to see their output at once
#   RESULTS the folder in which `make bench` leaves figures and plots
#   ARGS    more arguments for pytest, e.g. make test ARGS="--slow -k weights"
PYTHON ?= python3
TORCH ?= torch
RESULTS ?= bench-results
FIXTURES ?= ../shared/reference/fixtures
WORKERS ?= auto
FAST := $(addprefix tests/,batch comfyui_graphs data drawing entities inpaint language pictures support test_docs.py test_floors.py)
PYTEST := -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile
BIN := .venv/bin
# Tests start many Pythons, which would compile every file again, and pytest rewrites its plugins and the tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo check test fast lint docs bench test-oldest

demo: .venv/.installed-demo
	$(BIN)/esg demo

check: .venv/.installed-test
	$(MAKE) --jobs 2 --output-sync lint fast

fast: .venv/.installed-test
	$(BIN)/python $(PYTEST) --quiet $(addprefix --ignore tests/,inpaint/engines batch/test_cluster.py batch/test_command.py) $(FAST) $(ARGS)

test: .venv/.installed-test
	$(BIN)/python $(PYTEST) $(ARGS)

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell README.md docs tools esg esg_nodes locales space web_demo
	$(BIN)/python tools/check_wording.py
	$(BIN)/mypy
	ln -sfn .. .venv/pack && $(BIN)/mypy --no-explicit-package-bases .venv/pack/esg_nodes

docs: .venv/.installed-docs
	$(BIN)/mkdocs build

bench: .venv/.installed-test
	$(BIN)/python -m benchmarks.start --out $(RESULTS)
	test ! -d $(FIXTURES) || $(BIN)/python -m benchmarks.parity $(FIXTURES) --out $(RESULTS)
	$(BIN)/python -m benchmarks.fusion --megapixels 24 --queries 100 --out $(RESULTS)
	$(BIN)/python -m benchmarks.end_to_end --against mask2former sam sam2 nano --out $(RESULTS)
	$(BIN)/python -m benchmarks.large_photo --megapixels 100 --out $(RESULTS)
	$(BIN)/python -m benchmarks.foreign_masks --out $(RESULTS)
	$(BIN)/python -m benchmarks.stages --model cropformer-nano --out $(RESULTS)
	$(BIN)/python -m benchmarks.stages --model gella-nano --out $(RESULTS)
	$(BIN)/python -m benchmarks.accuracy --scenes 200 --out $(RESULTS)
	$(BIN)/python -m benchmarks.video --clips 3 --frames 8 --share 1 3 --out $(RESULTS)
	$(BIN)/python -m benchmarks.gella_cost --out $(RESULTS)
	$(BIN)/python -m benchmarks.memory_and_time --rows nano --gella gella-nano --out $(RESULTS)
	$(BIN)/python -m benchmarks.gpu --out $(RESULTS)
	$(BIN)/python -m benchmarks.page_visitors --out $(RESULTS)
	$(BIN)/python -m benchmarks.batch --out $(RESULTS)

test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python $(PYTEST) $(ARGS)

.venv/.installed-%: pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install $(TORCH)
	$(BIN)/pip install -e ".[$*]"
	touch $@

.venv-oldest/.installed: pyproject.toml tests/oldest.txt
	test -x .venv-oldest/bin/pip || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install -c tests/oldest.txt -e ".[test]"
	touch $@
