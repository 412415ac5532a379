# The scene of the inventory: Wazuh's API (packaging/wazuh-api.rs over a made-up fleet), and `collect`.
# Read by packaging/demo.
# shellcheck shell=bash disable=SC2154

# It serves until its standard input ends: that of a pipe whose other end is ours.
start_wazuh_api() {
    mkfifo "$work/wazuh-api.in"
    "$work/wazuh-api" --agents 6 --packages 60 --files 25 <"$work/wazuh-api.in" >"$work/wazuh-api.log" 2>&1 &
    running[wazuh_api]=$!
    exec {wazuh_api_in}>"$work/wazuh-api.in"
    until_true grep -q '^http' "$work/wazuh-api.log" || fail "the stand-in for Wazuh's API does not start"
    wazuh_api=$(head -n 1 "$work/wazuh-api.log")
    settings "[wazuh_api]
url = \"$wazuh_api\"
user = \"custom-mongo\"
password = \"Secret.Fake.1\"
requests_per_minute = 290"
}

collect() {
    local begun=${EPOCHREALTIME/[.,]/} took
    custom_mongo collect >"$work/collect.log" 2>&1 || fail "collect: $(cat "$work/collect.log")"
    took=$(((${EPOCHREALTIME/[.,]/} - begun) / 1000))
    mongo "$database" '{"find":"collect_runs","sort":{"started_at":-1},"limit":1}' >"$work/run"
    say "$1" "$(in_words <"$work/run"); $(sed 's/.*"requests":\([0-9]*\).*/\1/' "$work/run") requests, $took ms"
}

# What a document of collect_runs says about its kinds.
in_words() {
    grep -o '"[a-z_]*":{"seen":[^}]*}' | awk -F '[":,{}]+' '{
        words = ""
        for (i = 5; i <= 9; i += 2) if ($(i + 1) > 0) words = words " " $(i + 1) " " $i
        if (words != "") all = all (all == "" ? "" : ", ") $2 words
    } END { print all == "" ? "nothing changed" : all }'
}

scene_inventory() {
    title "The agents' inventory: custom-mongo collect"
    start_wazuh_api
    say "Wazuh's API" "$wazuh_api, a stand-in over a made-up fleet"
    collect "first run"
    collect "again"
    curl --silent --output "$work/said" --request POST "$wazuh_api/fake/drift?percent=5&round=1"
    collect "5 % updated"
    say "kept" "$(documents software_inventory '{"_removed_at":null}') packages as they are now, $(
        documents software_inventory '{"_removed_at":{"$ne":null}}'
    ) as they were"
}
