#!/bin/sh
# The least that custom-mongo needs in Wazuh's API: a policy, a role, and a user who may read the
# inventory of every agent and change nothing. On the manager:
#
#   sh integrations/wazuh-api-role.sh
#
# It asks for the administrator's password and for the new one. Run it again after an upgrade: it
# brings the policy up to date and leaves a user that is there alone. All by environment:
#
#   WAZUH_API_URL         https://localhost:55000, the only name in Wazuh's own certificate
#   WAZUH_ADMIN           wazuh                    WAZUH_ADMIN_PASSWORD   asked for
#   NEW_USER              custom-mongo             NEW_PASSWORD           asked for; 8 to 64 letters with
#                                                                         upper, lower, digit and symbol
#   ACTIONS               "agent:read syscheck:read syscollector:read"; add "sca:read rootcheck:read"
#                         if these kinds are collected
#   CACERT                /var/ossec/api/configuration/ssl/server.crt
#   INSECURE=1            if that certificate is older than a year, and only on the manager itself
#
# No password is in the arguments of any process: curl reads them from its standard input.
# Mind that agent:read also shows the agents' keys (GET /agents/{id}/key): guard the new password.
set -eu

url=${WAZUH_API_URL:-https://localhost:55000}
admin=${WAZUH_ADMIN:-wazuh}
user=${NEW_USER:-custom-mongo}
actions=${ACTIONS:-agent:read syscheck:read syscollector:read}
cacert=${CACERT:-/var/ossec/api/configuration/ssl/server.crt}
policy=custom_mongo_read
role=custom_mongo

fail() {
    echo "wazuh-api-role.sh: $1" >&2
    exit 1
}

# ask NAME TEXT: into the variable NAME, without showing it.
ask() {
    [ -t 0 ] || fail "set $1"
    printf '%s: ' "$2" >&2
    stty -echo
    IFS= read -r answer
    stty echo
    echo >&2
    eval "$1=\$answer"
}

# A text inside quotes: what JSON and curl's own settings both take.
quoted() {
    printf '%s' "$1" | sed 's/[\\"]/\\&/g'
}

# api METHOD PATH [LINE OF CURL SETTINGS]...: the body, on one line, without blanks between fields.
api() {
    method=$1 path=$2
    shift 2
    answer=$(
        {
            printf 'url = "%s"\nrequest = "%s"\n' "$(quoted "$url$path")" "$method"
            if [ "${INSECURE:-}" = 1 ]; then
                echo insecure
            elif [ -r "$cacert" ]; then
                printf 'cacert = "%s"\n' "$(quoted "$cacert")"
            fi
            printf '%s\n' 'silent' 'show-error' 'max-time = 30' 'write-out = "\n%{http_code}"' "$@"
        } | curl --config -
    ) || fail "$url cannot be reached, or its certificate is not that of $cacert"
    status=${answer##*
}
    body=$(printf '%s' "${answer%
*}" | tr -d '\n' | sed 's/": */":/g; s/, *"/,"/g')
    [ "$status" = 200 ] || fail "$method $path: $status $body"
    printf '%s\n' "$body"
}

json() {
    printf 'data = "%s"' "$(quoted "$1")"
}

as_admin() {
    method=$1 path=$2
    shift 2
    api "$method" "$path" "header = \"Authorization: Bearer $token\"" \
        'header = "Content-Type: application/json"' "$@"
}

# log_in USER PASSWORD: a token.
log_in() {
    api POST '/security/user/authenticate?raw=true' "user = \"$(quoted "$1"):$(quoted "$2")\""
}

# item KIND FIELD NAME: the entry whose FIELD is exactly NAME; nothing if there is none.
item() {
    as_admin GET "/security/$1?search=$3" |
        sed 's/"policy":{[^}]*},\{0,1\}//g' | tr '{' '\n' | grep -F "\"$2\":\"$3\"" || :
}

# number ITEM: its id.
number() {
    printf '%s' "$1" | sed -n 's/.*"id":\([0-9][0-9]*\).*/\1/p'
}

# holds ITEM LIST ID: whether the list has the id.
holds() {
    printf '%s' "$1" | sed -n "s/.*\"$2\":\\[\\([0-9, ]*\\)\\].*/,\\1,/p" | tr -d ' ' | grep -q ",$3,"
}

# make KIND FIELD NAME BODY: the id of the entry, made if it is not there.
make() {
    found=$(item "$1" "$2" "$3")
    if [ -z "$found" ]; then
        as_admin POST "/security/$1" "$(json "$4")" >/dev/null
        found=$(item "$1" "$2" "$3")
        echo "$1 $3: made" >&2
    else
        echo "$1 $3: there" >&2
    fi
    id=$(number "$found")
    [ -n "$id" ] || fail "$1 $3 was not made; does $admin have the role administrator?"
    echo "$id"
}

[ -n "${WAZUH_ADMIN_PASSWORD:-}" ] || ask WAZUH_ADMIN_PASSWORD "password of $admin"
token=$(log_in "$admin" "$WAZUH_ADMIN_PASSWORD")

list=$(printf '"%s",' $actions)
rights="{\"actions\":[${list%,}],\"resources\":[\"agent:id:*\"],\"effect\":\"allow\"}"
policy_id=$(make policies name $policy "{\"name\":\"$policy\",\"policy\":$rights}")
# Up to date: what is the same already is reported as a failed item, and that is fine.
as_admin PUT "/security/policies/$policy_id" "$(json "{\"policy\":$rights}")" >/dev/null
role_id=$(make roles name $role "{\"name\":\"$role\"}")
if ! holds "$(item roles name $role)" policies "$policy_id"; then
    as_admin POST "/security/roles/$role_id/policies?policy_ids=$policy_id" >/dev/null
fi

if [ -z "$(item users username "$user")" ]; then
    [ -n "${NEW_PASSWORD:-}" ] || ask NEW_PASSWORD "new password of $user"
fi
user_id=$(make users username "$user" \
    "{\"username\":\"$(quoted "$user")\",\"password\":\"$(quoted "${NEW_PASSWORD:-}")\"}")
if ! holds "$(item users username "$user")" roles "$role_id"; then
    as_admin POST "/security/users/$user_id/roles?role_ids=$role_id" >/dev/null
fi
holds "$(item roles name $role)" policies "$policy_id" || fail "role $role does not hold $policy"
holds "$(item users username "$user")" roles "$role_id" || fail "user $user does not have $role"

cat <<END
user $user may do: $actions

Into /var/ossec/etc/custom-mongo.toml (the password into a file of its own, mode 0640, root:wazuh):

  [wazuh_api]
  url = "$url"
  user = "$user"
  password_file = "/var/ossec/etc/custom-mongo-api.password"

then:  /var/ossec/integrations/custom-mongo check --trust
END
