# Every target makes its own environment in .venv; `make demo` and `make test` need nothing else.
# Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two processes of one thread each, whatever the machine: so many cores the tests may count on.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: demo test test-slow lint gui docs pictures clean

demo: $(READY)
	$(BIN)/medcnn demo --out demo_out

test: $(READY)
	$(PYTEST) -m "not slow"

# Orthanc, a PACS, is installed for these where that is possible; without it its tests are skipped.
test-slow: $(READY)
	sh tools/system_packages.sh tests
	$(PYTEST) -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

gui: $(READY)
	$(BIN)/napari --with napari-medcnn Analyze

docs: $(READY)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

pictures: $(READY)
	xvfb-run -a -s "-screen 0 1600x1000x24" $(BIN)/python docs/pictures.py

# nnU-Net's networks come without the dependencies of that package's other networks: they bring a
# torchvision that fits no other build of torch than the default one.
$(READY): pyproject.toml constraints.txt
	sh tools/system_packages.sh
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,test]'
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt dynamic-network-architectures
	touch $(READY)

clean:
	rm -rf $(VENV) build dist site demo_out
