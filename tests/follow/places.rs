//! Where `follow` begins, where it goes on, and when it refuses to guess.

use std::fs;
use std::time::{Duration, SystemTime};

use super::{checkpoint, count, dead, wait_for};
use crate::analysisd::{Log, archive, compress, gzip, line};
use crate::background::{Background, eventually};
use crate::outages::{Kept, assert_once};
use crate::scratch;
use crate::wazuh::{Wazuh, stored};

#[test]
fn the_first_start_is_at_the_end_and_the_next_where_the_last_one_stopped() {
    let wazuh = Wazuh::new("follow_end");
    let mut log = Log::new(&wazuh);
    log.alerts(1000..1005);
    Background::follow(&wazuh, &[]).stop();
    assert_eq!(count("follow_end"), 0);
    // While nobody follows.
    log.alerts(0..3);
    let follow = Background::follow(&wazuh, &[]);
    log.alerts(3..5);
    wait_for(5, "follow_end");
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored("follow_end")), 5);
}

#[test]
fn from_start_begins_with_the_live_file() {
    let wazuh = Wazuh::new("follow_start");
    let mut log = Log::begun_days_ago(&wazuh, 1);
    log.alerts(1000..1005);
    log.midnight();
    log.alerts(0..5);
    let follow = Background::follow(&wazuh, &["--from-start"]);
    wait_for(5, "follow_start");
    follow.stop();
    // Only a first start: later ones go on.
    let follow = Background::follow(&wazuh, &["--from-start"]);
    log.alerts(5..6);
    wait_for(6, "follow_start");
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored("follow_start")), 6);
}

#[test]
fn since_begins_in_the_archives() {
    let wazuh = Wazuh::new("follow_since");
    let mut log = Log::begun_days_ago(&wazuh, 5);
    let mut number = 0;
    for age in (0..=5).rev() {
        log.alerts(number..number + 10);
        number += 10;
        let file = log.dated();
        if age > 0 {
            log.midnight();
            let changed = SystemTime::now() - Duration::from_secs(age * 86_400 - 3600);
            let packed = if age % 2 == 0 { compress(&file) } else { file };
            let file = fs::File::options().append(true).open(packed).unwrap();
            file.set_modified(changed).unwrap();
        }
    }
    let follow = Background::follow(&wazuh, &["--since", "3d"]);
    log.alerts(60..70);
    eventually(|| {
        let kept = Kept::of(stored("follow_since"));
        let all = (30..70).all(|number| kept.has(number));
        all.then_some(())
            .ok_or(format!("{kept:?}: {}", follow.stderr()))
    });
    assert_eq!(follow.stop().status, 0);
    let kept = Kept::of(stored("follow_since"));
    assert!(kept.is_once() && !kept.has(5), "{kept:?}");
}

#[test]
fn a_file_has_one_follower() {
    let wazuh = Wazuh::new("follow_twice");
    let log = Log::new(&wazuh);
    let first = Background::follow(&wazuh, &[]);
    let second = Background::start(&wazuh, &["follow"]).end();
    assert_eq!(second.status, 1, "{second:?}");
    let wanted = format!("another process follows {}", log.live().display());
    assert!(second.stderr.contains(&wanted), "{second:?}");
    first.kill();
    // The dead one's lock is gone with it.
    assert_eq!(Background::follow(&wazuh, &[]).stop().status, 0);
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_refused_with_the_fix() {
    let wazuh = Wazuh::new("follow_damaged");
    let mut log = Log::new(&wazuh);
    Background::follow(&wazuh, &[]).stop();
    log.alerts(0..3);
    let kept = checkpoint(&wazuh);
    let sound = fs::read_to_string(&kept).unwrap();
    let newer = sound.replacen("\"version\":1", "\"version\":999", 1);
    for (damaged, what) in [
        (&sound[..sound.len() / 2], "is damaged"),
        ("", "is damaged"),
        ("\0\0\0\0", "is damaged"),
        (newer.as_str(), "999"),
    ] {
        fs::write(&kept, damaged).unwrap();
        let end = Background::start(&wazuh, &["follow"]).end();
        assert_eq!(end.status, 1, "{end:?}");
        let name = kept.display().to_string();
        for part in [what, &name, "--since"] {
            assert!(end.stderr.contains(part), "{damaged:?}, {part}: {end:?}");
        }
        assert_eq!(fs::read_to_string(&kept).unwrap(), damaged);
        assert_eq!(count("follow_damaged"), 0);
    }
    fs::write(&kept, &sound).unwrap();
    let follow = Background::follow(&wazuh, &[]);
    wait_for(3, "follow_damaged");
    assert_eq!(follow.stop().status, 0);
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let wazuh = Wazuh::new("follow_missing");
    let follow = Background::follow(&wazuh, &[]);
    let mut log = Log::new(&wazuh);
    log.alerts(0..3);
    wait_for(3, "follow_missing");
    // And one that goes away for a while.
    fs::remove_file(log.live()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    log.rotate();
    log.alerts(3..6);
    wait_for(6, "follow_missing");
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored("follow_missing")), 6);
}

