# Everything a newcomer needs: make demo, make test.
# The distribution's interpreter is built with optimisations, which others on the path may not be:
# it runs the switch up to twice as fast.
PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null && echo /usr/bin/python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
UV := build/uv/bin/uv
# Where the system has certificates, trust those: a company's own registry is signed by its own.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS := 1
endif

.PHONY: setup demo up check test fuzz bench proto lock clean

setup: $(VENV)/.installed  ## the environment, from the lock file

$(UV):
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target build/uv uv==0.13.9

$(VENV)/.installed: pyproject.toml requirements.lock | $(UV)
	@echo "setting up .venv (once, and after changes of the lock file)"
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --compile-bytecode -r pyproject.toml --group dev --group embedded -c requirements.lock --require-hashes
	@$(BIN)/python -m compileall -q services proto deploy  # a service started from source costs twice the CPU
	@touch $@

demo: setup  ## set up, start the switch, place a real billed call, check everything
	@./tandem demo

up: setup  ## the switch, kept running; Ctrl-C drains
	@./tandem up

check: setup  ## what fails fastest, first
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-cache > build/imports.txt || { cat build/imports.txt; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/unit tests/test_layout.py

test: setup  ## all tests, with real servers and SIPp
	@./tests/support/install_tools.sh
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-cache > build/imports.txt || { cat build/imports.txt; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/pytest -m alone
	@$(BIN)/pytest -m "not alone" --numprocesses 2 --dist loadscope --no-loadscope-reorder

fuzz: setup  ## guided fuzzing, bounded by count; what it finds is left in build/fuzz
	@$(BIN)/python -m tests.fuzz

bench: setup  ## speed and memory, beside public peers; writes build/bench.json
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet -r pyproject.toml --group bench -c requirements.lock --require-hashes || echo "without the Sippy B2BUA: it could not be built"
	@$(BIN)/python -m tests.bench

proto: setup  ## regenerate the code beside the contracts
	@$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. $$(find proto -name '*.proto' | sort)

lock: $(UV)  ## pin the newest allowed versions
	@$(UV) pip compile pyproject.toml --group dev --group embedded --group bench --universal --generate-hashes --no-header --quiet -o requirements.lock

clean:
	@rm -rf build $(VENV)
