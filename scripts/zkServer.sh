#!/bin/bash
# zkServer.sh: the metadata service alone, in the words of ZooKeeper's own script.
#
#     scripts/zkServer.sh [--config FOLDER] start|start-foreground|stop|restart|status|version [zoo.cfg]
#
# A file without a folder is looked for in FOLDER, or $ZOOCFGDIR, or conf/. The process id is in
# zookeeper_server.pid in dataDir (or $ZOOPIDFILE), the output in logs/ (or $ZOO_LOG_DIR). MILENA
# names another binary. `start` returns when the service serves, or when it cannot.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
milena=${MILENA:-$here/../build/milena}
folder=${ZOOCFGDIR:-$here/../conf}
if [ "${1:-}" = --config ]; then
    [ -d "${2:-}" ] || { echo "Error: Cannot find config directory: ${2:-}" >&2; exit 1; }
    folder=$2
    shift 2
fi
verb=${1:-}
file=${2:-${ZOOCFG:-zoo.cfg}}
[[ $file = */* ]] || file=$folder/$file

# The value of a key, the last one if there are several.
value() {
    sed -n "s/^[[:space:]]*$1[[:space:]]*[=:][[:space:]]*//p" "$file" | tail -n 1 | sed 's/[[:space:]]*$//'
}

pid_file() {
    local data
    data=$(value dataDir)
    echo "${ZOOPIDFILE:-${data:-.}/zookeeper_server.pid}"
}

# The process of the pid file, when it is a service and alive.
running() {
    local pid words=()
    pid=$(cat "$(pid_file)" 2>/dev/null) && [ -n "$pid" ] || return 1
    mapfile -d "" words 2>/dev/null < "/proc/$pid/cmdline" || return 1
    [ ${#words[@]} -gt 1 ] && [ "${words[1]}" = metadata ] && echo "$pid"
}

start() {
    local logs=${ZOO_LOG_DIR:-$here/../logs} out pid
    echo -n "Starting zookeeper ... "
    if pid=$(running); then
        echo "already running as process $pid."
        exit 1
    fi
    mkdir -p "$logs" "$(dirname "$(pid_file)")"
    out=$logs/zookeeper-${USER:-$(id -un)}-server-$(uname -n).out
    : > "$out"
    nohup setsid "$milena" metadata "$file" < /dev/null >> "$out" 2>&1 &
    pid=$!
    echo "$pid" > "$(pid_file)"
    # tail ends with the service, grep at the line.
    if grep -q -m 1 "^serving " < <(tail -n +1 -F --pid="$pid" -s 0.1 "$out" 2>/dev/null); then
        echo STARTED
    else
        rm -f "$(pid_file)"
        echo "FAILED TO START"
        cat "$out" >&2
        exit 1
    fi
}

stop() {
    local pid
    echo -n "Stopping zookeeper ... "
    if ! pid=$(running); then
        echo "no zookeeper to stop (could not find file $(pid_file))"
        return
    fi
    kill "$pid"
    # A zombie, which stays where nobody waits for orphans, does not run.
    while running > /dev/null; do sleep 0.1; done
    rm -f "$(pid_file)"
    echo STOPPED
}

status() {
    local host port mode
    host=$(value clientPortAddress) port=$(value clientPort)
    case $host in "" | 0.0.0.0 | ::) host=localhost ;; esac
    echo "Client port found: $port. Client address: $host. Client SSL: false."
    mode=$({ exec 3<> "/dev/tcp/$host/$port" && echo -n srvr >&3 && cat <&3; } 2>/dev/null | grep "^Mode:") || {
        echo "Error contacting service. It is probably not running."
        exit 1
    }
    echo "$mode"
}

case $verb in
    start | start-foreground | stop | restart | status)
        [ -r "$file" ] || { echo "$file: no such configuration" >&2; exit 1; }
        echo "Using config: $file" >&2
        ;;
esac
case $verb in
    start) start ;;
    start-foreground) exec "$milena" metadata "$file" ;;
    stop) stop ;;
    restart) stop && start ;;
    status) status ;;
    version) "$milena" --version ;;
    *)
        echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status}" >&2
        exit 1
        ;;
esac
