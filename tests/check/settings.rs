//! The settings as `check --config-only` judges them: each mistake is made once, told in the words
//! that stand beside it, and then corrected as they say.

use std::fs;

use serde_json::Value;

use super::{Fault, faults, only, read};
use crate::wazuh::Wazuh;

mod commands;
mod rooms;
mod sample;
mod secrets;
mod store;
mod values;
mod variables;

/// Where MongoDB is; `--config-only` asks nobody.
const STORE: &str = "[store]\nuri = \"mongodb://127.0.0.1:1/\"\n";

/// A mistake in the settings: the text with it, what is said, and the text without it.
type Mistake<'a> = (&'a str, &'a str, &'a str);

/// A home without a manager, which has the settings that a test gives it.
struct Home {
    wazuh: Wazuh,
}

impl Home {
    fn new() -> Self {
        let wazuh = Wazuh::with_store("");
        Self { wazuh }
    }

    fn check(&self) -> Value {
        read(
            &self
                .wazuh
                .run(&["check", "--config-only", "--format", "json"]),
        )
    }

    /// Writes these settings; the one fault that they have, as people see it.
    #[track_caller]
    fn fault(&self, name: &str, settings: &str) -> Fault {
        self.wazuh.raw_settings(settings);
        let fault = only(&self.check(), name);
        let printed = self.wazuh.run(&["check", "--config-only", "-q"]).stdout;
        let printed = String::from_utf8(printed).unwrap();
        let line = |text: &str| printed.lines().any(|line| line.ends_with(text));
        assert!(printed.contains('✗') && line(&fault.detail), "{printed}");
        assert!(line(&format!("→ {}", fault.fix)), "{printed}");
        fault
    }

    #[track_caller]
    fn assert_good(&self, settings: &str) {
        self.wazuh.raw_settings(settings);
        let check = self.check();
        assert_eq!(faults(&check), [], "{settings}: {check:#}");
    }

    /// The one of `[settings]`, whatever else is said.
    #[track_caller]
    fn settings_fault(&self, settings: &str) -> Fault {
        self.wazuh.raw_settings(settings);
        let check = self.check();
        let found = faults(&check)
            .into_iter()
            .find(|fault| fault.name == "settings");
        found.unwrap_or_else(|| panic!("{settings}: {check:#}"))
    }

    /// Makes each of them, behind a `[store]` that is right unless they have their own, and finds it
    /// told under this name.
    #[track_caller]
    fn mend_each(&self, name: &str, mistakes: &[Mistake<'_>]) {
        let file = self.wazuh.home.join("etc/custom-mongo.toml");
        let whole = |text: &str| {
            let own = text.contains("[store]");
            if own {
                text.to_owned()
            } else {
                format!("{STORE}{text}")
            }
        };
        for (wrong, told, right) in mistakes {
            let fault = self.fault(name, &whole(wrong));
            assert!(fault.detail.contains(told), "{wrong}: {fault:?}");
            let is_there = fault.fix.contains(&file.display().to_string())
                || fault.fix.ends_with("in the sample settings");
            assert!(is_there, "where to look: {fault:?}");
            self.assert_good(&whole(right));
        }
    }
}

#[test]
fn what_is_no_section_or_no_key_is_told_with_what_is_meant() {
    let home = Home::new();
    home.mend_each("settings", &[
        ("[spool\n", "is not TOML", "[spool]\n"),
        ("[spool]\nmax_size = 1 GiB\n", "line 4 is not TOML", "[spool]\nmax_size = \"1 GiB\"\n"),
        ("[frobnicate]\n", "unknown key `frobnicate`; see the annotated sample", ""),
        ("[spool]\nx = 1\n", "[spool] unknown key `x`; see the annotated sample", "[spool]\n"),
        ("[[serve]]\nport = 1\n", "`serve` has to be a section: [serve]", "[serve]\nport = 1\n"),
        ("[wazuh_api]\nmanagers = 7\n",
            "[wazuh_api] `managers` has to be sections: [wazuh_api.managers.NAME]",
            "[wazuh_api]\n",
        ),
        ("[wazuh_api.managers]\nparis = 7\n",
            "`wazuh_api.managers.paris` has to be a section: [wazuh_api.managers.paris]",
            "[wazuh_api.managers]\n",
        ),
        ("[serve.tokens.soc]\nhash = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n",
            "[serve.tokens.soc] `scope` is missing",
            "[serve.tokens.soc]\nhash = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\nscope = \"read\"\n",
        ),
    ]);
}

/// Each of these is mended by the command that is named.
#[test]
fn a_key_that_is_nearly_known_is_respelled_wherever_it_stands() {
    let home = Home::new();
    for (wrong, told) in [
        ("[spool]\nmax_sise = 5\n", "`max_size`"),
        ("[spol]\nmax_size = 5\n", "`spool`"),
        ("[enrich.retention]\nlo = \"9 d\"\n", "`low`"),
        (
            "[wazuh_api.managers.paris]\nurl = \"https://b\"\nuser = \"u\"\npasword = \"x\"\n",
            "`password`",
        ),
    ] {
        let fault = home.fault("settings", &format!("{STORE}{wrong}"));
        assert!(
            fault.detail.contains(&format!("did you mean {told}")),
            "{fault:?}"
        );
        fault.run();
        assert_eq!(faults(&home.check()), []);
    }
    // Respelled there would be two of them.
    let twice = format!("{STORE}[spool]\nmax_size = 5\nmax_sise = 6\n");
    let fault = home.fault("settings", &twice);
    assert!(fault.fix.starts_with("correct /"), "{fault:?}");
    home.assert_good(&twice.replace("max_sise = 6\n", ""));
}

#[test]
fn a_file_that_is_no_text_is_told() {
    let home = Home::new();
    let file = home.wazuh.home.join("etc/custom-mongo.toml");
    fs::write(&file, b"site = \"\xff\"\n").unwrap();
    let fault = only(&home.check(), "settings");
    assert!(
        fault
            .detail
            .contains("cannot be read: stream did not contain valid UTF-8"),
        "{fault:?}"
    );
    assert!(fault.fix.starts_with("correct /"), "{fault:?}");
    home.assert_good(&format!("site = \"\u{ff}\"\n{STORE}"));
}
