#!/bin/bash
# Runs once, when Gradescope builds the image. It needs Python, and no network.
set -e
umask 022
cd "$(dirname "$0")"
root=${AUTOGRADER:-/autograder}
python=$(command -v "python@PYTHON@" || command -v python3)
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$version" != "@PYTHON@" ]; then
    echo "the wheels are for Python @PYTHON@, this image has $version: make the zip anew with GRADER_PYTHON=$version" >&2
    exit 1
fi
"$python" -m venv --without-pip "$root/venv"
PYTHONPATH=$(echo wheels/pip-*.whl) "$root/venv/bin/python" -m pip install --quiet --no-index --find-links wheels @WANTED@
# Students' files run on this machine: what they should not read is not there.
rm -rf "$root"/venv/lib/python*/site-packages/collectives/labs/solutions
