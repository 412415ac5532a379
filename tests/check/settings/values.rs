//! Values that a setting does not take, or that make no sense beside others.

use super::Home;

#[test]
fn a_value_of_another_shape_is_told_with_an_example() {
    Home::new().mend_each(
        "settings",
        &[
            (
                "[delivery]\ndeadline = \"2 fortnights\"\n",
                "[delivery] deadline: `2 fortnights` is not a span of time; write for example",
                "[delivery]\ndeadline = \"250 ms\"\n",
            ),
            (
                "[spool]\nmax_size = \"much\"\n",
                "[spool] max_size: `much` is not a size; write for example",
                "[spool]\nmax_size = \"64 MiB\"\n",
            ),
            (
                "[spool]\ndisk_reserve = \"101 %\"\n",
                "[spool] disk_reserve: `101 %` is not a share; write for example",
                "[spool]\ndisk_reserve = \"10 %\"\n",
            ),
            (
                "[serve]\nmax_streams = \"some\"\n",
                "[serve] max_streams: `some` is not a whole number",
                "[serve]\nmax_streams = 3\n",
            ),
            (
                "[enrich]\nagents = \"maybe\"\n",
                "[enrich] agents: `maybe` is neither true nor false",
                "[enrich]\nagents = true\n",
            ),
            (
                "[redact]\nkeys = \"[a]\"\n",
                "[redact] keys: `[a]` is not a list; write [\"a\", \"b\"] or a, b",
                "[redact]\nkeys = \"a, b\"\n",
            ),
            (
                "[redact]\nkeys = 7\n",
                "[redact] keys: a list of texts is wanted here",
                "[redact]\nkeys = [\"7\"]\n",
            ),
            (
                "[store]\nuri = [\"mongodb://h\"]\n",
                "[store] uri: a text or a whole number is wanted here",
                "[store]\nuri = \"mongodb://h\"\n",
            ),
            (
                "[enrich.retention]\nhigh = \"1 y\"\nlow = \"long\"\n",
                "[enrich.retention] low: `long` is not a span of time",
                "[enrich.retention]\nhigh = \"1 y\"\nlow = \"90 d\"\n",
            ),
            (
                "site = 7\n[store]\nuri = \"mongodb://h\"\n",
                "site: a name is wanted, up to 64 characters",
                "site = \"7\"\n[store]\nuri = \"mongodb://h\"\n",
            ),
        ],
    );
}

#[test]
fn a_word_that_is_none_of_several_is_told_with_them() {
    Home::new().mend_each("settings", &[
        ("[delivery]\nmode = \"fast\"\n", "[delivery] mode: unknown variant `fast`, expected one of `auto`, `direct`, `spool`", "[delivery]\nmode = \"auto\"\n"),
        ("[serve]\naccess_log = \"some\"\n", "[serve] access_log: unknown variant `some`, expected one of `all`, `errors`, `off`", "[serve]\naccess_log = \"errors\"\n"),
        ("[collect]\ngap_check = \"yes\"\n", "[collect] gap_check: unknown variant `yes`, expected one of `off`, `report`, `repair`", "[collect]\ngap_check = \"report\"\n"),
        ("[collect]\nfleet_probes = \"on\"\n", "[collect] fleet_probes: unknown variant `on`, expected `auto` or `off`", "[collect]\nfleet_probes = \"auto\"\n"),
        ("[collect]\nkinds = [\"proceses\"]\n", "[collect] kinds: unknown kind `proceses`; did you mean `processes`?", "[collect]\nkinds = [\"processes\"]\n"),
    ]);
}

