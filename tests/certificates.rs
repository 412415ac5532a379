//! Certificates for tests, made by openssl.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The path of a certificate with its key; all but `ca` are signed by `ca`, for 127.0.0.1.
pub(crate) fn signed(folder: &Path, name: &str) -> String {
    if name != "ca" {
        let (ca, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        let names = "subjectAltName=IP:127.0.0.1,DNS:localhost";
        let leaf = [
            "-addext",
            names,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ];
        let signer = ["-CA", ca.to_str().unwrap(), "-CAkey", key.to_str().unwrap()];
        certificate(folder, name, &[&leaf[..], &signer[..]].concat());
    }
    folder.join(format!("{name}.pem")).display().to_string()
}

/// A certificate and its key in one file, and the key in one of its own.
pub(crate) fn certificate(folder: &Path, name: &str, more: &[&str]) {
    let file = |ending: &str| folder.join(format!("{name}.{ending}"));
    let (subject, made) = (format!("/CN={name}"), file("pem"));
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args(["-days", "2", "-subj", &subject, "-keyout"])
        .arg(file("key"))
        .arg("-out")
        .arg(&made)
        .args(more)
        .output()
        .expect("openssl is there (Debian: apt-get install openssl)");
    assert!(output.status.success(), "{output:?}");
    let key = fs::read(file("key")).unwrap();
    fs::write(&made, [fs::read(&made).unwrap(), key].concat()).unwrap();
    fs::set_permissions(&made, PermissionsExt::from_mode(0o600)).unwrap();
}
