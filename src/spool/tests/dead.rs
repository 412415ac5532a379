//! Dead letters: kept once, whole, within their share, and reached by no path.

use std::fs;

use super::{DeadLetter, Error, Place, entry, place};

pub(super) fn letter(raw: &[u8]) -> DeadLetter<'_> {
    DeadLetter {
        reason: "no \"good\"\nat all",
        received_at_ms: 7,
        source: 2,
        options: b"\xff\x00o",
        raw,
        offset: None,
    }
}

#[test]
fn a_dead_letter_is_kept_once_shown_whole_and_dropped() {
    let Place { spool, .. } = &place(1 << 20);
    let id = spool.bury(&letter(b"raw\nbytes\0")).unwrap();
    assert_eq!(spool.bury(&letter(b"raw\nbytes\0")).unwrap(), id);
    let text = spool
        .bury(&DeadLetter {
            options: b"text",
            ..letter(b"other")
        })
        .unwrap();
    let listed = spool.dead().unwrap();
    assert_eq!(listed.len(), 2);
    let summary = listed.iter().find(|dead| dead.id == id).unwrap();
    assert_eq!(
        (summary.bytes, summary.reason.as_str()),
        (10, "no \"good\"\nat all")
    );
    let shown = spool.dead_show(&id).unwrap();
    assert_eq!(
        (shown.raw.as_slice(), shown.options.as_slice()),
        (&b"raw\nbytes\0"[..], &b"\xff\x00o"[..])
    );
    assert_eq!(spool.dead_show(&text).unwrap().options, b"text");
    spool.dead_drop(&id).unwrap();
    assert!(matches!(
        spool.dead_show(&id),
        Err(Error::NoDeadLetter { .. })
    ));
    assert_eq!(spool.status().unwrap().dead, 1);
}

#[test]
fn an_id_is_no_path() {
    let Place { spool, .. } = &place(1 << 20);
    spool.bury(&letter(b"x")).unwrap();
    fs::write(spool.folder().join("secret.dead"), "{}").unwrap();
    for id in [
        "../secret",
        "",
        ".",
        "/etc/passwd",
        "1-0123456789abcdef-1/../../secret",
        "1-0123456789abcdeg-1",
    ] {
        assert!(
            matches!(spool.dead_drop(id), Err(Error::NoDeadLetter { .. })),
            "{id}"
        );
    }
}

#[test]
fn a_flood_of_dead_letters_leaves_room_for_alerts() {
    let Place { spool, .. } = &place(4 << 20);
    let mut letters = 0_u32;
    let error = loop {
        let raw = [letters.to_le_bytes().as_slice(), &vec![b'd'; 50_000]].concat();
        match spool.bury(&letter(&raw)) {
            Ok(_) => letters += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::DeadFull { .. }), "{error}");
    let known = [0_u32.to_le_bytes().as_slice(), &vec![b'd'; 50_000]].concat();
    spool.bury(&letter(&known)).unwrap();
    for _ in 0..200 {
        spool.put(&entry(&[b'a'; 10_000])).unwrap();
    }
    assert!(spool.status().unwrap().bytes_on_disk <= 4 << 20);
}

#[test]
fn a_full_spool_still_buries() {
    let Place { spool, .. } = &place(4 << 20);
    while spool.put(&entry(&vec![b'a'; 50_000])).is_ok() {}
    for number in 0_u8..4 {
        spool.bury(&letter(&vec![number; 90_000])).unwrap();
    }
    assert!(spool.status().unwrap().bytes_on_disk <= 4 << 20);
}
