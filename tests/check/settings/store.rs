//! The connection string, as far as it can be judged without asking anybody.

use std::fs;

use super::rooms::pem_files;
use super::variables::write_env;
use super::{Home, STORE, only};
use crate::scratch;

fn uri(text: &str) -> String {
    format!("[store]\nuri = {text:?}\n")
}

#[test]
fn an_option_that_the_driver_does_not_know_is_told() {
    let home = Home::new();
    for (option, host) in [
        ("socketTimeoutMS", "mongodb://db.example.org/"),
        ("socketTimeoutMS", "mongodb+srv://db.example.org/"),
        ("timeoutms", "mongodb://db.example.org/"),
        ("wtimeout", "mongodb://db.example.org/"),
        ("compressors", "mongodb://db.example.org/"),
    ] {
        let wrong = uri(&format!("{host}?{option}=5"));
        let told = format!("does not know the option {option}; remove this option from the URI");
        home.mend_each("store.uri", &[(&wrong, &told, &uri(host))]);
    }
}

#[test]
fn a_connection_string_that_is_none_is_told_with_the_form_and_the_place() {
    let form = "the driver does not take it; mongodb://USER@HOST:PORT/?OPTION=VALUE";
    let home = Home::new();
    for (wrong, told, right) in [
        (
            "http://h/",
            "it has to begin with mongodb:// or mongodb+srv://",
            "mongodb://h/",
        ),
        ("mongodb://", form, "mongodb://h"),
        ("mongodb://h:port/", form, "mongodb://h:27017/"),
        (
            "mongodb://ann:a/b@h/",
            "(look at password)",
            "mongodb://ann:a%2Fb@h/",
        ),
        (
            "mongodb://h/?tls=maybe",
            "(look at tls)",
            "mongodb://h/?tls=false",
        ),
        (
            "mongodb://a,b/?directConnection=true",
            "(look at directConnection)",
            "mongodb://a,b/",
        ),
        (
            "mongodb://a/?loadBalanced=true&replicaSet=r",
            "(look at replicaSet)",
            "mongodb://a/?replicaSet=r",
        ),
        (
            "mongodb+srv://a.b.c:27017/",
            "(look at srv)",
            "mongodb+srv://a.b.c/",
        ),
    ] {
        home.mend_each("store.uri", &[(&uri(wrong), told, &uri(right))]);
    }
}

#[test]
fn a_connection_string_that_stands_nowhere_or_twice_is_told() {
    Home::new().mend_each(
        "store.uri",
        &[
            (
                "[store]\n",
                "no MongoDB is configured; set store.uri in custom-mongo.toml",
                STORE,
            ),
            (
                &format!("{STORE}uri_file = \"/x\"\n"),
                "store.uri and store.uri_file are set; keep one of them",
                STORE,
            ),
            (
                &format!("{STORE}username = \"u\"\npassword = \"p\"\npassword_command = \"x\"\n"),
                "store.password and store.password_command are set; keep one of them",
                &format!("{STORE}username = \"u\"\npassword = \"p\"\n"),
            ),
        ],
    );
}

/// What sets it in a variable is named beside the file.
#[test]
fn a_connection_string_of_a_variable_is_corrected_there() {
    let mut home = Home::new();
    home.wazuh.raw_settings("");
    home.wazuh.environment = vec![("MONGO_URI", "http://db.example".to_owned())];
    let fault = only(&home.check(), "store.uri");
    assert!(
        fault
            .fix
            .ends_with(", or MONGO_URI or CUSTOM_MONGO_STORE__… in the environment"),
        "{fault:?}"
    );
    home.wazuh.environment = vec![("MONGO_URI", "mongodb://db.example".to_owned())];
    home.assert_good("");
    home.wazuh.environment.clear();
    let beside = write_env(&home, "MONGO_URI=http://db.example\n");
    let fault = only(&home.check(), "store.uri");
    assert!(
        fault
            .fix
            .ends_with(&format!(", or its variable in {beside}")),
        "{fault:?}"
    );
    write_env(&home, "MONGO_URI=mongodb://db.example\n");
    home.assert_good("");
}

#[test]
fn a_certificate_that_is_not_there_or_none_is_told() {
    let [one, none, nonsense, cut, absent] = pem_files();
    let set = |key: &str, file: &str| format!("{STORE}{key} = {file:?}\n");
    let in_uri = |option: &str, file: &str| uri(&format!("mongodb://h/?tls=true&{option}={file}"));
    let (ca, own, key_file) = (
        "ca_file",
        "client_certificate_file",
        "tlsCertificateKeyFile",
    );
    let cannot = |key: &str| format!("store.{key}: cannot read {absent}: No such file");
    let tls = |file: &str, why: &str| format!("TLS: {file}: {why}");
    let no_own = "; see store.ca_file and store.client_certificate_file";
    let empty = "there is no certificate in it; see store.ca_file";
    Home::new().mend_each(
        "store.uri",
        &[
            (&set(ca, &absent), &cannot(ca), &set(ca, &one)),
            (&set(ca, &none), &tls(&none, empty), &set(ca, &one)),
            (&set(ca, &nonsense), &tls(&nonsense, empty), &set(ca, &one)),
            (&set(ca, &cut), &tls(&cut, "it is not PEM"), &set(ca, &one)),
            (&set(own, &absent), &cannot(own), &set(own, &one)),
            (&set(own, &none), no_own, &set(own, &one)),
            (
                &in_uri("tlsCAFile", &absent),
                &tls(&absent, "No such file"),
                &in_uri("tlsCAFile", &one),
            ),
            (
                &in_uri(key_file, &absent),
                "store.uri: the file of tlsCertificateKeyFile cannot be read",
                &in_uri(key_file, &one),
            ),
        ],
    );
}

/// Only a unit has them: whoever asks beside it is told how to ask as it does.
#[test]
fn a_credential_of_a_unit_is_not_missed_where_there_is_none() {
    let mut home = Home::new();
    let settings = "[store]\nuri_file = \"$CREDENTIALS_DIRECTORY/uri\"\n";
    let fault = home.fault("store.uri", settings);
    assert!(fault.detail.contains("only a unit of systemd"), "{fault:?}");
    let told = "systemd-run --pipe -p LoadCredential=uri:FILE ";
    assert!(
        fault.fix.contains(told) && fault.fix.ends_with(" check"),
        "{fault:?}"
    );
    // As systemd-run does it.
    let folder = scratch::fresh("check_credentials");
    fs::write(folder.join("uri"), "mongodb://h\n").unwrap();
    crate::check::mode(&folder.join("uri"), 0o400);
    let folder = folder.display().to_string();
    home.wazuh.environment = vec![("CREDENTIALS_DIRECTORY", folder)];
    home.assert_good(settings);
}
