# What the scenes of packaging/demo stand on: how things are said, the build, a Wazuh home, MongoDB, and
# the processes that run meanwhile. Read by packaging/demo.
# shellcheck shell=bash disable=SC2154

fail() {
    echo "packaging/demo: $1" >&2
    exit 1
}

say() { printf '%-12s %s\n' "$1" "$2"; }

indented() { sed 's/^/             /'; }

title() {
    local bold='' plain=''
    [ ! -t 1 ] || bold=$'\e[1m' plain=$'\e[0m'
    printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

# By pid only, and waited for: nothing is left when the demo ends.
declare -A running=()

stop() {
    local name=$1 signal=${2:-TERM}
    [ -n "${running[$name]:-}" ] || return 0
    kill -s "$signal" "${running[$name]}" 2>/dev/null || true
    wait "${running[$name]}" 2>/dev/null || true
    unset "running[$name]"
}

clean_up() {
    local name
    for name in "${!running[@]}"; do stop "$name" KILL; done
    [ -z "$work" ] || rm -rf "$work"
}

# Waits until a command succeeds, at most for 20 seconds; what it prints is what this prints.
until_true() {
    for _ in {1..400}; do
        ! "$@" || return 0
        sleep 0.05
    done
    return 1
}

build() {
    local target=x86_64-unknown-linux-musl static=
    if [ -n "$binary" ]; then
        :
    elif command -v musl-gcc >/dev/null && [ -d "$(rustc --print target-libdir --target $target)" ]; then
        binary=$("$root/packaging/build" binary) || exit 1
        static=', static'
    else
        (cd "$root" && cargo build --release --locked) || fail "the build failed"
        binary=${CARGO_TARGET_DIR:-$root/target}/release/custom-mongo
    fi
    rustc -O --edition 2024 -o "$work/mongo-client" "$root/packaging/mongo-client.rs"
    rustc -C opt-level=1 --edition 2024 -o "$work/wazuh-api" "$root/packaging/wazuh-api.rs"
    say built "$binary ($(($(stat --format %s "$binary") / 1000)) kB$static)"
}

# Lays out the part of /var/ossec that custom-mongo meets.
make_home() {
    home=$work/ossec
    mkdir -p "$home"/{integrations,etc,logs/alerts,queue/sockets,tmp,var/{db/custom-mongo,run}} "$work/tmp"
    : >"$home/logs/integrations.log"
    : >"$home/logs/alerts/alerts.json"
    install -m 750 "$binary" "$home/integrations/custom-mongo"
    settings "[store]
uri = \"$uri\"
database = \"$database\""
}

settings() { (umask 077 && printf '%s\n' "$1" >>"$home/etc/custom-mongo.toml"); }

# Below the ports that the kernel hands out, so that nobody takes it while MongoDB is dead.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 12000))
        (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

mongo() { "$work/mongo-client" run "$port" "$@"; }

start_mongod() {
    mkdir -p "$work/db"
    "$mongod" --dbpath "$work/db" --port "$port" --bind_ip 127.0.0.1 --nounixsocket --quiet \
        --replSet rs0 --oplogSize 64 --wiredTigerCacheSizeGB 0.25 </dev/null >>"$work/mongod.log" 2>&1 &
    running[mongod]=$!
    for _ in {1..600}; do
        # On its second start the set is there already.
        mongo admin "{\"replSetInitiate\":{\"_id\":\"rs0\",\"members\":[{\"_id\":0,\"host\":\"127.0.0.1:$port\"}]}}" \
            >/dev/null 2>&1 || true
        [[ $(mongo admin '{"hello":1}' 2>/dev/null) != *'"isWritablePrimary":true'* ]] || return 0
        kill -0 "${running[mongod]}" 2>/dev/null || break
        sleep 0.1
    done
    fail "mongod does not start: $(tail -n 1 "$work/mongod.log")"
}

# An administrator's command, with nothing of the caller's environment in its way.
custom_mongo() { (cd "$home" && env -i PATH="$PATH" TERM="${TERM:-dumb}" ./integrations/custom-mongo "$@"); }

# A command that stays; what it says is in $work/NAME.log.
begin() {
    local name=$1
    shift
    (cd "$home" && exec env -i PATH="$PATH" ./integrations/custom-mongo "$@") \
        </dev/null >>"$work/$name.log" 2>&1 &
    running[$name]=$!
}

# How many documents of a collection match a filter (JSON).
documents() { mongo "$database" "{\"count\":\"$1\",\"query\":$2}" | sed -n 's/.*"n":\([0-9]*\).*/\1/p'; }

# What an aggregation over the alerts counts, as "name number" lines.
counts() {
    mongo "$database" "{\"aggregate\":\"alerts\",\"cursor\":{},\"pipeline\":[
        {\"\$group\":{\"_id\":$1,\"n\":{\"\$sum\":1}}},{\"\$sort\":{\"n\":-1,\"_id\":1}},{\"\$limit\":${2:-10}}]}" |
        grep -o '{"_id":[^{}]*,"n":[0-9]*}' | sed 's/{"_id":"\{0,1\}\([^"]*\)"\{0,1\},"n":\([0-9]*\)}/\1 \2/'
}

in_a_line() { awk '{ n = $NF; $NF = ""; printf "%s%s%d", (NR > 1 ? ", " : ""), $0, n }'; }
