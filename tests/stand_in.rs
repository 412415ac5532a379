//! The stand-in for Wazuh's API by itself: as a program, with its control interface, and over recorded
//! answers. What the bench and the demo build on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::fake::{Options, Server};
use crate::scratch;

struct Client {
    url: String,
    token: String,
}

impl Client {
    fn new(url: &str) -> Self {
        let login = ["-u", "custom-mongo:Secret.Fake.1", "-X", "POST"];
        let token = curl(
            &login,
            &format!("{url}/security/user/authenticate?raw=true"),
        );
        Self {
            url: url.to_owned(),
            token,
        }
    }

    fn get(&self, path: &str) -> Value {
        let bearer = format!("Authorization: Bearer {}", self.token);
        let body = curl(&["-H", &bearer], &format!("{}{path}", self.url));
        serde_json::from_str(&body).unwrap_or_else(|why| panic!("{path}: {why}: {body}"))
    }

    fn items(&self, path: &str) -> Vec<Value> {
        self.get(path)["data"]["affected_items"]
            .as_array()
            .expect("items")
            .clone()
    }

    fn post(&self, path: &str) -> Value {
        let body = curl(
            &["-X", "POST", "-d", r#"{"name":"own","version":"1"}"#],
            &format!("{}{path}", self.url),
        );
        serde_json::from_str(&body).unwrap_or_else(|why| panic!("{path}: {why}: {body}"))
    }
}

fn curl(arguments: &[&str], url: &str) -> String {
    let mut command = Command::new("curl");
    let output = command
        .args(["-s", "--noproxy", "*"])
        .args(arguments)
        .arg(url)
        .output();
    let output = output.expect("curl is there (Debian: apt-get install curl)");
    String::from_utf8(output.stdout).expect("text")
}

/// Ends with its standard input.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// Built by `rustc` alone and started.
fn program() -> (Program, Client) {
    let binary = scratch::fresh("stand-in").join("wazuh-api");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/wazuh-api.rs");
    let mut rustc = Command::new("rustc");
    let built = rustc
        .args(["--edition", "2024", "-D", "warnings", source, "-o"])
        .arg(&binary)
        .output();
    let built = built.expect("rustc is there");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let mut command = Command::new(&binary);
    command.args(["--agents", "5", "--packages", "40", "--experimental"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = Program(command.spawn().expect("it starts"));
    let mut url = String::new();
    let stdout = program.0.stdout.take().expect("a pipe");
    BufReader::new(stdout)
        .read_line(&mut url)
        .expect("its address");

    (program, Client::new(url.trim()))
}

#[test]
fn it_is_a_program_without_a_crate_that_can_be_changed_while_it_runs() {
    let (_program, client) = program();
    let packages = "/syscollector/004/packages";
    let versions = |name: &str| -> Vec<Value> {
        let items = client.items(&format!("{packages}?limit=1000"));
        items
            .iter()
            .filter(|item| item["name"] == name)
            .map(|item| item["version"].clone())
            .collect()
    };
    assert_eq!(client.items("/agents").len(), 6);
    assert_eq!(client.items(packages).len(), 40);
    let pick = "/fake/change?agent=004&kind=packages&field=name&is=libc6&set=version&to=9";
    assert_eq!(client.post(pick)["changed"], 2);
    assert_eq!(versions("libc6"), ["9", "9"]);
    assert_eq!(
        client.post("/fake/remove?agent=004&kind=packages&field=architecture&is=i386")["changed"],
        1
    );
    assert_eq!(versions("libc6"), ["9"]);
    client.post("/fake/put?agent=004&kind=packages");
    assert_eq!(versions("own"), ["1"]);
    let probe = format!("{packages}?limit=1&sort=-scan.time&select=scan.time");
    let newest = |client: &Client| {
        client.items(&probe)[0]["scan"]["time"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let before = newest(&client);
    client.post("/fake/drift?percent=50&round=1");
    assert!(newest(&client) >= before && versions("own") == ["1"]);
    assert!(
        client
            .items(packages)
            .iter()
            .filter(|item| item["version"].as_str().unwrap().starts_with("9.1-"))
            .count()
            > 5
    );
    fails_and_forgets(&client);
}

fn fails_and_forgets(client: &Client) {
    let packages = "/syscollector/004/packages";
    client.post("/fake/wipe?agent=004");
    assert_eq!(client.get(packages)["data"]["total_affected_items"], 0);
    let added = client.post("/fake/agents/add?name=new")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        client.items(&format!("/syscollector/{added}/os"))[0]["hostname"],
        "new"
    );
    client.post("/fake/fail?fault=restarting&target=/agents");
    assert_eq!(client.get("/agents")["error"], 1017);
    assert_eq!(client.get("/agents")["error"], 0);
    client.post("/fake/version?version=4.4.0");
    assert_eq!(client.get("/syscollector/001/users")["title"], "Not Found");
    let stats: Value =
        serde_json::from_str(&curl(&[], &format!("{}/fake/stats", client.url))).unwrap();
    assert!(
        stats["requests"].as_u64() > Some(10) && stats["limited"] == 0,
        "{stats}"
    );
}

#[test]
fn it_serves_recorded_answers_by_every_query() {
    let folder = scratch::fresh("recorded");
    let record = |name: &str, path: &str, items: Value| {
        let total = items.as_array().unwrap().len();
        let data = json!({ "affected_items": items, "total_affected_items": total, "total_failed_items": 0, "failed_items": [] });
        let answer = json!({
            "request": { "method": "GET", "path": path, "auth": "token of an administrator" },
            "status": 200,
            "body": { "data": data, "message": "m", "error": 0 },
        });
        fs::write(folder.join(format!("{name}.json")), answer.to_string()).unwrap();
    };
    let agents = json!([
        { "id": "004", "name": "host-00004", "status": "active", "group": ["default"], "version": "Wazuh v4.4.0" },
        { "id": "007", "name": "host-00007", "status": "never_connected", "group": ["default"] },
    ]);
    let package = |name: &str| json!({ "name": name, "version": "1 \u{2603}", "architecture": "all", "format": "deb", "location": " ", "size": 4_294_967_296_u64, "agent_id": "004", "scan": { "id": 0, "time": "2026-11-20T23:59:06+00:00" } });
    record("agents", "/agents?limit=20&sort=id", agents.clone());
    record(
        "one",
        "/syscollector/004/packages?limit=2",
        json!([package("a"), package("b")]),
    );
    record(
        "two",
        "/syscollector/004/packages?limit=2&offset=2",
        json!([package("b"), package("c")]),
    );
    record(
        "probe",
        "/syscollector/004/packages?limit=1&select=scan.time",
        json!([{ "agent_id": "004" }]),
    );
    let server = Server::start(Options {
        recorded: Some(folder),
        ..Options::default()
    });
    let server = server.unwrap();
    let client = Client::new(&server.url());
    assert_eq!(client.items("/agents"), *agents.as_array().unwrap());
    assert_eq!(client.items("/agents?q=status=active").len(), 1);
    let packages = client.items("/syscollector/004/packages?sort=-name");
    assert_eq!(packages, [package("c"), package("b"), package("a")]);
    assert_eq!(client.get("/syscollector/007/packages")["error"], 2007);
    assert!(
        client.items("/syscollector/004/os").is_empty(),
        "nothing is made up"
    );
}
