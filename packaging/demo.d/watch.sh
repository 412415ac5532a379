# The scene of what a person sees: `status`, `watch agents` and `watch alerts`, the latter while alerts
# arrive by the file. Read by packaging/demo.
# shellcheck shell=bash disable=SC2154

scene_watch() {
    title "One screen: custom-mongo status"
    custom_mongo status | indented || true
    title "Agents and the age of their inventory: custom-mongo watch agents"
    custom_mongo watch agents | indented
    title "Alerts as they arrive: custom-mongo watch alerts --level-min 7 --last 2"
    begin watch watch alerts --level-min 7 --last 2
    until_true test -s "$work/watch.log" || fail "watch shows nothing"
    fresh_alerts 84 | sed -n 1,25p >>"$home/logs/alerts/alerts.json"
    wait_for_all
    sleep 1
    stop watch
    sed -n 1,10p "$work/watch.log" | cut -f -8 | indented
}
