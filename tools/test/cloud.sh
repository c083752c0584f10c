#!/usr/bin/env bash
# Fetches the emulators of clouds for `make test-wide` into .cache, in the versions that
# internal/testserver/testdata/wide names: moto by pip into an environment of its own,
# Azurite by npm without running scripts, those of Google as a program in Go from a module of
# its own. Only when they are not there yet, each within
# OTTAVO_INSTALL_LIMIT seconds (default 600). What cannot be had is named, and the exit
# code is 1.
set -u
limit=${OTTAVO_INSTALL_LIMIT:-600}
failed=0

say() { echo "make test-wide: $*" >&2; }

cd "$(dirname "$0")/../.." || exit 1
wide=internal/testserver/testdata/wide
mkdir -p .cache

moto() {
	local to=.cache/moto list=$wide/moto/requirements.txt
	if cmp -s "$list" "$to/requirements.txt"; then return 0; fi
	say "fetching moto with pip"
	# An environment of Python cannot be moved: its list, copied last, says that it is whole.
	rm -rf "$to"
	python3 -m venv "$to" >"$to.log" 2>&1 &&
		timeout --kill-after=10 "$limit" "$to/bin/pip" install --no-deps --disable-pip-version-check --requirement "$list" </dev/null >>"$to.log" 2>&1 &&
		cp "$list" "$to/requirements.txt"
}

azurite() {
	local to=.cache/azurite
	if cmp -s "$wide/azurite/package-lock.json" "$to/whole"; then return 0; fi
	say "fetching Azurite with npm"
	rm -rf "$to" && mkdir "$to" && cp "$wide"/azurite/package*.json "$to" &&
		(cd "$to" && timeout --kill-after=10 "$limit" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null) >"$to.log" 2>&1 &&
		cp "$wide/azurite/package-lock.json" "$to/whole"
}

google() {
	local to=$PWD/.cache/google
	mkdir -p "$to"
	# Go knows by itself what is up to date.
	(cd "$wide/google" && timeout --kill-after=10 "$limit" "${GO:-go}" build -o "$to/google" .) >"$to.log" 2>&1 || { rm -f "$to/google"; return 1; }
}

for name in moto azurite google; do
	if ! "$name"; then
		failed=1
		say "$name cannot be had: Python 3.11 or later with venv and PyPI are needed for moto, Node.js 20 or later and npm for Azurite, Go modules for Google's"
		tail -n 5 ".cache/$name.log" >&2
	fi
done
exit "$failed"
