//! A Wazuh home with the real binary in its `integrations` folder, and what arrives from there.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::sync::Collection;
use serde_json::Value;

use crate::call::{self, Outcome};
use crate::json::Json;
use crate::mongod::{self, Mongod};
use crate::scratch;

pub(crate) struct Wazuh {
    pub(crate) home: PathBuf,
    pub(crate) environment: Vec<(&'static str, String)>,
    store: String,
    delivery: &'static str,
    files: Cell<u32>,
}

/// How soon an answer comes on a busy machine is not under test where nothing is in its way.
pub(crate) const UNHURRIED: &str = "[delivery]\ndeadline = \"30 s\"\nrelay_timeout = \"5 s\"\n";

/// The tests' alerts, one a line.
pub(crate) const ALERTS: &str = include_str!("fixtures/alerts.json");

impl Wazuh {
    /// A home whose alerts go to the shared server, into the database `name`.
    pub(crate) fn new(name: &str) -> Self {
        let mut wazuh = Self::with_uri(&mongod::shared().uri(), name);
        wazuh.delivery = UNHURRIED;
        wazuh.settings("");
        wazuh
    }

    pub(crate) fn with_uri(uri: &str, database: &str) -> Self {
        Self::with_store(&format!("uri = {uri:?}\ndatabase = {database:?}\n"))
    }

    /// A home whose `[store]` section is `store`.
    pub(crate) fn with_store(store: &str) -> Self {
        let home = scratch::fresh("ossec");
        for folder in [
            "integrations",
            "etc",
            "logs",
            "var/db",
            "var/run",
            "queue/sockets",
            "tmp",
        ] {
            fs::create_dir_all(home.join(folder)).expect("a folder of the home");
        }
        fs::write(home.join("logs/integrations.log"), "").expect("a log file");
        fs::hard_link(&*BINARY, home.join("integrations/custom-mongo")).expect("a hard link");
        let environment = Vec::new();
        let wazuh = Self {
            home,
            environment,
            store: store.into(),
            delivery: "",
            files: Cell::new(0),
        };
        wazuh.settings("");
        wazuh
    }

    /// Writes the settings: `[store]` as the home was made, then these sections. The disk reserve is
    /// off, since the disk that the tests run on is not under test; nor is the speed of the machine
    /// where the home is of the shared server and no `[delivery]` is given.
    pub(crate) fn settings(&self, sections: &str) {
        let spool = if sections.contains("[spool]") {
            ""
        } else {
            "[spool]\n"
        };
        let delivery = if sections.contains("[delivery]") {
            ""
        } else {
            self.delivery
        };
        let all = format!("[store]\n{}{delivery}{spool}{sections}", self.store);
        self.raw_settings(&all.replace("[spool]\n", "[spool]\ndisk_reserve = \"0 %\"\n"));
    }

    /// Writes the settings file, all of it.
    pub(crate) fn raw_settings(&self, text: &str) {
        let path = self.home.join("etc/custom-mongo.toml");
        fs::write(&path, text).expect("a settings file");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its mode");
    }

    /// What integratord leaves in /tmp for a call.
    pub(crate) fn alert_file(&self, alert: &[u8]) -> String {
        let number = self.files.replace(self.files.get() + 1);
        let path = self
            .home
            .join(format!("tmp/custom-mongo-1748872027--{number}.alert"));
        fs::write(&path, alert).expect("an alert file");
        path.display().to_string()
    }

    /// One alert, called as wazuh-integratord 4.14 calls; the file is removed afterwards.
    pub(crate) fn call(&self, alert: impl AsRef<[u8]>) -> Outcome {
        let file = self.alert_file(alert.as_ref());
        let outcome = self.invoke(&call::normal(&file, "", ""));
        fs::remove_file(file).expect("the hook leaves the alert file to integratord");
        outcome
    }

    /// Any arguments, called by wazuh-integratord.
    pub(crate) fn invoke<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Outcome {
        let mut command = call::integration(&self.home, arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        call::start(command).outcome()
    }

    /// A command of an administrator.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, b"")
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        call::finish(self.command(arguments), input)
    }

