//! Reads a room's section, and names the key at which that fails.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Fault, suggestion};

/// Takes the section out of the table; its defaults if it is not there.
pub(super) fn take<T: for<'de> Deserialize<'de> + Default>(
    table: &mut Table,
    name: &str,
) -> Result<T, Fault> {
    let Some(value) = table.remove(name) else {
        return Ok(T::default());
    };
    let Value::Table(section) = value else {
        return Err(Fault(format!("`{name}` has to be a section: [{name}]")));
    };
    let read = |table: Table| {
        table
            .try_into::<T>()
            .map_err(|why| suggestion::explain(&why))
    };
    read(section.clone()).map_err(|why| {
        let way = way(&section, &why, &|table| read(table).err());
        Fault(placed(name, &way, &why))
    })
}

/// The keys and values, from the outside in, that give the same fault if nothing stands beside them.
fn way<'a>(
    section: &'a Table,
    why: &str,
    fault: &dyn Fn(Table) -> Option<String>,
) -> Vec<(&'a str, &'a Value)> {
    // What is missing is the fault of no value, only of the section that should have it.
    let is_missing = why.ends_with("is missing");
    let found = section.iter().find(|(key, value)| {
        let alone = Table::from_iter([((*key).clone(), (*value).clone())]);
        (value.is_table() || !is_missing) && fault(alone).as_deref() == Some(why)
    });
    let Some((key, value)) = found else {
        return Vec::new();
    };
    let inside = |table| fault(Table::from_iter([(key.clone(), Value::Table(table))]));
    let further = value.as_table().map(|inner| way(inner, why, &inside));
    let own = std::iter::once((key.as_str(), value));
    own.chain(further.unwrap_or_default()).collect()
}

/// `[section.inner] key: why`; without the key if the fault itself names it.
fn placed(name: &str, way: &[(&str, &Value)], why: &str) -> String {
    let (mut section, mut named) = (name.to_owned(), String::new());
    for (key, value) in way {
        if value.is_table() {
            section = format!("{section}.{key}");
        } else if !why.contains(&format!("`{key}`")) {
            named = format!("{key}: ");
        }
    }
    format!("[{section}] {named}{why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::enrich;
    use crate::{filter, serve};

    fn fault<T: for<'de> Deserialize<'de> + Default + std::fmt::Debug>(text: &str) -> String {
        let mut table: Table = text.parse().unwrap();
        let name = table.keys().next().unwrap().clone();
        take::<T>(&mut table, &name).unwrap_err().0
    }

    #[test]
    fn the_innermost_key_is_named_and_once() {
        let low = fault::<enrich::Settings>("[enrich.retention]\nhigh = \"1 y\"\nlow = \"x\"");
        assert!(
            low.starts_with("[enrich.retention] low: `x` is not"),
            "{low}"
        );
        let unknown = fault::<enrich::Settings>("[enrich.retention]\nlo = \"9 d\"");
        assert_eq!(
            unknown,
            "[enrich.retention] unknown key `lo`; did you mean `low`?"
        );
        let level = fault::<filter::Settings>("[filter]\nlevel = 17");
        assert!(level.starts_with("[filter] level: a rule.level"), "{level}");
        let label = fault::<enrich::Settings>("[enrich.labels.\"*\"]\nsite = 7");
        assert!(label.starts_with("[enrich.labels.*] site: "), "{label}");
    }

    #[test]
    fn what_is_missing_is_said_of_its_section() {
        let scope = fault::<serve::Settings>("[serve.tokens.soc]\nhash = \"x\"");
        assert_eq!(scope, "[serve.tokens.soc] `scope` is missing");
        let hash = fault::<serve::Settings>("[serve.tokens.soc]\nscope = \"read\"");
        assert_eq!(hash, "[serve.tokens.soc] `hash` is missing");
        let hash = fault::<serve::Settings>("[serve.tokens.soc]\nhash = 7\nscope = \"read\"");
        assert!(hash.starts_with("[serve.tokens.soc] hash: "), "{hash}");
    }
}
