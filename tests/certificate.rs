//! Certificates for the tests' own servers, made by openssl.

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

/// A self-signed certificate, unless `more` says otherwise: `name.pem` with its key in it.
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

/// What Wazuh makes at its first start, more than a year later: RSA, self-signed, for `localhost` only,
/// and over. `req` makes none that is over, `ca` does.
pub(crate) fn of_wazuh(folder: &Path, name: &str) -> String {
    let place = folder.join(name);
    fs::create_dir(&place).unwrap();
    fs::write(place.join("index"), "").unwrap();
    fs::write(place.join("config"), CONFIG).unwrap();
    let request = "req -new -newkey rsa:2048 -nodes -subj /CN=wazuh.com -keyout key -out request";
    openssl(&place, request);
    let dates = "-startdate 20240101000000Z -enddate 20250101000000Z";
    let sign = format!(
        "ca -selfsign -batch -notext -config config -in request -keyfile key {dates} -out pem"
    );
    openssl(&place, &sign);
    let both = ["pem", "key"].map(|file| fs::read(place.join(file)).unwrap());
    fs::write(place.join("both.pem"), both.concat()).unwrap();
    place.join("both.pem").display().to_string()
}

const CONFIG: &str = "[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = DNS:localhost
";

fn openssl(place: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let output = command
        .current_dir(place)
        .args(arguments.split(' '))
        .output();
    let output = output.expect("openssl is there (Debian: apt-get install openssl)");
    assert!(output.status.success(), "{output:?}");
}

/// What openssl says the SHA-256 fingerprint is.
pub(crate) fn fingerprint(pem: &str) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in", pem])
        .output()
        .expect("openssl is there");
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().rsplit('=').next().unwrap().to_owned()
}
