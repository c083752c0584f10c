#!/usr/bin/env bash
# Generates the Go code of every .proto file below spec/proto, next to its source.
#
#   tools/proto/generate.sh           write the files that changed, remove those without a source
#   tools/proto/generate.sh --check   write nothing; exit 1 with a diff if the committed code is stale
#
# The two Go plugins are built at the versions that tools/proto/go.mod pins. The compiler itself
# (protoc 3.15 or newer) is taken from the machine and installed by apt where that is possible.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
module=github.com/ottavo-runtime/ottavo

check=false
case "${1-}" in
	"") ;;
	--check) check=true ;;
	*) echo "usage: tools/proto/generate.sh [--check]" >&2; exit 2 ;;
esac

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# compiler_works succeeds if protoc runs and finds the well-known types, which Debian
# ships in a package of their own (libprotobuf-dev).
compiler_works() {
	command -v protoc >/dev/null || return 1
	printf 'syntax = "proto3";\nimport "google/protobuf/any.proto";\nmessage Probe { optional google.protobuf.Any any = 1; }\n' \
		>"$tmp/probe.proto"
	protoc -I "$tmp" --descriptor_set_out=/dev/null "$tmp/probe.proto" 2>/dev/null
}

install_compiler() {
	local as_root=()
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
		as_root=(sudo -n)
	fi
	command -v apt-get >/dev/null || return 1
	echo "generate.sh: installing protobuf-compiler and libprotobuf-dev with apt-get" >&2
	local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
	"${apt[@]}" update >&2 && "${apt[@]}" install -y protobuf-compiler libprotobuf-dev >&2
}

if ! compiler_works; then
	if ! install_compiler || ! compiler_works; then
		echo "generate.sh: no usable protoc (3.15 or newer, with google/protobuf/*.proto)." >&2
		echo "  Debian, Ubuntu:  apt-get install protobuf-compiler libprotobuf-dev" >&2
		echo "  elsewhere:       https://protobuf.dev/installation" >&2
		exit 1
	fi
fi

(cd "$root/tools/proto" && GOBIN="$tmp/bin" GOFLAGS=-mod=readonly go install tool)

cd "$root"
mapfile -t sources < <(find spec/proto -name '*.proto' | LC_ALL=C sort)
mkdir "$tmp/out"
protoc -I . \
	--plugin="$tmp/bin/protoc-gen-go" --go_out="$tmp/out" --go_opt="module=$module" \
	--plugin="$tmp/bin/protoc-gen-go-grpc" --go-grpc_out="$tmp/out" --go-grpc_opt="module=$module" \
	"${sources[@]}"

# The plugins note the version of protoc in each file. It has no influence on the code, so
# it is left out: any compiler then gives the same bytes, and --check does not depend on it.
find "$tmp/out" -name '*.pb.go' -exec sed -i.orig -E '/^\/\/[[:space:]]+(- )?protoc[[:space:]]+[v(]/d' {} +
find "$tmp/out" -name '*.orig' -delete

generated() { (cd "$1" && find spec/proto -name '*.pb.go' | LC_ALL=C sort); }

stale=0
while IFS= read -r file; do
	cmp -s "$file" "$tmp/out/$file" && continue
	stale=1
	if $check; then
		committed=$file wanted=$tmp/out/$file
		[ -e "$committed" ] || committed=/dev/null
		[ -e "$wanted" ] || wanted=/dev/null
		diff -u --label "committed/$file" --label "generated/$file" "$committed" "$wanted" || true
	elif [ -e "$tmp/out/$file" ]; then
		cp "$tmp/out/$file" "$file"
		echo "wrote   $file"
	else
		rm "$file"
		echo "removed $file"
	fi
done < <({ generated "$root"; generated "$tmp/out"; } | LC_ALL=C sort -u)

if $check && [ "$stale" -ne 0 ]; then
	echo "generate.sh: the committed Go code differs from what spec/proto/**/*.proto gives: run \`make proto\` and commit" >&2
	exit 1
fi
