# Every target makes what it needs (a .venv with hash-checked packages) and asks nothing.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready
export JSII_NODE := $(CURDIR)/.venv/bin/node
COVER := $(PY) -m pytest -p no:cacheprovider
# not for tests marked `alone`: they meet real time limits, and mean to
PARALLEL := -n $(or $(JOBS),2) --dist worksteal
# one computes on one core while the other mostly waits; each one's output stays together (an old make mixes the two)
TWO_AT_ONCE := $(MAKE) --no-print-directory -j 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
# what unit tests mirror; store, use cases and functions are SQL and wiring, measured with real parts by `integration`
UNIT_COVER := $(foreach package,domain payments http runtime messages cache errors,--cov=billing.$(package)) --cov=billing_cli --cov=billing_client

.PHONY: help setup run demo stop invoke test beside unit integration contract e2e e2e-cdk simulation simulation-full simulate simulate-long templates silence kills damage synth diff deploy layers bench instructions bench-reconcile burst load mutate lint typecheck docs api-diff fuzz template format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with every locked package (done by the others when needed)

$(READY): requirements/dev.txt requirements/uv.txt
	@echo "==> making .venv (once; about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv .venv || { echo "Could not make a venv: install your system's python3-venv package."; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@.venv/bin/uv pip sync --python $(PY) --require-hashes requirements/dev.txt
	@printf '%s\n' "$(CURDIR)" "$(CURDIR)/shared" > "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/billing.pth"
	@printf '#!/bin/sh\nexec "%s/$(PY)" -P -m billing_cli "$$@"\n' "$(CURDIR)" > .venv/bin/billing && chmod +x .venv/bin/billing
	@touch $@

run: $(READY) ## Boot the whole system here, play the story, stay up until Ctrl-C
	@$(PY) -m infra.local run

demo: $(READY) ## Play the story again, against the running system
	@$(PY) -m infra.local demo

stop: $(READY) ## Stop a running system (Ctrl-C in its terminal does the same)
	@$(PY) -m infra.local stop

invoke: $(READY) ## Invoke one function with a sample: make invoke FN=checkout EVENT=events/http/checkout.json
	@$(PY) -m infra.local invoke "$(FN)" "$(EVENT)"

test: $(READY) ## All of it: lint, types, every suite, both coverage gates
	@$(MAKE) --no-print-directory lint api-diff unit
	@$(TWO_AT_ONCE) e2e beside
	@$(MAKE) --no-print-directory integration
	@echo "==> all green. Next: make run"

beside: # what computes while the end-to-end tests wait
	@$(MAKE) --no-print-directory typecheck templates contract simulation instructions

unit: $(READY) ## Unit tests, coverage ≥ 85 %
	@echo "==> unit tests"
	@COVERAGE_FILE=.coverage.unit $(COVER) tests/unit $(PARALLEL) $(UNIT_COVER) --cov-report=term --cov-fail-under=85 -q

integration: $(READY) ## Integration tests on real PostgreSQL, DynamoDB API and Stripe double, coverage ≥ 70 %
	@echo "==> integration tests"
	@COVERAGE_FILE=.coverage.integration $(COVER) tests/integration -m "not alone" $(PARALLEL) --cov --cov-report= -q
	@COVERAGE_FILE=.coverage.integration $(COVER) tests/integration -m alone --cov --cov-append --cov-report=term --cov-fail-under=70 -q

contract: $(READY) ## Contracts: the Stripe double against the SDK's schemas and the official CLI, our signatures against botocore
	@echo "==> contract tests"
	@$(COVER) tests/contract $(PARALLEL) -q

e2e: $(READY) ## The whole system over HTTP
	@echo "==> end-to-end tests"
	@$(COVER) tests/e2e -q

e2e-cdk: $(READY) infra/cdk/node_modules/.ready ## The same against the CDK's own assembly, with IAM at work: make e2e-cdk FRONT=rest
	@echo "==> end-to-end tests on the CDK's assembly"
	@FRONT=$(or $(FRONT),http) $(COVER) tests/e2e --ignore tests/e2e/test_restarts.py -q

