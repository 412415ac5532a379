//! The sections filter, redact and enrich mean for `follow` what they mean for the hook.

use mongodb::bson::DateTime;

use super::{dead, wait_for};
use crate::analysisd::{Log, at, line};
use crate::background::Background;
use crate::outages::Kept;
use crate::wazuh::{Wazuh, only, stored, text};

#[test]
fn what_a_filter_takes_out_is_not_stored() {
    let wazuh = Wazuh::new("follow_filter");
    wazuh.settings("[filter]\nlevel = 8\nexclude_agent_id = \"6-7\"\n");
    let mut log = Log::new(&wazuh);
    // Levels 3 to 15 and agents 1 to 40 in turn.
    log.alerts(0..26);
    let follow = Background::follow(&wazuh, &["--from-start"]);
    let wanted = |number: &usize| number % 13 >= 5 && !matches!(number % 40 + 1, 6 | 7);
    let wanted: Vec<usize> = (0..26).filter(wanted).collect();
    wait_for(u64::try_from(wanted.len()).unwrap(), "follow_filter");
    follow.wait_until_read(&log.live());
    assert_eq!(follow.stop().status, 0);
    let kept = Kept::of(stored("follow_filter"));
    assert!(
        (0..26).all(|number| kept.has(number) == wanted.contains(&number)),
        "{kept:?}"
    );
    assert_eq!(dead(&wazuh).len(), 0);
    // What was taken out is behind the checkpoint too.
    wazuh.settings("");
    let follow = Background::follow(&wazuh, &[]);
    log.alerts(100..101);
    wait_for(u64::try_from(wanted.len() + 1).unwrap(), "follow_filter");
    assert_eq!(follow.stop().status, 0);
}

#[test]
fn what_shall_not_be_stored_is_redacted() {
    let wazuh = Wazuh::new("follow_redact");
    wazuh.settings("[redact]\nkeys = [\"srcuser\"]\npatterns = ['Invalid user \\S+']\n");
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    log.line(line(0));
    wait_for(1, "follow_redact");
    assert_eq!(follow.stop().status, 0);
    let document = only("follow_redact");
    assert!(!document.to_string().contains("ec2-user"), "{document}");
    let data = document.get_document("data").unwrap();
    assert_eq!(text(data, "srcuser"), "[redacted]");
    assert_eq!(text(data, "srcip"), "203.0.113.7");
    let state = crate::call::finish(wazuh.command(&["spool", "status"]), b"");
    assert!(state.status.success());
    assert_eq!(document.get_array("_redacted").unwrap().len(), 2);
}

#[test]
fn what_has_expired_is_not_stored_and_the_rest_expires_in_its_time() {
    let wazuh = Wazuh::new("follow_expired");
    wazuh.settings(
        "[enrich.retention]\nlow = \"1 d\"\nmedium = \"2 d\"\nhigh = \"2 d\"\ncritical = \"2 d\"\n",
    );
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    let now = DateTime::now().timestamp_millis();
    let ago = |hours: i64| {
        let time = DateTime::from_millis(now - hours * 3_600_000);
        time.try_to_rfc3339_string().unwrap().replace('Z', "+0000")
    };
    // Levels 3 and 15: low and critical.
    for (number, hours) in [(0, 23), (13, 25), (12, 25), (25, 49)] {
        log.line(at(number, &ago(hours)));
    }
    log.line(at(26, &ago(0)));
    wait_for(3, "follow_expired");
    follow.wait_until_read(&log.live());
    assert_eq!(follow.stop().status, 0);
    let documents = stored("follow_expired");
    let kept = Kept::of(documents.clone());
    assert!(kept.has(0) && kept.has(12) && kept.has(26), "{kept:?}");
    for document in documents {
        let expire = document.get_datetime("_expire_at").unwrap();
        assert!(*expire > DateTime::now());
        assert_eq!(text(&document, "_source"), "follow");
    }
}
