# Each target sets up what it needs: Python 3.11 or newer and make are enough.
PYTHON ?= python3
BIN := .venv/bin

# Where it is set, every process that a test starts compiles all of Tocsin anew: half of its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench proof dist release docs lock golden clean

demo: .venv/runs         ## Tocsin, the receivers' page and a pipeline that fails and recovers
	@$(BIN)/tocsin demo

test: .venv/ready        ## everything, both stores, real processes, a real browser
	$(BIN)/python -m tests.programs
	failed=0; \
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "not alone" || { \
	  echo "What failed beside others, once more by itself: a machine that others use stands still at times."; \
	  $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none -m "not alone" || failed=1; }; \
	$(BIN)/python -m pytest -q -m alone $$(grep -rl --include='test_*.py' 'mark\.alone' tests) || failed=1; \
	exit $$failed

check: .venv/ready       ## lint, types, import contracts, and how much of the decisions the tests reach
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/coverage run -m pytest -q tests/rules tests/compose tests/stages tests/web/test_why.py tests/web/test_silences.py \
	  -k "not postgres and not takes_long and not as_if_each_was_asked and not whatever_happens"
	$(BIN)/coverage report

bench: .venv/ready       ## each figure beside the limit measured in the same run
	$(BIN)/python -m benchmarks

proof: .venv/ready       ## the long proofs: kills, power cuts, soak
	$(BIN)/python -m pytest -q -m proof --proof

golden: .venv/ready      ## rewrite the golden files from what the code says now; read the diff
	$(BIN)/python -m pytest -q tests/providers tests/compose tests/dashboard/test_page_costs.py tests/test_docs.py tests/test_docs_errors.py tests/test_docs_reference.py tests/test_docs_tutorials.py tests/test_docs_why.py --update-golden

dist: .venv/ready .venv/release ## wheels, the same bytes each time, and their bill of materials
	rm -rf dist
	.ci/release check
	$(BIN)/python -m hatchling build -t wheel -d dist
	cd clients/python && ../../$(BIN)/python -m hatchling build -t wheel -d ../../dist
	.venv/release/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o dist/tocsin.cdx.json requirements/runtime.txt
	cd dist && sha256sum * > SHA256SUMS

release: .venv/ready     ## dist of the tagged commit, signed: make release KEY=~/.ssh/id_ed25519
	.ci/release check --tagged
	$(MAKE) dist
	.ci/release sign "$(KEY)"

docs: .venv/docs         ## the documentation as a site, in build/site, without a dead link
	.venv/docs/bin/zensical build -f mkdocs.yml --clean --strict
	$(BIN)/python -m tests.site_links build/site

.venv/docs: requirements/docs.txt .venv/ready
	$(PYTHON) -m venv $@
	$@/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/docs.txt
	touch $@

.venv/release: requirements/release.txt .venv/ready
	$(PYTHON) -m venv $@
	$@/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/release.txt
	touch $@

lock: .venv/ready        ## hash-locked requirements, without index addresses
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 requirements/build.in -c requirements/runtime.txt -o requirements/build.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 --all-extras pyproject.toml -o requirements/container.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 pyproject.toml requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 requirements/openapi-client.in -o requirements/openapi-client.txt
	for lock in $(basename $(wildcard tests/frameworks/requirements/*.in)); do \
	  $(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 $$lock.in -o $$lock.txt || exit 1; done
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 requirements/release.in -o requirements/release.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 requirements/deploy.in -o requirements/deploy.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 requirements/docs.in -o requirements/docs.txt

# What Tocsin itself needs: enough for `make demo`, and done in half the time of the rest.
.venv/runs: requirements/runtime.txt requirements/build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tocsin needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@echo "Setting up .venv, once …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/ready: .venv/runs requirements/dev.txt
	@echo "Setting up what tests and checks need, once: PostgreSQL, a browser's driver and some 80 packages …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

clean:
	rm -rf .venv build dist
