//! The managers whose inventory is read: that of `[wazuh_api]` itself, if it has an address, and one
//! for each `[wazuh_api.managers.NAME]`. What such a section does not say is as in `[wazuh_api]`.

use toml::{Table, Value};

use super::{Fault, is_name, section};
use crate::wazuh_api;

/// A manager, or a cluster of them.
#[derive(Debug, Clone)]
pub struct Manager {
    /// Its name among several, `_site` of all that comes from it.
    pub site: String,
    /// How it is reached.
    pub api: wazuh_api::Settings,
}

const SECTION: &str = "wazuh_api";
const MANAGERS: &str = "managers";
/// What each manager has of its own.
const OWN: [&str; 2] = ["url", "site"];
/// Ways to name the same secret: who names one of them does not inherit another.
const PASSWORDS: [&str; 3] = ["password", "password_file", "password_command"];

/// Takes the sections of the managers out of `[wazuh_api]`.
pub(super) fn take(table: &mut Table) -> Result<Vec<Manager>, Fault> {
    let Some(Value::Table(general)) = table.get_mut(SECTION) else {
        return Ok(Vec::new());
    };
    let Some(managers) = general.remove(MANAGERS) else {
        return Ok(Vec::new());
    };
    let Value::Table(managers) = managers else {
        let why = "`managers` has to be sections: [wazuh_api.managers.NAME]";
        return Err(Fault(format!("[{SECTION}] {why}")));
    };
    let one = |(name, own)| manager(general, name, own);
    managers.into_iter().map(one).collect()
}

fn manager(general: &Table, name: String, own: Value) -> Result<Manager, Fault> {
    let place = format!("{SECTION}.{MANAGERS}.{name}");
    let Value::Table(mut own) = own else {
        return Err(Fault(format!("`{place}` has to be a section: [{place}]")));
    };
    let site = match own.remove("site") {
        None => name,
        Some(Value::String(site)) => site,
        Some(_) => return Err(Fault(format!("[{place}] site: a name is wanted"))),
    };
    if !is_name(&site) {
        let why = "a name is wanted, up to 64 characters";
        return Err(Fault(format!("[{place}] site: {why}")));
    }
    let has_password = PASSWORDS.iter().any(|name| own.contains_key(*name));
    for (key, value) in general {
        let is_its_own = OWN.contains(&key.as_str())
            || own.contains_key(key)
            || has_password && PASSWORDS.contains(&key.as_str());
        if !is_its_own {
            own.insert(key.clone(), value.clone());
        }
    }
    let mut whole = Table::from_iter([(place.clone(), Value::Table(own))]);
    let api: wazuh_api::Settings = section::take(&mut whole, &place)?;
    if !api.is_configured() {
        let why = "no address; write for example url = \"https://wazuh.example:55000\"";
        return Err(Fault(format!("[{place}] url: {why}")));
    }
    Ok(Manager { site, api })
}

/// Two managers of one site would each take the other's agents for vanished.
pub(super) fn refuse_twins(managers: &[Manager]) -> Result<(), Fault> {
    for (place, manager) in managers.iter().enumerate() {
        let site = &manager.site;
        if managers.iter().take(place).any(|other| other.site == *site) {
            return Err(Fault(format!(
                "[{SECTION}.{MANAGERS}] two managers have the site `{site}`; give each its own, or list the ways to one cluster in one url"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<Vec<Manager>, Fault> {
        take(&mut text.parse().unwrap())
    }

    const GENERAL: &str = "[wazuh_api]\nurl = \"https://a\"\nuser = \"ann\"\npassword = \"x\"\nread_timeout = \"7 s\"\n";

    #[test]
    fn a_manager_inherits_what_it_does_not_say() {
        let text = format!(
            "{GENERAL}[wazuh_api.managers.paris]\nurl = \"https://b\"\npassword_file = \"/b\"\n\
             [wazuh_api.managers.rome]\nurl = \"https://c, https://d\"\nuser = \"rob\"\nsite = \"Roma 1\"\n"
        );
        let managers = taken(&text).unwrap();
        let sites: Vec<_> = managers.iter().map(|one| one.site.as_str()).collect();
        assert_eq!(sites, ["paris", "Roma 1"]);
        let (paris, rome) = (&managers[0].api, &managers[1].api);
        assert_eq!(paris.url.0, ["https://b"]);
        assert_eq!(paris.user.as_deref(), Some("ann"));
        assert!(paris.password.is_none() && paris.password_file.is_some());
        assert_eq!(paris.read_timeout, rome.read_timeout);
        assert_eq!(rome.url.0.len(), 2);
        assert_eq!(rome.password.as_ref().unwrap().expose(), "x");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_section() {
        let refused = |more: &str| taken(&format!("{GENERAL}{more}")).unwrap_err().0;
        let fault = refused("[wazuh_api.managers.paris]\nuser = \"x\"\n");
        assert!(fault.contains("[wazuh_api.managers.paris] url"), "{fault}");
        let fault = refused("[wazuh_api.managers.paris]\nurl = \"https://b\"\nuzer = \"x\"\n");
        assert!(
            fault.contains("managers.paris") && fault.contains("`user`"),
            "{fault}"
        );
        let fault = refused("managers = 7\n");
        assert!(fault.contains("[wazuh_api.managers.NAME]"), "{fault}");
    }
}
