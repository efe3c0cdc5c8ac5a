#!/bin/sh
# The program as people use it: each file in tests/cli/*.query is run and compared with the .expected beside it.
set -u
rill=$1
here=$(dirname "$0")
passed=0 failed=0

check() { # name, expected status, expected text in the output, arguments...
        name=$1 status=$2 text=$3
        shift 3
        output=$("$@" 2>&1 </dev/null)
        found=$?
        if [ "$found" -ne "$status" ]; then
                echo "::error title=$name::expected status $status, found $found: $output"
                failed=$((failed + 1))
        elif ! printf '%s' "$output" | grep -qF -- "$text"; then
                echo "::error title=$name::expected '$text' in: $output"
                failed=$((failed + 1))
        else
                passed=$((passed + 1))
        fi
}

for query in "$here"/*.query; do
        expected=${query%.query}.expected
        if output=$("$rill" "$(cat "$query")" 2>&1) && [ "$output" = "$(cat "$expected")" ]; then
                passed=$((passed + 1))
        else
                echo "::error file=$query::the output differs: $output"
                failed=$((failed + 1))
        fi
done
check 'no arguments' 2 'usage:' "$rill"
check 'version' 0 'rill ' "$rill" --version
check 'missing file' 1 'No such file' "$rill" 'select * from nowhere.csv'
check 'unknown column' 1 "did you mean 'points'?" "$rill" 'select pints from data/people.csv'
check 'unknown function' 1 "no function 'foo'" "$rill" 'select foo(1) from data/people.csv'
check 'syntax error shows the place' 1 '^' "$rill" 'select * from data/people.csv where and'
check 'aggregate in where' 1 'HAVING' "$rill" 'select 1 from data/people.csv where sum(points) > 1'
check 'deep nesting is refused' 1 'less nesting' "$rill" "select $(printf '%300s' '' | tr ' ' '(')1 from data/people.csv"
check 'other separator' 0 'red' "$rill" -d ';' -f csv 'select team from data/semicolon.csv'
echo "cli      $passed passed, $failed failed"
[ "$failed" -eq 0 ]
