# Everything a newcomer or a machine runs. `make demo` and `make test` set up what they need by themselves.

PYTHON = .venv/bin/python
# Scripts that are shell, wherever they lie; the hooks carry no suffix.
SHELL_SCRIPTS = $(shell find hooks renewer tests .ci -type f ! -name '*.py' ! -name '*.pyc' -exec grep -lE -m1 '^\#! */(usr/)?bin/(env )?(ba)?sh' {} +)
export PYTHONPATH = $(CURDIR)
# Tests wait for servers half of their time: three workers keep two cores busy.
WORKERS = $(shell echo $$(($$(nproc) * 3 / 2)))

.DEFAULT_GOAL = help
.PHONY: help demo check check-code check-tests test bench lint types setup deb clean

help:
	@echo 'make demo    watch it: issue, deploy, renew, break and mend, on a real Pebble and a real nginx'
	@echo 'make check   lint, types and the tests that need no server, in a minute; without root'
	@echo 'make test    lint, types and every test'
	@echo 'make bench   how fast it is, beside certbot'
	@echo 'make lint    ruff and shellcheck'
	@echo 'make types   mypy'
	@echo 'make setup   what the four above need, and nothing more'
	@echo 'make deb     a package for Debian 12 and 13, in dist/'
	@echo 'make release all that is published: source, wheel, package, their parts and digests, in dist/'
	@echo 'make clean   takes away what they made in this checkout'

demo:
	@tests/setup.sh demo
	@$(PYTHON) tests/demo.py

check:
	@tests/setup.sh check
	@$(MAKE) --no-print-directory --jobs=2 check-code check-tests

check-code:
	@$(PYTHON) -m ruff check --quiet
	@$(PYTHON) -m ruff format --quiet --check
	@if command -v shellcheck >/dev/null; then shellcheck $(SHELL_SCRIPTS); fi
	@$(PYTHON) -m mypy

check-tests:
	@$(PYTHON) -m pytest -q -n 2 --dist worksteal --hypothesis-profile=check -m 'not real and not slow'

test: setup
	@$(MAKE) --no-print-directory lint types
	@$(PYTHON) -m pytest -n $(WORKERS) --dist worksteal --ignore=tests/benchmarks

bench: setup
	@tests/setup.sh bench
	@$(PYTHON) -m tests.benchmarks

lint: setup
	@$(PYTHON) -m ruff check --quiet
	@$(PYTHON) -m ruff format --quiet --check
	@shellcheck $(SHELL_SCRIPTS)

types: setup
	@$(PYTHON) -m mypy

setup:
	@tests/setup.sh test

deb:
	@tests/setup.sh check
	@$(PYTHON) packaging/deb.py fetch build/wheels
	@$(PYTHON) packaging/deb.py build build/wheels dist

release:
	@tests/setup.sh check
	@rm -rf dist
	@$(PYTHON) packaging/deb.py fetch build/wheels
	@$(PYTHON) packaging/release.py build/wheels dist

clean:
	rm -rf .venv .bench build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
