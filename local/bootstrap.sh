#!/bin/bash
# Prints the path of a Python that has everything in requirements/dev.txt, making it first where there is none.
# It lives in the cache under a key of that file and of the Python, so several checkouts share it. Progress goes to
# standard error. A run that was killed leaves no mark `complete`, and the next one begins again.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${NOTEJAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/notejam}

say() { printf '%s\n' "$*" >&2; }

fail() { # what, what to do
  say "error: $1"
  say "help:  $2"
  exit 1
}

is_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; }

find_python() {
  local name
  for name in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$name" > /dev/null && is_enough "$name"; then
      command -v "$name"
      return
    fi
  done
  fail "Python 3.11 or newer is needed and was not found" \
    "install it (Debian: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python3 make up"
}

install_venv() { # Debian keeps ensurepip in a package of its own
  local package="python$1-venv" sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo -n)
  if command -v apt-get > /dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2> /dev/null; }; then
    say "installing with apt: $package"
    { "${sudo[@]}" apt-get update -q && "${sudo[@]}" apt-get install -qy --no-install-recommends "$package"; } >&2 < /dev/null
  else
    fail "this Python cannot make virtual environments" "as root: apt-get install $package"
  fi
}

python=$(find_python)
version=$("$python" -c 'import platform, sys; print(platform.python_version(), sys.implementation.cache_tag, platform.machine(), sys.base_prefix)')
key=$({ printf '%s\n' "$version"; cat "$root/requirements/dev.txt"; } | sha256sum | cut -c 1-24)
venv=$cache/python/$key

is_complete() { [ -f "$venv/complete" ] && [ -x "$venv/bin/python" ]; }

if ! is_complete; then
  mkdir -p "$cache/python" "$cache/locks"
  exec 9> "$cache/locks/python-$key"
  if command -v flock > /dev/null && ! flock -n 9; then
    say "another run prepares Python: waiting for it"
    flock 9
  fi
  if ! is_complete; then
    started=$SECONDS
    say "preparing Python: requirements/dev.txt into $venv ..."
    "$python" -c 'import ensurepip, venv' 2> /dev/null || install_venv "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    rm -rf "$venv"
    "$python" -m venv "$venv" >&2
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-input --require-hashes \
      -r "$root/requirements/dev.txt" >&2 < /dev/null \
      || fail "the requirements cannot be installed" "see the lines above; pip reads this machine's pip configuration"
    touch "$venv/complete"
    say "preparing Python: done in $((SECONDS - started)) s"
  fi
fi
printf '%s\n' "$venv/bin/python"
