//! What the user may do in Wazuh's API, and the script that makes one who may do enough.

use super::{PASSWORD, checked, fault, finding, section, with};
use crate::fake::Server;
use crate::fake::login::User;
use crate::wazuh::Wazuh;

#[test]
fn a_role_that_shows_too_little_or_too_much_is_named() {
    let mut user = User::reader("custom-mongo", PASSWORD);
    user.policies
        .push(("agent:delete".to_owned(), "agent:id:*".to_owned()));
    let check = checked(with(vec![user.clone()]), "api_role", "");
    assert!(
        finding(&check, "wazuh role").contains("agent:delete"),
        "{check:#}"
    );
    user.policies
        .retain(|(action, _)| action != "syscheck:read");
    let check = checked(with(vec![user.clone()]), "api_role", "");
    assert!(
        fault(&check, "wazuh role").contains("no syscheck:read"),
        "{check:#}"
    );
    for policy in &mut user.policies {
        policy.1 = "agent:group:windows".to_owned();
    }
    let check = checked(with(vec![user]), "api_role", "");
    let fault = fault(&check, "wazuh role");
    assert!(
        fault.contains("agent:read only on agent:group:windows"),
        "{fault}"
    );
    assert!(fault.contains("wazuh-api-role.sh"), "{fault}");
}

#[test]
fn a_kind_that_needs_a_right_of_its_own_is_named_with_it() {
    let mut user = User::reader("custom-mongo", PASSWORD);
    user.policies.retain(|(action, _)| action != "sca:read");
    let usual = checked(with(vec![user.clone()]), "api_kinds", "");
    assert_eq!(usual["ok"], true, "{usual:#}");
    let more = "[collect]\nkinds = [\"osinfo\", \"sca_checks\", \"rootcheck\"]\n";
    let check = checked(with(vec![user]), "api_kinds", more);
    let said = fault(&check, "wazuh role");
    assert!(said.contains("no sca:read"), "{said}");
    assert!(
        said.contains("syscollector:read sca:read rootcheck:read"),
        "{said}"
    );
    assert!(!said.contains("no rootcheck"), "{said}");
}

/// With the actions that `check` names, and with the user that it makes in the settings.
#[test]
fn a_role_that_shows_too_little_is_mended_by_the_script_that_is_named() {
    let admin = "Secret.Admin.1";
    let mut user = User::reader("custom-mongo", PASSWORD);
    let lacking = |action: &str| ["syscheck:read", "rootcheck:read"].contains(&action);
    user.policies.retain(|(action, _)| !lacking(action));
    for policy in &mut user.policies {
        policy.1 = "agent:group:windows".to_owned();
    }
    let server = Server::start(with(vec![User::administrator("wazuh", admin), user])).unwrap();
    let wazuh = Wazuh::new("api_mended");
    let more = "[collect]\nkinds = [\"osinfo\", \"rootcheck\"]\n";
    wazuh.settings(&section(&server.url(), more));
    let said = fault(&wazuh.json("check"), "wazuh role");
    assert!(said.contains("no rootcheck:read"), "{said}");
    let (_, actions) = said.split_once("ACTIONS=\"").unwrap();
    let mut script = role_script(&server, admin, "Secret.New.1");
    let script = script.env("ACTIONS", actions.trim_end_matches('"'));
    let output = script.output().expect("sh");
    assert!(output.status.success(), "{output:?}");
    let own = section(&server.url(), more).replace("custom-mongo", "reader");
    wazuh.settings(&own.replace(PASSWORD, "Secret.New.1"));
    let check = wazuh.json("check");
    assert_eq!(check["ok"], true, "{check:#}");
    assert!(finding(&check, "wazuh role").contains("reads every agent"));
}

/// What `integrations/wazuh-api-role.sh` says, as this administrator with this new password.
fn make_role(server: &Server, admin: &str, password: &str) -> std::process::Output {
    role_script(server, admin, password).output().expect("sh")
}

fn role_script(server: &Server, admin: &str, password: &str) -> std::process::Command {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/integrations/wazuh-api-role.sh"
    );
    let mut command = std::process::Command::new("sh");
    command.arg(script).stdin(std::process::Stdio::null());
    command
        .env("WAZUH_API_URL", server.url())
        .env("WAZUH_ADMIN", "wazuh");
    command
        .env("WAZUH_ADMIN_PASSWORD", admin)
        .env("NEW_USER", "reader")
        .env("NEW_PASSWORD", password);
    command
}

#[test]
fn the_role_that_is_shipped_is_made_once_and_is_enough_and_not_too_much() {
    let admin = "Adm\"in\\1. x";
    let mut users = vec![User::administrator("wazuh", admin)];
    // A name that only begins like ours.
    users.push(User::reader("reader-of-books", "x"));
    let server = Server::start(with(users)).unwrap();
    let refused = make_role(&server, "guessed", "Secret.New.1");
    assert!(!refused.status.success(), "{refused:?}");
    let weak = make_role(&server, admin, "weak");
    assert!(
        !weak.status.success() && String::from_utf8_lossy(&weak.stderr).contains("5007"),
        "{weak:?}"
    );

    let new = "Sec'ret\"\\New.1";
    for _ in 0..2 {
        let output = make_role(&server, admin, new);
        assert!(output.status.success(), "{output:?}");
        let printed =
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            !printed.contains(new) && !printed.contains(admin),
            "{printed}"
        );
    }
    let made = |path: &str| {
        let state = server.state();
        let posts = state.seen.iter().filter(|seen| seen.method == "POST");
        posts.filter(|seen| seen.target.starts_with(path)).count()
    };
    // Once with the password that was too weak.
    assert_eq!(
        (made("/security/policies"), made("/security/users")),
        (1, 3)
    );
    assert_eq!(made("/security/roles"), 2, "the role, and the policy in it");

    let wazuh = Wazuh::new("api_made");
    let settings = section(&server.url(), "").replace("custom-mongo", "reader");
    wazuh.settings(&settings.replace(&format!("{PASSWORD:?}"), &format!("{new:?}")));
    let check = wazuh.json("check");
    assert_eq!(check["ok"], true, "{check:#}");
    let role = finding(&check, "wazuh role");
    assert!(
        role.contains("25 are there") && !role.contains("may also"),
        "{role}"
    );
}
