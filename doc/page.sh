#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# page.sh PAGE.in REFERENCE-PROGRAM EXAMPLE: the manual page with its reference and example filled in, on standard output.
set -eu
reference=$(mktemp)
example=$(mktemp)
trap 'rm -f "$reference" "$example"' EXIT
"$2" >"$reference"
sed -e 's/\\/\\e/g' -e "s/^\\([.']\\)/\\\\\&\\1/" "$3" >"$example" # what troff would take for itself
sed -e "/^@REFERENCE@\$/{r $reference
d
}" -e "/^@EXAMPLE@\$/{r $example
d
}" "$1"
