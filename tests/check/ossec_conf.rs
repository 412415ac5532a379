//! ossec.conf: what keeps the manager from starting, from calling us, or from giving us whole alerts.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{BLOCK, Installed, STOCK, good, note, only};
use crate::manager_root::INTEGRATIONS;

/// Another integration, in the format that shortens.
const PLAIN: &str = "<ossec_config>
  <integration>
    <name>slack</name>
    <level>10</level>
  </integration>
</ossec_config>
";

fn with(conf: &str, name: &str) -> Installed {
    let installed = Installed::new(name);
    installed.host.set_conf(conf);
    installed
}

fn with_line(line: &str, name: &str) -> Installed {
    let block = BLOCK.replace("    <level>3</level>\n", &format!("    {line}\n"));
    with(&format!("{block}{STOCK}"), name)
}

#[test]
fn an_element_or_a_value_that_stops_the_manager_is_taken_out() {
    for (line, name) in [
        ("<hook>https://x</hook>", "ossec.conf element"),
        ("<level>high</level>", "ossec.conf value"),
        ("<max_log>5</max_log>", "ossec.conf value"),
    ] {
        let installed = with_line(line, "check_element");
        let fault = installed.mended_by_its_command(name);
        assert!(fault.detail.contains("line 2"), "{fault:?}");
        assert!(!installed.host.conf().contains(line));
    }
    // Also in the block of another: the manager is one.
    let theirs = PLAIN.replace("<level>10</level>", "<colour>red</colour>");
    let installed = with(&format!("{BLOCK}{theirs}{STOCK}"), "check_element");
    let fault = installed.mended_by_its_command("ossec.conf element");
    assert!(fault.detail.contains("slack"), "{fault:?}");
}

/// Longer than Wazuh takes.
#[test]
fn a_location_that_stops_the_manager_is_taken_out() {
    let line = format!("<event_location>{}</event_location>", "x".repeat(30_000));
    let installed = with_line(&line, "check_location");
    installed.mended_by_its_command("ossec.conf value");
    assert!(!installed.host.conf().contains(&line));
}

/// What one line of `sed` would get wrong is told in words, and a person does it.
#[test]
fn an_element_that_shares_its_line_is_left_to_a_person() {
    let hook = "<hook_url>mongodb://u:hush@127.0.0.1:1/</hook_url>";
    let json = "<alert_format>json</alert_format>";
    for (wrong, right, name, words) in [
        ("<hook>x</hook>", "", "element", "remove <hook> from"),
        ("<max_log>x</max_log>", "", "value", "correct <max_log> in"),
        (hook, "", "hook_url", "remove <hook_url> from"),
        (
            "<alert_format>xml</alert_format>",
            json,
            "format",
            "set <alert_format>json</alert_format> in",
        ),
    ] {
        let line = format!("{wrong}<level>3</level>");
        let block = BLOCK.replace("<level>3</level>", &line);
        let block = match right {
            "" => block,
            _ => block.replacen(&format!("    {right}\n"), "", 1),
        };
        let installed = with(&format!("{block}{STOCK}"), "check_shared");
        let fault = only(&installed.check(), &format!("ossec.conf {name}"));
        let named = format!("{words} the block at line 2");
        assert!(fault.fix.starts_with(&named), "{fault:?}");
        let mended = installed.host.conf().replace(wrong, right);
        installed.host.set_conf(&mended);
        installed.assert_good();
    }
}

#[test]
fn alerts_as_text_become_json() {
    let without = BLOCK.replace("    <alert_format>json</alert_format>\n", "");
    for block in [without, BLOCK.replace(">json<", ">xml<")] {
        let installed = with(&format!("{block}{STOCK}"), "check_format");
        installed.mended_by_its_command("ossec.conf format");
        assert!(
            installed
                .host
                .conf()
                .contains("<alert_format>json</alert_format>")
        );
    }
}

