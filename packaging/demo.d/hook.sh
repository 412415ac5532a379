# The scene of the hook: one process for each alert, with MongoDB, without, and with it again.
# Read by packaging/demo.
# shellcheck shell=bash disable=SC2154

# One call as wazuh-integratord 4.14 makes it: argv[0], eight arguments, no environment to rely on.
call() {
    local file=$work/tmp/custom-mongo-$EPOCHSECONDS--$RANDOM.alert begun status=0
    printf '%s\n' "$1" >"$file"
    begun=${EPOCHREALTIME/[.,]/}
    (
        cd "$home"
        exec -c -a integrations "$home/integrations/custom-mongo" \
            "$file" "" "" "" "" 10 3 "> /dev/null 2>&1"
    ) </dev/null >>"$work/said" 2>&1 || status=$?
    echo "$status $((${EPOCHREALTIME/[.,]/} - begun))"
    rm "$file"
}

# Calls the hook for the alerts from number $1 on, $2 of them, and sums up.
call_for() {
    local alert
    : >"$work/said"
    for alert in "${alerts[@]:$1:$2}"; do call "$alert"; done | sort -n -k 2 >"$work/calls"
    awk '{ time[NR] = $2 / 1000; if ($1 == 0) good++ }
        END { printf "%d calls, %d exit 0, median %.1f ms, slowest %.1f ms\n", NR, good, time[int((NR + 1) / 2)], time[NR] }' \
        "$work/calls"
    [ ! -s "$work/said" ] || sed 's/^/             said: /' "$work/said"
}

# Three thirds of the sample: MongoDB up, killed, up again; then everything once more.
scene_hook() {
    local third=$((${#alerts[@]} / 3))
    title "One process for each alert, called as wazuh-integratord 4.14 calls"
    say "MongoDB up" "$(call_for 0 $third)"
    stop mongod KILL
    say "killed" "$(call_for $third $third)"
    custom_mongo spool status | indented
    start_mongod
    say "up again" "spool drain: $(custom_mongo spool drain)"
    say "the rest" "$(call_for $((2 * third)) ${#alerts[@]})"
    say "all again" "$(call_for 0 ${#alerts[@]})"
}

scene_arrived() {
    title "What arrived"
    say "alerts" "$(counts null | in_a_line | sed 's/^null //') documents of ${#alerts[@]} alerts"
    say "by risk" "$(counts '"$_risk_score"' | in_a_line)"
    say "by agent" "$(counts '"$agent_id"' 5 | in_a_line) …"
    say "indexes" "$(mongo "$database" '{"listIndexes":"alerts"}' |
        grep -o '"name":"[^"]*"' | cut -d'"' -f4 | paste -sd, | sed 's/,/, /g')"
}

# Breaks one-line JSON after each of its own fields, and leaves what is inside them on one line.
a_field_a_line() {
    awk '{
        for (i = 1; i <= length($0); i++) {
            c = substr($0, i, 1)
            if (c == "\\") { printf "%s%s", c, substr($0, ++i, 1); continue }
            if (c == "\"") quoted = !quoted
            if (!quoted) depth += (c ~ /[{[]/) - (c ~ /[]}]/)
            printf "%s", (c == "," && depth == 1 && !quoted) ? ",\n  " : c
        }
        print ""
    }'
}

# The first alert once more, by hand: it is there already, and this is how.
scene_one() {
    title "One alert by hand: custom-mongo --test FILE"
    printf '%s\n' "${alerts[0]}" >"$work/tmp/first.json"
    custom_mongo --test "$work/tmp/first.json" | a_field_a_line
}