templates: $(READY) ## Production's and the laptop's templates: cdk-nag, cfn-lint, parity, alarms and their runbooks
	@echo "==> templates"
	@$(COVER) tests/infra -q

simulation: $(READY) ## Ten fixed seeds of the simulation, then half a minute of fresh ones
	@echo "==> simulation"
	@printf '%s\n' '0 1-5' '0 6-10' "random $$(date +%s)- --minutes 0.5" | xargs -P 2 -L 1 \
	  sh -c 'PYTHONHASHSEED=$$0 exec $(PY) -m tests.simulation "$$@" --steps 500'

simulation-full: $(READY) ## Known-bad designs that must die by their seeds, then a minute of fresh seeds (some minutes)
	@PYTHONHASHSEED=0 $(COVER) tests/simulation -q
	@$(PY) -m tests.simulation $$(date +%s)- --minutes 1

SEED ?= 1
STEPS ?= 800
simulate: $(READY) ## Replay a seed of the simulation: make simulate SEED=17 STEPS=800
	@$(PY) -m tests.simulation $(SEED) --steps $(STEPS)

simulate-long: $(READY) ## Simulate for hours: make simulate-long SEEDS=1- MINUTES=240 STEPS=800
	@$(PY) -m tests.simulation $(or $(SEEDS),$$(date +%s)-) --steps $(STEPS) --minutes $(or $(MINUTES),240) --keep-going

silence: $(READY) ## Weeks without webhooks, then one reconciliation, by seeds: make silence SEEDS=1-50 KIND=listing
	@$(PY) -m tests.simulation.silence $(or $(SEEDS),1-20) $(if $(KIND),--kind $(KIND)) --keep-going

PART ?= 1/1
kills: $(READY) ## A reconciliation killed at each request it makes: the same end? make kills PART=1/2 (half an hour)
	@$(PY) -m tests.kills --part $(PART)

damage: $(READY) ## A thousand random damages to store and cache: all found, all mended? (some minutes)
	@DAMAGES=$(or $(DAMAGES),1000) $(COVER) tests/integration/usecases/test_random_damage.py -q

bench: $(READY) ## All benchmarks as ratios to a reference in the same run, on a quiet machine: make bench ONLY="cold check" PAIRS=11 WRITE=1
	@$(PY) -m tests.bench $(ONLY) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(WRITE),--write)

instructions: $(READY) ## How many instructions cold imports and a check take, against the record (with valgrind; 20 seconds)
	@echo "==> instructions"
	@$(COVER) tests/bench -q

bench-reconcile: $(READY) ## A reconciliation of so many subscriptions: time, memory, ÷ the bare listing: make bench-reconcile SIZES=1000,10000
	@$(PY) -m tests.bench.reconcile $(if $(SIZES),--sizes $(SIZES))

EVENTS ?= 10000
WORKERS ?= 4
burst: $(READY) ## Ten thousand events through the real parts: is any lost? make burst EVENTS=10000 WORKERS=4 (some minutes)
	@$(PY) -m tests.bench.burst --events $(EVENTS) --workers $(WORKERS)

load: $(READY) ## Load on a system booted for it, ten minutes: make load SCENARIO=steady|sale|storm|outage|worker MINUTES=10 RATE=50 WRITE=1
	@$(PY) -m tests.load $(or $(SCENARIO),steady) --minutes $(or $(MINUTES),10) --events $(EVENTS) \
	  $(if $(RATE),--rate $(RATE)) $(if $(CHECKS),--checks $(CHECKS)) $(if $(WRITE),--write)

# In a copy, for mutmut names a module by its path from where it runs. SURVIVED lists what no test noticed.
mutate: $(READY) ## Mutation tests: is every rule of billing/domain held by a unit test? (half an hour, one process)
	@rm -rf build/mutate && mkdir -p build/mutate/tests
	@cp -r shared/billing docs pyproject.toml build/mutate && cp -r tests/__init__.py tests/unit build/mutate/tests
	@cd build/mutate && $(CURDIR)/.venv/bin/mutmut run --max-children 1
	@cd build/mutate && $(CURDIR)/.venv/bin/mutmut results --all true | awk -F '[.: ]+' '{ file = $$4; all[file]++; total++; \
	    if ($$NF ~ /^(killed|timeout)$$/) { killed[file]++; caught++ } else print "SURVIVED" $$0 } \
	  END { for (file in all) printf "%-14s %4d of %4d\n", file, killed[file], all[file] | "sort"; close("sort"); \
	    printf "==> %d of %d mutants killed, %.1f %%\n", caught, total, 100 * caught / total }'

