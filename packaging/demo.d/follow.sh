# The scene of the file: alerts.json grows, `follow` reads it, is killed, and goes on. Read by
# packaging/demo.
# shellcheck shell=bash disable=SC2154

# The sample once more as new alerts of this moment; $1 makes their ids new ones. What has no id, as from
# other senders than Wazuh, is left out: it would be the same alert as before.
fresh_alerts() {
    local now
    now=$(date +%Y-%m-%dT%H:%M:%S.%3N%z)
    printf '%s\n' "${alerts[@]}" | grep '"id":"[0-9]*\.' |
        sed "s/\"timestamp\":\"[^\"]*\"/\"timestamp\":\"$now\"/; s/\"id\":\"[0-9]*\./&$1/"
}

lines() { wc -l <"$home/logs/alerts/alerts.json"; }

all_followed() { [ "$(documents alerts '{"_source":"follow"}')" -ge "$(lines)" ]; }

# Waits until MongoDB has all that is in the file.
wait_for_all() {
    until_true all_followed ||
        fail "follow: $(documents alerts '{"_source":"follow"}') of $(lines) alerts; $(tail -n 1 "$work/follow.log")"
}

scene_follow() {
    local begun
    title "A file that grows: custom-mongo follow"
    begin follow follow --from-start
    fresh_alerts 81 >>"$home/logs/alerts/alerts.json"
    wait_for_all
    say "alerts.json" "$(lines) lines are in MongoDB"
    stop follow KILL
    fresh_alerts 82 >>"$home/logs/alerts/alerts.json"
    say "killed" "$(lines) lines now"
    begin follow follow
    wait_for_all
    fresh_alerts 83 >>"$home/logs/alerts/alerts.json"
    begun=${EPOCHREALTIME/[.,]/}
    wait_for_all
    say "again" "$(lines) lines, the last of them in MongoDB $(((${EPOCHREALTIME/[.,]/} - begun) / 1000)) ms after they were written"
    say "alerts" "$(documents alerts '{"_source":"follow"}') documents of $(lines) lines"
}
