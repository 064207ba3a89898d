# Kaifu 开付: open firmware for payment terminals. `make` alone lists what there is.
#
# Everything runs in .venv, made by the first target that needs it; PYTHON chooses the Python that it is made from.

.DEFAULT_GOAL := help
PYTHON ?= python3
PY := .venv/bin/python

# The firmware starts twice as fast from compiled files, and the tests start it often.
unexport PYTHONDONTWRITEBYTECODE

READY_TO_RUN := .venv/ready-to-run
READY_TO_TEST := .venv/ready-to-test
READY_TO_COMPARE := .venv-interop/ready

# Words to pass on: make run ARGS="--port 9000", make test TESTS=tests/flows, make bench ARGS=codecs
ARGS ?=
TESTS ?= tests

.PHONY: help setup run demo test lint mpy pytest emv-coverage diagram fixtures screenshot bench interop campaign-cuts campaign-days campaign-fuzz campaign-host clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

$(READY_TO_RUN): requirements.txt requirements-pi.txt requirements-pi5.txt tools/prepare.py
	@$(PYTHON) tools/prepare.py run
	@touch $@

$(READY_TO_TEST): requirements.txt requirements-dev.txt requirements-bench.txt requirements-pi.txt requirements-pi5.txt tools/prepare.py
	@$(PYTHON) tools/prepare.py test
	@touch $(READY_TO_RUN) $@

$(READY_TO_COMPARE): requirements-interop.txt tools/interop/prepare.py
	@$(PYTHON) -m tools.interop.prepare
	@touch $@

setup: $(READY_TO_TEST) ## everything that running and testing need
	@$(PY) tools/prepare.py say

run: $(READY_TO_RUN) ## the device, in the browser  开机，在浏览器里使用
	@$(PY) tools/prepare.py say
	@$(PY) -m emulator $(ARGS)

demo: $(READY_TO_RUN) ## one sale without a window: prints the screens and the slip  演示一笔消费
	@$(PY) -m tools.demo $(ARGS)

test: lint mpy pytest ## everything that can be tested here

lint: $(READY_TO_TEST) ## style, types, MicroPython's subset
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m tools.mpylint

mpy: $(READY_TO_TEST) ## firmware/ and boards/ under a real MicroPython
	@$(PY) -m tools.mpy

pytest: $(READY_TO_TEST) ## the tests alone; TESTS=tests/flows for a part
	@$(PY) -m pytest -n 2 --dist loadfile $(TESTS) $(ARGS)

emv-coverage: $(READY_TO_TEST) ## docs/emv-coverage.md: which transaction shows which bit
	@$(PY) -m tests.emv_coverage

diagram: $(READY_TO_RUN) ## docs/states.svg and docs/states.txt from the declared moves
	@$(PY) -m tools.diagram $(ARGS)

fixtures: $(READY_TO_TEST) ## records the sample screens anew; look at the difference before you keep it
	@$(PY) -m tests.record_screens

screenshot: $(READY_TO_TEST) ## docs/screenshot.png, taken from the running page
	@$(PY) -m tests.record_screenshot

bench: $(READY_TO_TEST) ## our figures beside the peers', in one table; ARGS="codecs start" for a part
	@$(PY) -m tools.bench $(ARGS)

interop: $(READY_TO_COMPARE) ## our messages and ciphers beside other people's programs; ARGS="wireshark --count 5000"
	@.venv-interop/bin/python -m tools.interop $(ARGS)

campaign-cuts: $(READY_TO_TEST) ## the power cut in every kind at every point, and at 50 random moments; ARGS="--level port"
	@$(PY) -m tests.campaign_cuts $(ARGS)

campaign-days: $(READY_TO_TEST) ## 300 random days with every kind of transaction; ARGS="--seed 7 --count 1 --keys 20000"
	@$(PY) -m tests.campaign_days $(ARGS)

campaign-fuzz: $(READY_TO_TEST) ## 20,000 transactions with cards that lie; ARGS="--count 1000", or --seed N for one again
	@$(PY) -m tests.campaign_fuzz $(ARGS)

campaign-host: $(READY_TO_TEST) ## every kind of conversation against a host that answers wrongly in every way; ARGS="--seed 2"
	@$(PY) -m tests.campaign_host $(ARGS)

clean: ## .venv, caches and what the targets built
	@rm -rf .venv .venv-interop .pytest_cache .mypy_cache .ruff_cache build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
