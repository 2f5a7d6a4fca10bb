# prepare.sh: for a run.sh to source, in its own folder: puts a client's packages in place, and
# runs programs against a broker. What is downloaded or compiled goes to $cache, once.

folder=$(pwd)
harness=$(cd ../harness && pwd)
name=$(basename "$folder")
export MILENA_TEST_CACHE=${MILENA_TEST_CACHE:-$(cd ../.. && pwd)/.cache}
cache=$MILENA_TEST_CACHE/$name
mkdir -p "$cache"

# timed WHAT COMMAND...: run it, output to a file that is shown only when it fails, and say how long it took.
timed() {
    local what=$1 started=$SECONDS
    shift
    if ! ("$@") > "$cache/prepare.log" 2>&1; then
        tail -50 "$cache/prepare.log"
        echo "FAILED $name is prepared: $what"
        echo "0 passed, 1 failed"
        exit 1
    fi
    echo "$what: $((SECONDS - started)) s"
}

# fetched COMMAND...: run what asks a registry, up to three times: one that refuses, or says nothing for long, is asked again later.
fetched() {
    local try
    for try in 1 2 3; do
        timeout --kill-after=10 900 "$@" && return
        echo "try $try of 3 failed with exit code $?: $*"
        [ $try = 3 ] || sleep $((try * 10))
    done
    return 1
}

# once MARK WHAT COMMAND...: timed, unless the last time that it succeeded MARK was the same.
once() {
    local mark=$1 what=$2
    shift 2
    if [ "$(cat "$cache/done-${what//[^a-z0-9]/-}" 2>/dev/null)" != "$mark" ]; then
        timed "$what" "$@"
        echo "$mark" > "$cache/done-${what//[^a-z0-9]/-}"
    fi
}

# python_packages NAME REQUIREMENT...: a virtual environment at $cache/NAME with these packages.
python_packages() {
    local environment=$cache/$1
    shift
    if [ ! -x "$environment/bin/python" ] || [ "$(cat "$environment/requirements" 2>/dev/null)" != "$*" ]; then
        rm -rf "$environment"
        timed "python environment" python3 -m venv "$environment"
        timed "pip install $*" fetched "$environment/bin/python" -m pip install -q --disable-pip-version-check "$@"
        echo "$*" > "$environment/requirements"
    fi
}

# node_packages [--compile] NAME@VERSION...: node_modules in $cache, beside copies of this folder's programs.
node_packages() {
    local scripts=--ignore-scripts
    if [ "$1" = --compile ]; then scripts=; shift; fi
    once "$*" "npm install" fetched npm install --prefix "$cache" --no-audit --no-fund --no-package-lock $scripts "$@"
    export NODE_PATH=$cache/node_modules
}

# with_broker [OPTIONS] -- COMMAND...: see with_broker.py.
with_broker() {
    python3 "$harness/with_broker.py" "$@"
}

# counted COMMAND...: run it, add its last "N passed, N failed" up; finish: print the sums.
all_passed=0 all_failed=0
counted() {
    local line status=0 failed=
    while IFS= read -r line; do
        if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
            failed=${BASH_REMATCH[2]}
            all_passed=$((all_passed + BASH_REMATCH[1])) all_failed=$((all_failed + failed))
        else
            printf '%s\n' "$line"
        fi
    done < <("$@" 2>&1)
    wait $! || status=$?
    # Who counts nothing, or ends badly for another reason than what it counted, has failed.
    if [ -z "$failed" ] || { [ "$status" != 0 ] && [ "$failed" = 0 ]; }; then
        echo "FAILED $*: exit code $status, failures that it counted: ${failed:-none, and nothing else}"
        all_failed=$((all_failed + 1))
    fi
}
finish() {
    [ $((all_passed + all_failed)) -gt 0 ] || all_failed=1
    echo "$all_passed passed, $all_failed failed"
    [ "$all_failed" = 0 ]
}

# go_program: compile this folder's main.go to $cache/check. go.mod and go.sum pin every version.
go_program() {
    export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
    timed "go modules" fetched go list -deps .
    timed "go build" go build -o "$cache/check" .
}
