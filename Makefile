# The two commands a newcomer needs are `make demo` and `make test`; both install into .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ONCE   ?= 0
N      ?= 30
SEED   ?= 1
STEPS  ?= 500
PROFILE ?= 1.36
CYCLES ?= 300
DOCUMENTS ?= 100000
JOBS   ?= 6

# Child processes must not inherit a proxy or a CA bundle of the machine: everything here talks to loopback.
# Bytecode is written even where the machine says otherwise: compiling the tests anew takes each process 8 s.
CLEAN  := env -u REQUESTS_CA_BUNDLE -u CURL_CA_BUNDLE -u SSL_CERT_FILE -u HTTP_PROXY -u HTTPS_PROXY -u http_proxy -u https_proxy -u KUBECONFIG -u PYTHONDONTWRITEBYTECODE

# In a fresh clone the tests are compiled once, and not by each process anew. What is wrong is told when they run.
COMPILED := [ -d tests/unit/__pycache__ ] || $(CLEAN) $(BIN)/python -m pytest -q --collect-only --ignore=tests/browser >/dev/null 2>&1 || :

.PHONY: help install demo test compiled lint docs man testbed testbed-clean lock images sbom manifests recordings bench bench-loop bench-demo soak fuzz histories renewals drops full-range crash fleet mutation coverage screenshots bench-portal clean

help:            ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "Python 3.11, 3.12 or 3.13 is needed (set PYTHON=...)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile 'uv>=0.9'
	@# uv takes a quarter of pip's time. It reads none of pip's configuration: where only that leads to an index, pip installs.
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]' || $(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

install: $(STAMP) ## install everything into .venv

demo: $(STAMP)   ## from a spec file to an address that answers requests; with ONCE=1 it checks itself and stops
	@$(CLEAN) $(BIN)/edge-expose local demo $(if $(filter 1,$(ONCE)),--once)

test: $(STAMP)   ## every test this machine can run, in JOBS processes; what is skipped is named at the end
	@# The browser's driver keeps an event loop in its process, so its tests get a process of their own, beside the others.
	@# One that fails does not keep the other from running, and the exit code tells of both.
	@code=0; shown=$$(mktemp); \
	$(CLEAN) $(BIN)/python -m pytest tests/browser >$$shown 2>&1 & browser=$$!; \
	$(COMPILED); \
	$(CLEAN) $(BIN)/python -m pytest -n $(JOBS) --ignore=tests/browser || code=$$?; \
	wait $$browser || code=$$?; \
	cat $$shown; rm -f $$shown; \
	exit $$code

compiled: $(STAMP)
	@$(COMPILED)

lint: $(STAMP)   ## linters, types, import rules and the workflows' safety
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy module/edge_expose_contract module/edge_expose_module cloud/edge_expose_cloud cloud/edge_expose_local
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet --no-progress .github deployment-manifests/ci/github-actions.yaml

docs: $(STAMP)   ## the documentation site, in dist/site
	@$(BIN)/python docs/build_site.py

man: $(STAMP)    ## the manual page, in dist/man
	@$(BIN)/python -m edge_expose_cloud.docsgen.manual dist/man/edge-expose.1

testbed:         ## build real Kubernetes, load balancers and CoreDNS for the tests, once (about 20 minutes when nothing is cached)
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) tests/cluster/build.py

testbed-clean:   ## remove those builds
	@$(PYTHON) tests/cluster/build.py --clean

# What the Kubernetes client needs for its asyncio half, which the module never imports.
UNUSED := aiohttp aiohappyeyeballs aiosignal frozenlist multidict propcache yarl attrs aiohttp-retry
LOCK   := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

lock: $(STAMP)   ## the packages of both images, pinned and with hashes
	$(LOCK) pyproject.toml --extra module $(addprefix --no-emit-package ,$(UNUSED)) --output-file module/requirements.txt
	$(LOCK) pyproject.toml --extra portal --output-file cloud/requirements.txt
	@# azure-iot-device wants paho-mqtt below 2, of which no wheel is published.
	echo setuptools | $(LOCK) - --output-file module/build-requirements.txt

images: $(STAMP) ## both images without a registry, for the tests (root; Debian's buildah, runc and mmdebstrap)
	@$(BIN)/python tests/image/build.py