#[test]
fn a_filter_that_can_match_nothing_or_everything_is_told() {
    let long = format!("[filter]\nagent_name = \"{}\"\n", "x".repeat(20_481));
    Home::new().mend_each("settings", &[
        ("[filter]\nlevel = 17\n", "[filter] level: a rule.level from 0 to 16 is wanted, for example 7", "[filter]\nlevel = 7\n"),
        ("[filter]\nexclude_level = \"9-17\"\n", "[filter] exclude_level: rule.level goes from 0 to 16; write for example \"0-2\"", "[filter]\nexclude_level = \"0-2\"\n"),
        ("[filter]\nrule_id = \"sshd\"\n", "[filter] rule_id: `sshd` is not a number or a range; write for example", "[filter]\nrule_id = \"5500-5599\"\n"),
        ("[filter]\nrule_id = \"9-1\"\n", "[filter] rule_id: `9-1` goes down; write 1-9", "[filter]\nrule_id = \"1-9\"\n"),
        ("[filter]\nagent_id = true\n", "[filter] agent_id: a number, a range or a list of them is wanted, for example", "[filter]\nagent_id = [1, \"3-7\"]\n"),
        ("[filter]\nagent_name = 7\n", "[filter] agent_name: a pattern is wanted, for example", "[filter]\nagent_name = \"7\"\n"),
        ("[filter]\nexclude_agent_name = \"web|\"\n", "[filter] exclude_agent_name: `web|` matches everything, since one of its texts is empty", "[filter]\nexclude_agent_name = \"web\"\n"),
        (&long, "[filter] agent_name: a pattern may have 20480 bytes at most", "[filter]\nagent_name = \"x\"\n"),
    ]);
}

#[test]
fn a_value_that_makes_no_sense_is_told() {
    let named = |name: &str| format!("[store]\nuri = \"mongodb://h\"\ndatabase = {name:?}\n");
    let right = named("wazuh");
    let keys = format!(
        "[redact]\nkeys = \"{}\"\n",
        "a_name_of_a_field, ".repeat(40_000)
    );
    Home::new().mend_each(
        "settings",
        &[
            (
                &named(""),
                "[store] database: `` is no name that MongoDB takes",
                &right,
            ),
            (
                &named("a.b"),
                "[store] database: `a.b` is no name that MongoDB takes",
                &right,
            ),
            (
                &named("admin"),
                "[store] database: `admin` is MongoDB's own; name another",
                &right,
            ),
            (
                "[delivery]\ndeadline = \"99 ms\"\n",
                "[delivery] deadline: less than 100 ms leaves MongoDB no time to answer",
                "[delivery]\ndeadline = \"100 ms\"\n",
            ),
            (
                "[collect]\nmax_workers = 0\n",
                "[collect] max_workers: 1 to 1000 managers at once are possible",
                "[collect]\nmax_workers = 1\n",
            ),
            (
                "[collect]\nmax_workers = 1001\n",
                "[collect] max_workers: 1 to 1000 managers at once are possible",
                "[collect]\nmax_workers = 1000\n",
            ),
            (
                "[enrich.risk]\nmedium = 9\n",
                "[enrich.risk] medium, high and critical have to rise",
                "[enrich.risk]\nmedium = 7\n",
            ),
            (
                &keys,
                "redact.keys: compiled regex exceeded size limit",
                "[redact]\nkeys = \"a_*\"\n",
            ),
            (
                "[redact]\npatterns = ['(']\n",
                "redact.patterns: `(`: ",
                "[redact]\npatterns = ['\\(']\n",
            ),
        ],
    );
}

#[test]
fn a_manager_among_several_has_a_name_and_an_address_of_its_own() {
    let paris = |more: &str| {
        let api = "[wazuh_api]\nurl = \"https://a\"\nuser = \"u\"\npassword = \"p\"\n";
        format!("{api}[wazuh_api.managers.paris]\n{more}")
    };
    let right = paris("url = \"https://b\"\n");
    let twin = paris("url = \"https://b\"\nsite = \"default\"\n");
    let nameless = paris("url = \"https://b\"\nsite = 7\n");
    let unnamed = paris("url = \"https://b\"\nsite = \"\"\n");
    Home::new().mend_each("settings", &[
        (&paris(""), "[wazuh_api.managers.paris] url: no address; write for example url = ", &right),
        (&nameless, "[wazuh_api.managers.paris] site: a name is wanted", &right),
        (&unnamed, "[wazuh_api.managers.paris] site: a name is wanted, up to 64 characters", &right),
        (&twin, "two managers have the site `default`; give each its own, or list the ways to one cluster in one url", &right),
    ]);
}