MIGRATIONS := shared/billing/store/migrations
SQUAWK := .venv/bin/squawk -c shared/billing/store/squawk.toml --no-error-on-unmatched-pattern
lint: $(READY) ## ruff, import-linter, squawk on new migrations
	@echo "==> lint"
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --quiet --check . || { echo "run: make format"; exit 1; }
	@.venv/bin/lint-imports --no-cache
	@$(SQUAWK) $(MIGRATIONS)/*.sql
	@$(SQUAWK) --exclude-path none --no-assume-in-transaction '$(MIGRATIONS)/*_concurrently.sql'

typecheck: $(READY) ## mypy --strict
	@echo "==> types"
	@.venv/bin/mypy

docs: $(READY) ## Write the pages that are generated from code (docs/errors.md, docs/openapi.json)
	@$(PY) -c "from billing.http.problems import reference; print(*reference(), sep='\n')" > docs/errors.md
	@$(PY) -m infra.catalog_schema
	@$(PY) -m infra.event_schema
	@$(PY) -m infra.openapi
	@$(PY) -m infra.inventory

api-diff: $(READY) ## Does the HTTP contract break what callers rely on? make api-diff BASE=main (else the commit before)
	@echo "==> contract"
	@$(PY) -m infra.api_diff $(BASE)

CASES ?= 200
fuzz: $(READY) ## Invented requests to every route of a system booted for it, for longer: make fuzz CASES=2000 (each way)
	@FUZZ_CASES=$(CASES) $(COVER) tests/e2e/test_api_schema.py -q -s

STAGE ?= staging
CDK := $(JSII_NODE) infra/cdk/node_modules/aws-cdk/bin/cdk
infra/cdk/node_modules/.ready: infra/cdk/package-lock.json $(READY)
	@echo "==> installing the CDK's command line (once)"
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/npm ci --prefix infra/cdk --silent --no-audit --no-fund
	@touch $@

synth: $(READY) ## Build and check what would be deployed: make synth STAGE=prod OPTIONS="-c front=rest"
	@rm -rf build/cdk.out
	@CDK_OUTDIR=build/cdk.out $(PY) -m infra.app -c stage=$(STAGE) $(OPTIONS)
	@.venv/bin/cfn-lint --ignore-checks W3005 -- build/cdk.out/*.template.json
	@echo "==> build/cdk.out: nothing found by cdk-nag and cfn-lint. Next: make diff STAGE=$(STAGE), make deploy STAGE=$(STAGE)"

diff: infra/cdk/node_modules/.ready ## What a deployment would change: make diff STAGE=prod
	@$(CDK) diff -c stage=$(STAGE) $(OPTIONS)

deploy: infra/cdk/node_modules/.ready ## cdk deploy of all stacks, into the account you are logged in to: make deploy STAGE=prod
	@$(CDK) deploy --all -c stage=$(STAGE) $(OPTIONS)
	@echo "==> deployed. Next: billing deploy check (docs/deployment.md)"

layers: $(READY) ## Build every package that goes to Lambda, say how large each is
	@$(PY) -m infra.bundle

template: $(READY) ## Write template-local.yaml from infra/stacks/local.py
	@$(PY) -m infra.template

format: $(READY) ## Format and mend what ruff can
	@.venv/bin/ruff check --quiet --fix . || true
	@.venv/bin/ruff format .

lock: $(READY) ## Lock requirements/*.in again (hashes, no registry address)
	@for name in uv runtime driver infra dev; do \
	  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    requirements/$$name.in -o requirements/$$name.txt; done

clean: stop ## Stop the system; delete its data, the venv and caches
	@rm -rf .local .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage.*
