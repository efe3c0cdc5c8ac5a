#!/bin/sh
# Record again what the built-in readers are tested on: real programs, run on small projects that fail, in
# /tmp/ws/demo. Every file is what the program wrote (standard output and error together where a terminal would mix
# them). Programs that are not installed are left out. PATH says which version of each; CARGO_HOME must not hold the cargo-clippy of another one.
#   sh tests/data/matchers/record.sh
set -u
unset RUST_BACKTRACE
out=$(cd "$(dirname "$0")" && pwd)
ws=/tmp/ws/demo
rm -rf "$ws" && mkdir -p "$ws/src" "$ws/sub" "$ws/tests" "$ws/t" && cd "$ws" || exit 1
have() { command -v "$1" >/dev/null 2>&1; }

# ---- C ----
cat > src/main.c <<'C'
#include <stdio.h>
#include "missing-later.h"
static int add(int a, int b)
{
        int unused;
        return a + c;
}
int main(void)
{
        printf("%s\n", 3);
        return add(1);
}
C
: > src/missing-later.h
printf '#include "not-there.h"\n' > src/fatal.c
printf 'int f(void);\nint main(void) { return f(); }\n' > src/link.c
printf 'all:\n\t$(MAKE) -C sub\n' > Makefile
printf 'int g(void) { return h; }\n' > sub/part.c
printf 'all:\n\t$(CC) -Wall -c part.c\n' > sub/Makefile
for cc in gcc clang; do
        have $cc || continue
        $cc -Wall -Wextra -c src/main.c -o /dev/null > "$out/$cc.txt" 2>&1
        $cc -c src/fatal.c -o /dev/null > "$out/$cc-fatal.txt" 2>&1
        $cc src/link.c -o /dev/null > "$out/$cc-link.txt" 2>&1
        make CC=$cc > "$out/$cc-make.txt" 2>&1
done
have gcc && gcc -Wall -fdiagnostics-color=always -c src/main.c -o /dev/null > "$out/gcc-color.txt" 2>&1
have clang && clang -Wall -fcolor-diagnostics -c src/main.c -o /dev/null > "$out/clang-color.txt" 2>&1

# ---- Rust ----
rust() {
        rm -rf rs && mkdir -p rs/src && cd rs || return
        printf '[package]\nname = "demo"\nversion = "0.1.0"\nedition = "2021"\n' > Cargo.toml
        printf 'pub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn adds() {\n        let sum = add(2, 2);\n        assert_eq!(sum, 5);\n    }\n\n    #[test]\n    fn panics() {\n        panic!("one line\\nand another");\n    }\n}\n' > src/lib.rs
        cargo test > "$out/cargo-test-$1.txt" 2>&1
        printf 'pub fn f(x: Option<u8>) -> bool {\n    let unused = 1;\n    return x == None;\n}\n\npub fn g() -> u32 {\n    "text"\n}\n' > src/lib.rs
        cargo build > "$out/cargo-build-$1.txt" 2>&1
        printf 'pub fn f(x: Option<u8>) -> bool {\n    let unused = 1;\n    return x == None;\n}\n' > src/lib.rs
        cargo clippy --all-targets -- -D warnings > "$out/cargo-clippy-$1.txt" 2>&1
        cargo build --color always > "$out/cargo-color-$1.txt" 2>&1
        printf 'pub fn f( x:u8 )->u8\n{\n        x\n}\n\n\npub fn g()->u8{ 1 }\n' > src/lib.rs
        cargo fmt --check > "$out/cargo-fmt-$1.txt" 2>&1
        cd ..
}
have cargo && rust "$(rustc --version | cut -d' ' -f2)"

