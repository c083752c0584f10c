#!/usr/bin/env bash
# Runs every Fuzz function of the main module for FUZZTIME, one after the other,
# in random order. An argument is a pattern (grep -E) that picks functions as
# "folder Name". FUZZ_LIMIT bounds the whole run in seconds; what did not get
# its turn is named, and is not a failure.
#
# FUZZ_FIRST names functions ("folder:Name", with blanks between) that come
# before all others and run for FUZZ_FIRSTTIME. They have to exist and to get
# their whole time; else the run fails.
set -u
cd "$(dirname "$0")/../.." || exit 1

fuzztime=${FUZZTIME:-30s}
limit=${FUZZ_LIMIT:-0}
pattern=${1:-.}
read -ra wanted <<<"${FUZZ_FIRST:-}"

mapfile -t targets < <(
	git ls-files -co --exclude-standard -- '*_test.go' ':!tools/lint' ':!tools/proto' |
		grep -v '/testdata/' |
		xargs -r grep -EHo '^func Fuzz[A-Za-z0-9_]*\(' |
		sed -E 's|^(.*/)?[^/]+:func (Fuzz[A-Za-z0-9_]*)\($|./\1 \2|' |
		sort -u | grep -E -- "$pattern" | shuf
)

first=() failed=()
for name in ${wanted[@]+"${wanted[@]}"}; do
	target="./${name%%:*}/ ${name##*:}"
	rest=()
	found=
	for t in ${targets[@]+"${targets[@]}"}; do
		if [[ $t == "$target" ]]; then found=yes; else rest+=("$t"); fi
	done
	targets=(${rest[@]+"${rest[@]}"})
	if [[ -n $found ]]; then
		first+=("$target")
	elif [[ $pattern == . ]]; then
		failed+=("$name")
		echo "fuzz: FAIL $name: FUZZ_FIRST names it, but there is no such function"
	fi
done
if ((${#first[@]} + ${#targets[@]} == 0)); then
	echo "fuzz: no Fuzz function matches \"$pattern\""
	((${#failed[@]} == 0))
	exit
fi

left=() ran=0
fuzz() { # time, must it run (yes or nothing), folder, name, again: its second turn
	local time=$1 must=$2 folder=$3 name=$4 again=${5-} bound=900 log start=$SECONDS status
	local label="${folder#./}"
	label="${label%/}:$name"
	if ((limit > 0)); then bound=$((limit - SECONDS)); fi
	if ((bound < 15)); then
		status=124
	else
		log=$(mktemp)
		timeout "$bound" "${GO:-go}" test -run='^$' -fuzz="^$name\$" -fuzztime="$time" "$folder" >"$log" 2>&1
		status=$?
	fi
	# Go itself may fail when the time is over just as a worker is asked for
	# something (golang.org/issue/75804), or when a worker dies of the machine's
	# want: where no input is to blame, the function has another turn, once.
	if ((status != 0 && status != 124)) && ! grep -qE 'Failing input|panic:|_test\.go:[0-9]+:|build failed' "$log"; then
		if [[ -z $again ]]; then
			echo "fuzz: $label failed without an input that is to blame, and is run again:"
			sed 's/^/fuzz:   | /' "$log"
			rm -f "$log"
			fuzz "$time" "$must" "$folder" "$name" again
			return
		elif grep -q '^    context deadline exceeded$' "$log"; then
			status=0
		fi
	fi
	if ((status == 0)); then
		ran=$((ran + 1))
		echo "fuzz: ok   $label ($((SECONDS - start)) s) $(grep -o 'execs: [0-9]*' "$log" | tail -1)"
	elif ((status == 124 && limit > 0)) && [[ -z $must ]]; then
		left+=("$label")
	elif ((status == 124)); then
		failed+=("$label")
		echo "fuzz: FAIL $label: out of time"
	else
		failed+=("$label")
		echo "fuzz: FAIL $label"
		cat "$log"
	fi
	[[ -z ${log-} ]] || rm -f "$log"
}
for target in ${first[@]+"${first[@]}"}; do
	read -r folder name <<<"$target"
	fuzz "${FUZZ_FIRSTTIME:-30s}" yes "$folder" "$name"
done
for target in ${targets[@]+"${targets[@]}"}; do
	read -r folder name <<<"$target"
	fuzz "$fuzztime" '' "$folder" "$name"
done
echo "fuzz: $ran ran clean, ${#failed[@]} failed${failed[*]:+ (${failed[*]})}, ${#left[@]} not reached within the limit${left[*]:+ (${left[*]})}"
((${#failed[@]} == 0))