#[test]
fn any_file_can_be_followed_and_keeps_its_own_place() {
    let wazuh = Wazuh::new("follow_any");
    let folder = scratch::fresh("elsewhere");
    let (one, other) = (folder.join("one.log"), folder.join("öther 2.ndjson"));
    for (number, file) in [&one, &other].into_iter().enumerate() {
        fs::write(file, line(number) + "\n").unwrap();
        let name = file.display().to_string();
        let follow = Background::follow(&wazuh, &[&name, "--from-start"]);
        wait_for(u64::try_from(number + 1).unwrap(), "follow_any");
        assert_eq!(follow.stop().status, 0);
    }
    wazuh.settings(&format!(
        "[follow]\nfile = {:?}\n",
        one.display().to_string()
    ));
    let follow = Background::follow(&wazuh, &[]);
    fs::write(&one, format!("{}\n{}\n", line(0), line(2))).unwrap();
    wait_for(3, "follow_any");
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored("follow_any")), 3);
}

#[test]
fn without_a_wazuh_home_the_file_has_to_be_named() {
    let wazuh = Wazuh::new("follow_homeless");
    let folder = scratch::fresh("homeless");
    let binary = folder.join("custom-mongo");
    fs::hard_link(wazuh.home.join("integrations/custom-mongo"), &binary).unwrap();
    let config = wazuh.home.join("etc/custom-mongo.toml");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&binary);
        command
            .env_clear()
            .env("CUSTOM_MONGO_STATE_DIR", folder.join("state"));
        command.arg("--config").arg(&config).args(arguments);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let (status, said) = run(&["follow"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("no Wazuh home")
            && said.contains("follow /var/ossec/logs/alerts/alerts.json"),
        "{said}"
    );
    let (status, said) = run(&["backfill"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("no Wazuh home") && said.contains("backfill /var/ossec"),
        "{said}"
    );
}

#[test]
fn a_folder_is_refused_with_the_fix() {
    let wazuh = Wazuh::new("follow_folder");
    let log = Log::new(&wazuh);
    let folder = log.live().parent().unwrap().display().to_string();
    let end = Background::start(&wazuh, &["follow", &folder]).end();
    assert_eq!(end.status, 1, "{end:?}");
    assert!(
        end.stderr.contains("is a folder") && end.stderr.contains("alerts.json"),
        "{end:?}"
    );
}

#[test]
fn a_file_compressed_while_nobody_followed_is_read_on_from_the_place() {
    let wazuh = Wazuh::new("follow_gzip");
    let mut log = Log::begun_days_ago(&wazuh, 1);
    log.alerts(0..100);
    let follow = Background::follow(&wazuh, &["--from-start"]);
    wait_for(100, "follow_gzip");
    follow.stop();
    log.alerts(100..200);
    let before = log.dated();
    log.midnight();
    compress(&before);
    log.alerts(200..300);
    let follow = Background::follow(&wazuh, &[]);
    wait_for(300, "follow_gzip");
    let end = follow.stop();
    assert!(
        end.status == 0 && !end.stderr.contains("is missing"),
        "{end:?}"
    );
    assert_once(&Kept::of(stored("follow_gzip")), 300);
}

#[test]
fn a_damaged_archive_is_told_and_the_live_file_goes_on() {
    let wazuh = Wazuh::new("follow_torn");
    let mut log = Log::begun_days_ago(&wazuh, 1);
    log.alerts(0..10);
    let follow = Background::follow(&wazuh, &["--from-start"]);
    wait_for(10, "follow_torn");
    follow.stop();
    log.alerts(10..3000);
    let before = log.dated();
    log.midnight();
    let packed = compress(&before);
    let whole = fs::read(&packed).unwrap();
    fs::write(&packed, &whole[..whole.len() / 2]).unwrap();
    log.alerts(5000..5010);
    let follow = Background::follow(&wazuh, &[]);
    eventually(|| {
        let kept = Kept::of(stored("follow_torn"));
        let all = (5000..5010).all(|number| kept.has(number));
        all.then_some(()).ok_or_else(|| follow.stderr())
    });
    let end = follow.stop();
    assert!(end.stderr.contains("is damaged or cut"), "{end:?}");
    assert!(
        end.stderr.contains(&packed.display().to_string()),
        "{end:?}"
    );
    let kept = Kept::of(stored("follow_torn"));
    assert!(kept.is_once() && (0..500).all(|number| kept.has(number)));
    // Where it was cut, half a line is kept.
    let half = dead(&wazuh);
    assert!(half.len() <= 1, "{half:?}");
    let name = packed.display().to_string();
    assert!(
        half.iter()
            .all(|letter| letter["reason"].to_string().contains(&name))
    );
}

#[test]
fn a_copy_that_is_truncated_loses_nothing() {
    let wazuh = Wazuh::new("follow_truncated");
    let folder = scratch::fresh("truncated");
    let live = folder.join("alerts.json");
    let name = live.display().to_string();
    let text = |numbers: std::ops::Range<usize>| -> String {
        numbers.map(|number| line(number) + "\n").collect()
    };
    fs::write(&live, text(0..50)).unwrap();
    let follow = Background::follow(&wazuh, &[&name, "--from-start"]);
    wait_for(50, "follow_truncated");
    follow.stop();
    // logrotate's copytruncate while nobody follows, once plain and once compressed.
    fs::write(&live, text(0..60)).unwrap();
    fs::copy(&live, folder.join("alerts.json.1")).unwrap();
    fs::write(&live, text(60..70)).unwrap();
    let follow = Background::follow(&wazuh, &[&name]);
    wait_for(70, "follow_truncated");
    // And while it follows.
    fs::write(
        folder.join("alerts.json-1.gz"),
        gzip(text(60..70).as_bytes()),
    )
    .unwrap();
    let file = fs::File::options().append(true).open(&live).unwrap();
    file.set_len(0).unwrap();
    follow.wait_for("truncated");
    std::io::Write::write_all(&mut &file, text(70..80).as_bytes()).unwrap();
    wait_for(80, "follow_truncated");
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored("follow_truncated")), 80);
}

#[test]
fn what_lies_beside_the_log_is_not_read() {
    let wazuh = Wazuh::new("follow_beside");
    let mut log = Log::begun_days_ago(&wazuh, 1);
    let folder = log.live().parent().unwrap().to_owned();
    Background::follow(&wazuh, &[]).stop();
    archive(&folder, "alerts.log", line(900) + "\n");
    archive(&folder, "2025/Jun/ossec-alerts-02.json.sum", "MD5 of it\n");
    archive(&folder, "2025/Jun/ossec-archive-02.json", line(901) + "\n");
    archive(&folder, "2025/Jun/ossec-alerts-02.json", line(902) + "\n");
    log.midnight();
    log.alerts(0..3);
    let follow = Background::follow(&wazuh, &[]);
    wait_for(3, "follow_beside");
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored("follow_beside")), 3);
}