# ---- Go ----
go_project() {
        rm -rf go && mkdir -p go/sub && cd go || return
        printf 'module example.com/demo\n\ngo 1.19\n' > go.mod
        printf 'package demo\n\nfunc Add(a, b int) int {\n\treturn a - b\n}\n' > add.go
        printf 'package demo\n\nimport "testing"\n\nfunc TestAdd(t *testing.T) {\n\tif got := Add(1, 2); got != 3 {\n\t\tt.Errorf("got %%d, want 3", got)\n\t}\n\tt.Run("inner", func(t *testing.T) {\n\t\tt.Fatal("several\\nlines")\n\t})\n}\n' > add_test.go
        printf 'package sub\n\nimport "testing"\n\nfunc TestPanic(t *testing.T) {\n\tvar p *int\n\t*p = 1\n}\n' > sub/sub_test.go
        go test ./... > "$out/go-test.txt" 2>&1
        go test -v . > "$out/go-test-v.txt" 2>&1
        printf 'package demo\n\nfunc Add(a, b int) int {\n\treturn a - c\n}\n' > add.go
        printf 'package sub\n\nimport "fmt"\n\nfunc F() { fmt.Printf("%%d\\n", "x") }\n' > sub/sub.go
        rm sub/sub_test.go
        go build ./... > "$out/go-build.txt" 2>&1
        go vet ./sub > "$out/go-vet.txt" 2>&1
        cd ..
}
export GOCACHE=/tmp/ws/cache GOFLAGS=-mod=mod GOPATH=/tmp/ws/gopath GO111MODULE=on
have go && go_project

# ---- Python ----
cat > tests/test_sums.py <<'PY'
import pytest


def helper(x):
    raise ValueError("bad " + str(x))


def test_sum():
    total = 1 + 1
    assert total == 3, "one and one"


def test_raises():
    helper(4)


@pytest.fixture
def broken():
    raise OSError("no fixture today")


def test_fixture(broken):
    pass


def test_outside():
    import json

    json.loads("{")


def test_passes():
    pass
PY
printf 'def broken(:\n    pass\n' > tests/test_syntax.py
printf 'import not_a_module\n' > tests/test_import.py
python=${PYTHON:-/usr/bin/python3}
for style in long short line native; do
        $python -m pytest -p no:cacheprovider --tb=$style tests/test_sums.py > "$out/pytest-$style.txt" 2>&1
done
$python -m pytest -p no:cacheprovider -q tests/test_sums.py > "$out/pytest-q.txt" 2>&1
$python -m pytest -p no:cacheprovider tests > "$out/pytest-collect.txt" 2>&1
$python -m pytest -p no:cacheprovider --color=yes tests/test_sums.py > "$out/pytest-color.txt" 2>&1
$python -m pytest -p no:cacheprovider --junitxml=/tmp/ws/junit.xml tests/test_sums.py > /dev/null 2>&1
cp /tmp/ws/junit.xml "$out/junit-pytest.xml"
$python -m pytest -p no:cacheprovider -o junit_family=xunit1 --junitxml=/tmp/ws/junit.xml tests/test_sums.py > /dev/null 2>&1
cp /tmp/ws/junit.xml "$out/junit-pytest-xunit1.xml"
$python -c 'import json; json.loads("{")' > "$out/other-traceback.txt" 2>&1

# ---- TAP ----
cat > t/sums.t <<'PERL'
use strict; use warnings;
use Test::More tests => 5;
is(1 + 1, 2, 'adds');
is(1 + 1, 3, 'adds wrongly');
ok(0);
TODO: { local $TODO = 'later'; ok(0, 'not yet'); }
is_deeply([1, 2], [1, 3], 'lists');
PERL
if have prove; then
        perl t/sums.t > "$out/tap-perl.txt" 2>&1
        prove t > "$out/tap-prove.txt" 2>&1
        prove -v t > "$out/tap-prove-v.txt" 2>&1
fi
if have node; then
        printf 'const test = require("node:test");\nconst assert = require("node:assert");\n\ntest("adds", () => {\n  assert.strictEqual(1 + 1, 3);\n});\ntest("passes", () => {});\n' > t/sums.test.js
        node --test --test-reporter=tap t/sums.test.js > "$out/tap-node.txt" 2>&1
fi
