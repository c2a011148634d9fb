# make demo    set up, then draw the demo clip: out/demo.mp4 and out/demo.png
# make run     set up, then the live filter: camera to virtual camera and preview
# make test    set up, then lint, format, types and tests
# make test-preview  the preview's window on a virtual screen, with real keys: xvfb, openbox and xdotool are needed
# make test-rtx  the tests that need TensorRT for RTX, which is fetched (150 MB); no GPU is needed
# make test-streams  streaming to real servers, which are fetched from Debian's packages
# make test-virtualcam  the virtual camera on a real v4l2loopback, in a virtual machine of Debian's packages (minutes)
# make gpu     the tests that need an NVIDIA GPU, and its figures: bench/results/gpu-*.json
# make soak    two hours of the filter with faults, on a clock of its own (takes about one): out/soak.json, out/soak.svg
# make faults  the tests that kill, stop and starve real processes, and a long search for leaks and bad input
# make check   lint, format and types only
# make clean   remove what was made here; `make clean-all` removes .venv too

PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: speed demo run test test-preview test-streams test-rtx test-virtualcam gpu soak faults check setup setup-dev clean clean-all

demo: setup
	@mkdir -p out
	@$(RUN) run.py --source demo --sink out/demo.mp4 --stats out/demo.json
	@$(RUN) -m realtime.pair realtime/demo/demo.mp4 out/demo.mp4 out/demo.png 2.5
	@echo "The drawn clip: out/demo.mp4   photo | drawing: out/demo.png   figures: out/demo.json"

run: setup
	@$(RUN) run.py $(ARGS)

test: check
	@$(RUN) -m pytest

test-preview: setup-dev
	@$(RUN) -m pytest -m display tests/test_window.py

test-rtx:
	@$(PYTHON) bootstrap.py --dev --rtx
	@$(RUN) -m pytest tests/test_build_engines.py

STREAMS_NEED := ffmpeg nginx libnginx-mod-rtmp
test-streams: setup-dev
	@dpkg -s $(STREAMS_NEED) >/dev/null 2>&1 || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get \
		install -y -qq --no-install-recommends $(STREAMS_NEED) >/dev/null; } || \
		{ echo "Install first: sudo apt-get install $(STREAMS_NEED)"; exit 1; }
	@$(RUN) -m pytest -m streams tests/test_streams.py

test-virtualcam: setup-dev
	@$(RUN) tests/virtualcam/machine.py

gpu:
	@$(PYTHON) bootstrap.py --dev --gpu --rtx
	@$(RUN) -m engines.assets
	@$(RUN) -m bench.gpu

speed: setup-dev
	@mkdir -p out
	@$(RUN) -m bench.speed --rounds 3 --scaling --json out/speed.json
	@$(RUN) -m bench.speed --engine openvino:fp32 --json out/speed-f32.json
	@$(RUN) -m bench.peers --json out/speed-peers.json

soak: setup-dev
	@mkdir -p out
	@$(RUN) -m bench.soak --reopen 50 --out out/soak

faults: setup-dev
	@LEAK_EXAMPLES=500 FUZZ_EXAMPLES=5000 $(RUN) -m pytest -m "slow or not slow" tests/test_processes.py \
		tests/test_leaks.py tests/test_untrusted.py tests/test_remote.py

check: setup-dev
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --quiet --check . || { $(RUN) -m ruff format --diff --quiet .; exit 1; }
	@$(RUN) -m mypy --no-error-summary

setup:
	@$(PYTHON) bootstrap.py
	@$(RUN) -m engines.assets

setup-dev:
	@$(PYTHON) bootstrap.py --dev
	@$(RUN) -m engines.assets

clean:
	rm -rf out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

clean-all: clean
	rm -rf .venv