#[test]
fn a_password_in_hook_url_is_taken_out_and_never_shown() {
    let installed = with_line(
        "<hook_url>mongodb://u:hush@127.0.0.1:1/</hook_url>",
        "check_hook",
    );
    let check = installed.check();
    assert!(!check.to_string().contains("hush"), "{check:#}");
    let fault = only(&check, "ossec.conf hook_url");
    fault.run();
    installed.assert_good();
    // Without one it works; but commands look elsewhere.
    let installed = with_line("<hook_url>mongodb://127.0.0.1:1/</hook_url>", "check_hook");
    let check = installed.check();
    assert_eq!(super::faults(&check), [], "{check:#}");
    let said = note(&check, "ossec.conf hook_url");
    assert!(said.detail.contains("127.0.0.1:1"), "{said:?}");
    assert_eq!(said.fix, "remove <hook_url>");
    installed.host.set_conf(&format!("{BLOCK}{STOCK}"));
    assert!(!installed.check().to_string().contains("hook_url"));
}

/// The settings need not say again what the hook gets from its block.
#[test]
fn a_connection_string_in_hook_url_is_the_one_that_is_checked() {
    let uri = crate::mongod::shared().uri();
    let installed = with_line(&format!("<hook_url>{uri}</hook_url>"), "check_hook_alone");
    installed.settings("[store]\ndatabase = \"check_hook_alone\"\n");
    installed.assert_good();
    assert!(good(&installed.check(), "store.uri").contains("127.0.0.1"));
}

/// The hook takes it before the settings' own, and would refuse every alert.
#[test]
fn a_hook_url_that_the_driver_refuses_is_corrected_or_removed() {
    let wrong = "<hook_url>mongodb://127.0.0.1:1/?socketTimeoutMS=5</hook_url>";
    let installed = with_line(wrong, "check_hook_option");
    let fault = only(&installed.check(), "ossec.conf hook_url");
    assert!(fault.detail.contains("socketTimeoutMS"), "{fault:?}");
    assert!(fault.fix.starts_with("correct <hook_url> in "), "{fault:?}");
    let (conf, without) = (installed.host.conf(), format!("{BLOCK}{STOCK}"));
    for mended in [conf.replace("?socketTimeoutMS=5", ""), without] {
        installed.host.set_conf(&mended);
        installed.assert_good();
    }
}

#[test]
fn a_plain_block_before_ours_is_named_with_both_places() {
    let installed = with(&format!("{PLAIN}{BLOCK}{STOCK}"), "check_before");
    let fault = only(&installed.check(), "ossec.conf order");
    assert!(fault.detail.contains("slack"), "{fault:?}");
    // As it says: our lines in front of that one.
    let numbers = fault.fix.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<usize> = numbers.filter_map(|word| word.parse().ok()).collect();
    let [.., target] = numbers[..] else {
        panic!("{fault:?}")
    };
    let (first, last) = (numbers[0], numbers[1]);
    let mut lines: Vec<_> = installed.host.conf().lines().map(str::to_owned).collect();
    let ours: Vec<_> = lines.drain(first - 1..last).collect();
    lines.splice(target - 1..target - 1, ours);
    installed.host.set_conf(&lines.join("\n"));
    installed.assert_good();
}

#[test]
fn blocks_of_others_behind_ours_harm_nobody() {
    let installed = with(&format!("{BLOCK}{INTEGRATIONS}"), "check_others");
    installed.assert_good();
}

#[test]
fn a_second_block_that_overlaps_and_a_level_that_never_comes_are_noted() {
    let installed = with(&format!("{BLOCK}{BLOCK}{STOCK}"), "check_twice");
    let check = installed.check();
    assert_eq!(super::faults(&check), [], "{check:#}");
    let overlap = note(&check, "ossec.conf overlap").detail;
    assert!(
        overlap.contains("line 2") && overlap.contains("line 9"),
        "{overlap}"
    );
    let rules =
        |rule: u32| BLOCK.replace("<level>3</level>", &format!("<rule_id>{rule}</rule_id>"));
    installed
        .host
        .set_conf(&format!("{}{}{STOCK}", rules(5710), rules(5712)));
    let check = installed.check();
    assert!(!check.to_string().contains("overlap"), "{check:#}");

    let installed = with_line("<level>1</level>", "check_level");
    let level = note(&installed.check(), "ossec.conf level").detail;
    assert!(
        level.contains("<log_alert_level>3</log_alert_level>"),
        "{level}"
    );
}

