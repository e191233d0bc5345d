# make demo                      the main job, on the embedded site and the sandbox
# make test                      lint's sister: every test that needs no bench
# make lint                      ruff, as pre-commit runs it
# make chaos                     hundreds of sales while everything breaks; BENCH=path SITE=name: on a bench
# make bench-test BENCH=path     the same tests on a real bench, and the browser's
# make upgrade-test BENCHES="path path"   a site with data goes from one bench to the next, and is compared
PYTHON ?= python3
VENV ?= .venv
BENCH ?= /opt/frappe-bench
READY = $(VENV)/.ready

.PHONY: demo test lint chaos bench-test upgrade-test clean

demo: $(READY)
	@$(VENV)/bin/python demo.py $(if $(PROVIDER),--provider $(PROVIDER))

test: $(READY)
	@$(VENV)/bin/python -m pytest $(TESTS)

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

chaos: $(READY)
	@$(if $(SITE),"$(BENCH)/env/bin/python",$(VENV)/bin/python) -m chaos $(if $(SITE),--bench "$(BENCH)" --site "$(SITE)") $(if $(SALES),--sales $(SALES)) $(if $(SEED),--seed $(SEED))

bench-test:
	@bash scripts/bench_test.sh "$(BENCH)"

upgrade-test:
	@bash scripts/upgrade_test.sh $(BENCHES)

$(READY): requirements-dev.txt scripts/setup.sh
	@bash scripts/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

clean:
	rm -rf $(VENV) .state