sbom: $(STAMP)   ## what is in both images, as CycloneDX, in dist/
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements module/requirements.txt --output-file dist/module.cdx.json
	$(BIN)/cyclonedx-py requirements cloud/requirements.txt --output-file dist/portal.cdx.json

manifests: $(STAMP) ## the Kubernetes files for kubectl and Kustomize, rendered from the Helm chart (needs the test bed's Helm)
	@$(CLEAN) $(BIN)/python tests/cluster/kubernetes_files.py --write

recordings: $(STAMP) ## what real MetalLB and Kubernetes answer, written to tests/agreements/recorded (needs the test bed)
	@$(CLEAN) $(BIN)/python tests/agreements/record.py

bench: $(STAMP)  ## command line and module beside their peers (PEER=path iotedgedev, KOPF=path kopf); writes docs/benchmarks.md
	@$(CLEAN) $(BIN)/python tests/benchmarks/cloud.py
	@$(CLEAN) $(BIN)/python tests/benchmarks/module.py

bench-loop: $(STAMP) ## twin edit to reported address, four spans, median of N
	@$(CLEAN) $(BIN)/python tests/benchmarks/loop.py -n $(N)

bench-demo: $(STAMP) ## wall time and peak memory of the demo
	@$(CLEAN) $(BIN)/python tests/benchmarks/demo.py

soak: $(STAMP)   ## a randomised run of STEPS steps with SEED on the local stand-in; REAL=1 on the real test bed, SWAPS=1 only changes of places, WATCHES=1 with trouble in watches
	@$(CLEAN) $(BIN)/python tests/benchmarks/soak --seed $(SEED) --steps $(STEPS) --profile $(PROFILE) $(if $(filter 1,$(REAL)),--real) $(if $(filter 1,$(SWAPS)),--swaps) $(if $(filter 1,$(WATCHES)),--watches)

fuzz: $(STAMP)   ## N generated desired documents through the pure core and a fake cluster
	@$(CLEAN) $(BIN)/python tests/benchmarks/fuzz.py --seed $(SEED) --documents $(DOCUMENTS)

histories: $(STAMP) ## N random histories of exposures that share addresses, from SEED on, on a fake cluster; REFUSED=1 with ports that nobody in sight has
	@$(CLEAN) $(BIN)/python tests/benchmarks/histories.py --seed $(SEED) -n $(N) $(if $(filter 1,$(REFUSED)),--refused-ports)

renewals: $(STAMP) ## SAS renewals with edits in between: memory slope, missed changes
	@$(CLEAN) $(BIN)/python tests/benchmarks/endurance.py renewals --cycles $(CYCLES)

drops: $(STAMP)  ## forced drops with edits in between: memory slope, missed changes
	@$(CLEAN) $(BIN)/python tests/benchmarks/endurance.py drops --cycles $(CYCLES)

fleet: $(STAMP)  ## one deployment for N devices (20 real), followed to Ready, hub calls counted
	@$(CLEAN) $(BIN)/python tests/benchmarks/fleet.py -n $(N)

crash: $(STAMP)  ## kill -9 at 50 seeded points of an apply to 20 devices, run again: same end, no gap
	@$(CLEAN) $(BIN)/python tests/benchmarks/crash.py --seed $(SEED)

full-range: $(STAMP) ## 254 exposures in one twin, all Ready; the 255th Blocked
	@$(CLEAN) $(BIN)/python tests/benchmarks/full_range.py

mutation: $(STAMP) ## change allocation and planning, and show the changes no test notices
	@$(CLEAN) $(BIN)/python tests/benchmarks/mutation.py

coverage: $(STAMP) ## branch coverage of contract and module by the tests that need no processes
	@$(CLEAN) $(BIN)/python -m pytest -q --cov --cov-report=term tests/unit tests/scenarios

screenshots: $(STAMP) ## the portal's pictures for docs/portal, in a real browser
	@$(CLEAN) EDGE_EXPOSE_SCREENSHOTS=docs/portal $(BIN)/python -m pytest -q tests/browser

bench-portal: $(STAMP) ## page loads and update latency of the portal with 10,000 devices in the hub
	@$(CLEAN) $(BIN)/python tests/benchmarks/portal.py

clean:           ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