#[test]
fn a_file_that_wazuh_cannot_read_is_named_by_its_line() {
    let broken = STOCK.replacen("</alerts>", "", 1);
    let installed = with(&format!("{BLOCK}{broken}"), "check_broken");
    let fault = only(&installed.check(), "ossec.conf");
    assert!(
        fault.detail.contains("line ") && fault.fix.contains("wazuh-integratord -t"),
        "{fault:?}"
    );
    installed.host.set_conf(&format!("{BLOCK}{STOCK}"));
    installed.assert_good();
}

#[test]
fn a_file_that_wazuh_may_not_read_is_opened_to_its_group() {
    let installed = Installed::new("check_closed");
    let path = installed.host.path("etc/ossec.conf");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let fault = only(&installed.check(), "ossec.conf");
    assert!(fault.fix.contains("chmod 0660"), "{fault:?}");
    if nix::unistd::geteuid().is_root() {
        fault.run();
        installed.assert_good();
    }
}

#[test]
fn without_alerts_json_nothing_comes() {
    let quiet = STOCK.replace("<jsonout_output>yes<", "<jsonout_output>no<");
    let installed = with(&format!("{BLOCK}{quiet}"), "check_output");
    installed.mended_by_its_command("ossec.conf output");
}

#[test]
fn without_a_block_nothing_comes_unless_follow_brings_it() {
    let installed = with(STOCK, "check_block");
    let fault = only(&installed.check(), "ossec.conf block");
    assert!(fault.fix.contains(" install"), "{fault:?}");
    if nix::unistd::geteuid().is_root() {
        only(&installed.check_below(), "ossec.conf block").run();
        installed.assert_good();
        assert!(installed.host.conf().contains("<name>custom-mongo</name>"));
    }
    // A unit that is enabled says who brings them; that it never ran is another fault.
    installed.host.set_conf(STOCK);
    let units = installed.host.here("/etc/systemd/system");
    let unit = units.join("custom-mongo-follow.service");
    fs::write(&unit, "[Service]\n").unwrap();
    let wants = units.join("multi-user.target.wants");
    fs::create_dir(&wants).unwrap();
    let target = "/etc/systemd/system/custom-mongo-follow.service";
    std::os::unix::fs::symlink(target, wants.join("custom-mongo-follow.service")).unwrap();
    let check = installed.check_below();
    note(&check, "ossec.conf block");
    let fault = only(&check, "follow");
    assert!(fault.fix.starts_with("systemctl restart"), "{fault:?}");
}

/// A block counts when the manager has been restarted with it.
#[test]
fn a_manager_that_has_not_read_the_block_yet_is_noted() {
    if !nix::unistd::geteuid().is_root() {
        // The integration is our own, and behind that fault nobody looks at the manager.
        return;
    }
    let installed = Installed::new("check_running");
    assert!(
        note(&installed.check(), "ossec.conf in use")
            .detail
            .contains("does not run")
    );
    let pid_file = installed.host.path("var/run/wazuh-integratord-1.pid");
    fs::write(&pid_file, "1\n").unwrap();
    assert!(!installed.check().to_string().contains("in use"));
    let changed = SystemTime::now() + Duration::from_secs(9);
    let path = installed.host.path("etc/ossec.conf");
    let conf = fs::File::options().append(true).open(path).unwrap();
    conf.set_modified(changed).unwrap();
    let note = note(&installed.check(), "ossec.conf in use");
    let restart = if Path::new("/run/systemd/system").is_dir() {
        "systemctl restart wazuh-manager"
    } else {
        "bin/wazuh-control restart"
    };
    assert!(note.fix.contains(restart), "{note:?}");
    // The manager writes it anew when it starts.
    let written = fs::File::options().append(true).open(pid_file).unwrap();
    written
        .set_modified(changed + Duration::from_secs(1))
        .unwrap();
    assert!(!installed.check().to_string().contains("in use"));
}
