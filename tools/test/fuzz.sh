#!/usr/bin/env bash
# Runs every Fuzz function of the main module for FUZZTIME, one after the other,
# in random order. An argument is a pattern (grep -E) that picks functions as
# "folder Name". FUZZ_LIMIT bounds the whole run in seconds; what did not get
# its turn is named, and is not a failure.
set -u
cd "$(dirname "$0")/../.." || exit 1

fuzztime=${FUZZTIME:-30s}
limit=${FUZZ_LIMIT:-0}
pattern=${1:-.}

mapfile -t targets < <(
	git ls-files -co --exclude-standard -- '*_test.go' ':!tools/lint' ':!tools/proto' |
		grep -v '/testdata/' |
		xargs -r grep -EHo '^func Fuzz[A-Za-z0-9_]*\(' |
		sed -E 's|^(.*/)?[^/]+:func (Fuzz[A-Za-z0-9_]*)\($|./\1 \2|' |
		sort -u | grep -E -- "$pattern" | shuf
)
if ((${#targets[@]} == 0)); then
	echo "fuzz: no Fuzz function matches \"$pattern\""
	exit 0
fi

failed=() left=() ran=0
for target in "${targets[@]}"; do
	read -r folder name <<<"$target"
	bound=900
	if ((limit > 0)); then
		bound=$((limit - SECONDS))
		if ((bound < 15)); then
			left+=("$name")
			continue
		fi
	fi
	log=$(mktemp)
	start=$SECONDS
	timeout "$bound" "${GO:-go}" test -run='^$' -fuzz="^$name\$" -fuzztime="$fuzztime" "$folder" >"$log" 2>&1
	status=$?
	if ((status == 0)); then
		ran=$((ran + 1))
		echo "fuzz: ok   $folder $name ($((SECONDS - start)) s) $(grep -o 'execs: [0-9]*' "$log" | tail -1)"
	elif ((status == 124 && limit > 0)); then
		left+=("$name")
	else
		failed+=("$name")
		echo "fuzz: FAIL $folder $name"
		cat "$log"
	fi
	rm -f "$log"
done
echo "fuzz: $ran ran clean, ${#failed[@]} failed${failed[*]:+ (${failed[*]})}, ${#left[@]} not reached within the limit${left[*]:+ (${left[*]})}"
((${#failed[@]} == 0))
