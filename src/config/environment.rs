//! Settings from the environment and from a `.env` beside the settings file; the process's own
//! environment counts before the file. `CUSTOM_MONGO_<SECTION>__<KEY>` and the plain names that
//! the Python service's users have.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use toml::{Table, Value};

use super::{ENVIRONMENT, Fault, suggestion};

const PREFIX: &str = "CUSTOM_MONGO_";
/// Variables with our prefix that are not settings of a room.
const OTHERS: [&str; 2] = ["CUSTOM_MONGO_CONFIG", "CUSTOM_MONGO_STATE_DIR"];
/// The Python service's names.
const PLAIN: [(&str, &str, &str); 9] = [
    ("MONGO_URI", "store", "uri"),
    ("MONGO_DB", "store", "database"),
    ("WEBHOOK_HOST", "serve", "host"),
    ("WEBHOOK_PORT", "serve", "port"),
    ("WEBHOOK_AUTH_TOKEN", "serve", "auth_token"),
    ("WAZUH_API_URL", "wazuh_api", "url"),
    ("WAZUH_USER", "wazuh_api", "user"),
    ("WAZUH_PASS", "wazuh_api", "password"),
    ("MAX_WORKERS", "collect", "max_workers"),
];

type Variables = BTreeMap<String, String>;

/// Lays the variables over the settings.
pub(super) fn apply(table: &mut Table, env_file: Option<&Path>) -> Result<(), Fault> {
    let in_file = env_file.map_or(Ok(Variables::new()), read)?;
    let own = of_process();
    let mut variables = in_file;
    variables.extend(own.clone());
    lay(table, &variables).map_err(|(name, why)| {
        let file = env_file.filter(|_| !own.contains_key(&name));
        let place = file.map_or_else(|| ENVIRONMENT.to_owned(), |file| file.display().to_string());
        Fault(format!("{place}: {why}"))
    })
}

/// As `apply`, without the process's own.
pub(super) fn apply_file(table: &mut Table, env_file: Option<&Path>) -> Result<(), Fault> {
    let variables = env_file.map_or(Ok(Variables::new()), read)?;
    lay(table, &variables).map_err(|(_, why)| Fault(why))
}

fn of_process() -> Variables {
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts.filter(|(name, _)| is_ours(name)).collect()
}

/// What cannot be laid over them is told with the variable's name.
fn lay(table: &mut Table, variables: &Variables) -> Result<(), (String, String)> {
    for (plain, section, key) in PLAIN {
        if let Some(value) = variables.get(plain).filter(|value| !value.is_empty()) {
            set(table, section, key, value).map_err(|why| (plain.to_owned(), why))?;
        }
    }
    for (name, value) in variables {
        if let Some(setting) = name.strip_prefix(PREFIX)
            && !OTHERS.contains(&name.as_str())
        {
            apply_one(table, name, &setting.to_lowercase(), value)
                .map_err(|why| (name.clone(), why))?;
        }
    }
    Ok(())
}

/// Whether any variable of ours is set.
pub fn is_used() -> bool {
    let is_setting = |name: &str| is_ours(name) && !OTHERS.contains(&name);
    std::env::vars_os().any(|(name, _)| name.to_str().is_some_and(is_setting))
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) || PLAIN.iter().any(|(plain, ..)| *plain == name)
}

fn apply_one(table: &mut Table, name: &str, setting: &str, value: &str) -> Result<(), String> {
    if let Some((section, key)) = setting.split_once("__") {
        return set(table, section, key, value);
    }
    if setting == "site" {
        table.insert("site".to_owned(), Value::String(value.to_owned()));
        return Ok(());
    }
    let known = OTHERS.into_iter().chain(["CUSTOM_MONGO_SITE"]);
    let hint = suggestion::unknown(name, known);
    Err(format!("{hint} (a setting is {PREFIX}<SECTION>__<KEY>)"))
}

/// Sets `section.key`, where a key may itself have parts (`enrich`, `retention__low`).
fn set(table: &mut Table, section: &str, key: &str, value: &str) -> Result<(), String> {
    let mut inner = table;
    let mut path = vec![section];
    path.extend(key.split("__"));
    let last = path.pop().unwrap_or_default();
    for step in path {
        let next = inner
            .entry(step)
            .or_insert_with(|| Value::Table(Table::new()));
        let inside = next.as_table_mut();
        inner = inside.ok_or_else(|| format!("{section}.{key}: `{step}` is not a section"))?;
    }
    // A source of the same secret in the file would count before this one.
    for other in ["", "_file", "_command"] {
        inner.remove(&format!("{}{other}", stem(last)));
    }
    inner.insert(last.to_owned(), Value::String(value.to_owned()));
    Ok(())
}

fn stem(key: &str) -> &str {
    let stem = key.strip_suffix("_file").or(key.strip_suffix("_command"));
    stem.filter(|stem| matches!(*stem, "uri" | "password" | "auth_token"))
        .unwrap_or(key)
}

/// Whether the file is root's, our own, or of whoever owns the folder, and nobody else may write it:
/// it can name commands that we run.
fn is_trusted(path: &Path) -> bool {
    let Ok(meta) = std::fs::metadata(path) else {
        return true;
    };
    let folder = path
        .parent()
        .and_then(|folder| std::fs::metadata(folder).ok());
    let own = nix::unistd::geteuid().as_raw();
    let mut owners = [Some(0), Some(own), folder.map(|folder| folder.uid())]
        .into_iter()
        .flatten();
    owners.any(|owner| owner == meta.uid()) && meta.mode() & 0o002 == 0
}

fn read(path: &Path) -> Result<Variables, Fault> {
    if !is_trusted(path) {
        let why = "others may write it; run chown -h root:wazuh and chmod 640 on it";
        return Err(Fault(format!("{}: {why}", path.display())));
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Variables::new()),
        Err(error) => {
            return Err(Fault(format!(
                "{}: cannot be read: {error}",
                path.display()
            )));
        }
    };
    Ok(text
        .lines()
        .filter_map(parse_line)
        .filter(|(name, _)| is_ours(name))
        .collect())
}

/// `NAME=value`, `export NAME="value"`; values are taken literally, since passwords hold `$`.
fn parse_line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    let value = value.trim();
    let quoted = ['"', '\''].iter().find_map(|quote| {
        value
            .strip_prefix(*quote)?
            .split_once(*quote)
            .map(|(inside, _)| inside)
    });
    let plain = value.split(" #").next().unwrap_or_default().trim_end();
    Some((name.trim().to_owned(), quoted.unwrap_or(plain).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_literal_value() {
        let line = |text| parse_line(text).map(|(name, value)| format!("{name}|{value}"));
        assert_eq!(
            line("MONGO_URI=mongodb://a:p$x@h # db"),
            Some("MONGO_URI|mongodb://a:p$x@h".into())
        );
        assert_eq!(line("export A=\"b # c\" # d"), Some("A|b # c".into()));
        assert_eq!(line("# A=b"), None);
        assert_eq!(line(""), None);
    }

    #[test]
    fn a_variable_takes_the_place_of_every_source_of_its_secret() {
        let mut table: Table = "[store]\nuri_file = \"/x\"".parse().unwrap();
        set(&mut table, "store", "uri", "mongodb://h").unwrap();
        assert_eq!(table["store"].as_table().unwrap().len(), 1);
        set(&mut table, "enrich", "retention__low", "90 d").unwrap();
        assert_eq!(table["enrich"]["retention"]["low"].as_str(), Some("90 d"));
    }
}
