# The scene of the service: alerts in and answers out by HTTP. Read by packaging/demo.
# shellcheck shell=bash disable=SC2154

start_serve() {
    begin serve serve --listen 127.0.0.1:0
    until_true grep -q 'webhook receiver on' "$work/serve.log" || fail "serve: $(tail -n 1 "$work/serve.log")"
    service=$(sed -n 's/.*webhook receiver on //p' "$work/serve.log" | head -n 1)
}

# ask PATH [FILE TO POST]: the command as one would type it, and the answer, cut where it gets long.
ask() {
    local words=()
    [ -z "${2:-}" ] || words=(--data "@$2")
    say "" "\$ curl ${2:+--data @${2##*/} }'$service$1'"
    curl --silent --show-error --max-time 10 "${words[@]}" "http://$service$1" |
        awk 'length($0) > 300 { $0 = substr($0, 1, 299) "…" } { print }' | indented
}

scene_service() {
    title "The service: custom-mongo serve"
    start_serve
    printf '%s\n' "${alerts[0]}" | sed 's/"id":"[0-9]*\./&7/' >"$work/tmp/posted.json"
    ask /wazuh-alert "$work/tmp/posted.json"
    ask '/api/alerts?group=sshd&limit=1&fields=_timestamp,agent_id,rule.description'
    ask '/api/alerts/stats?by=risk&since=2020-01-01T00:00:00Z'
    ask '/api/software?name=PyYAML'
    ask '/api/agents/001/osinfo'
    say "the hook" "$(call_for 0 ${#alerts[@]}), handed over at the service's socket"
}