    /// A command of an administrator, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = call::command(&self.home, arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A command's result as JSON, whatever its status.
    pub(crate) fn json(&self, command: &str) -> Value {
        let words: Vec<_> = command.split(' ').chain(["--format", "json"]).collect();
        let output = self.run(&words);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|why| panic!("`{command}` prints no JSON ({why}): {output:?}"))
    }

    /// How many alerts wait in the spool for the destination that is set now.
    pub(crate) fn pending(&self) -> u64 {
        let status = self.json("spool status");
        let all = status["destinations"]
            .as_array()
            .expect("a list of destinations");
        let current = all.iter().find(|one| one["current"] == true);
        current.map_or(0, |one| one["pending"].as_u64().expect("a number"))
    }

    /// Drains until nothing is left, and says how many are stored by that.
    pub(crate) fn drain(&self) -> Value {
        let output = self.run(&["spool", "drain", "--format", "json"]);
        assert!(output.status.success(), "{output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(answer["left"], 0, "{answer}");
        answer
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home.join("var/db/custom-mongo")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.join("logs/integrations.log")).expect("a log")
    }
}

impl Outcome {
    /// Exit 0 without a word: stored, or safely spooled.
    #[track_caller]
    pub(crate) fn assert_yes(&self) {
        assert_eq!(
            (self.status, self.output.as_str()),
            (0, ""),
            "took {:?}",
            self.took
        );
    }

    /// A failure: this status, and one line that is in the log as well. Gives the line.
    #[track_caller]
    pub(crate) fn assert_no(&self, status: i32, wazuh: &Wazuh) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        let line = self.output.strip_suffix('\n').expect("a whole line");
        assert!(!line.contains('\n'), "more than one line: {line}");
        assert!(line.starts_with("custom-mongo: "), "{line}");
        let text = line.trim_start_matches("custom-mongo: ");
        assert!(
            wazuh.log().contains(text),
            "{line} is not in integrations.log: {}",
            wazuh.log()
        );
        line
    }
}

impl Drop for Wazuh {
    fn drop(&mut self) {
        // The folder above is removed at the end in any case.
        fs::remove_dir_all(&self.home).ok();
    }
}

/// The collection of alerts in a database.
pub(crate) fn alerts(server: &Mongod, database: &str) -> Collection<Document> {
    server.database(database).collection("alerts")
}

/// All documents of a database on the shared server.
pub(crate) fn stored(database: &str) -> Vec<Document> {
    stored_on(mongod::shared(), database)
}

pub(crate) fn stored_on(server: &Mongod, database: &str) -> Vec<Document> {
    // Raw first: the driver's own way to a `Document` fails at a field that is called `$date`.
    let alerts = alerts(server, database).clone_with_type::<RawDocumentBuf>();
    let found = alerts.find(doc! {}).run().expect("a cursor");
    let whole = |raw: RawDocumentBuf| Document::try_from(raw.as_ref()).expect("BSON");
    found.map(|raw| whole(raw.expect("a document"))).collect()
}

/// The only document of a database on the shared server.
#[track_caller]
pub(crate) fn only(database: &str) -> Document {
    let mut documents = stored(database);
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents.remove(0)
}

/// The text of a field that must be one.
#[track_caller]
pub(crate) fn text<'a>(document: &'a Document, name: &str) -> &'a str {
    document
        .get_str(name)
        .unwrap_or_else(|why| panic!("{name}: {why} in {document}"))
}

/// An alert whose `id` is `number`, to find it again.
pub(crate) fn numbered(number: usize) -> Json {
    Json::read(ALERTS.lines().next().expect("a line"))
        .with("id", Json::Text(format!("1748872000.{number}")))
}

/// The one copy that all homes link: on the same disk as they.
static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let copy = scratch::root().join("custom-mongo");
    // By a process of its own: a descriptor open for writing here could live on in a child that is
    // just being started, and then nobody could execute the file.
    let cp = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_custom-mongo"))
        .arg(&copy)
        .status();
    assert!(
        cp.is_ok_and(|status| status.success()),
        "a copy of the binary"
    );
    copy
});
