#!/usr/bin/env bash
# Runs golangci-lint, pinned in tools/lint/go.mod and built from its module (the
# go command keeps the result in its build cache), over the packages given.
set -eu
cd "$(dirname "$0")/../.."
# A fresh machine compiles the linter first; say so, because it takes minutes.
exec "${GO:-go}" tool -modfile=tools/lint/go.mod golangci-lint run --timeout=15m "${@:-./...}"
