//! What the login may do, as the server lists it (`connectionStatus`), so that nothing has to be
//! written to find out.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::{Error, Store, command, refusal};

/// Something that a way of working needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need<'a> {
    /// The collection.
    pub collection: &'a str,
    /// MongoDB's name of the action.
    pub action: &'a str,
}

impl Store {
    /// Which of these the login may not do; none where nobody has to log in.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn lacking<'a>(
        &self,
        needs: &[Need<'a>],
        within: Duration,
    ) -> Result<Vec<Need<'a>>, Error> {
        let database = self.database();
        let work = async {
            let ask = doc! { "connectionStatus": 1, "showPrivileges": true };
            let status = command::run(&database, ask).await;
            status.map_err(|error| refusal::sort(&error))
        };
        let status = self.limit(within, work)?;
        let granted = granted(&status);
        let lacks = |need: &&Need<'a>| match &granted {
            None => false,
            Some(all) => !all.iter().any(|one| grants(one, &self.database, need)),
        };
        Ok(needs.iter().filter(lacks).copied().collect())
    }
}

/// None if nobody is logged in: without access control the server lists neither users nor privileges.
fn granted(status: &Document) -> Option<Vec<&Document>> {
    let login = status.get_document("authInfo").ok()?;
    let users = login.get_array("authenticatedUsers").ok()?;
    if users.is_empty() {
        return None;
    }
    let privileges = login.get_array("authenticatedUserPrivileges");
    let privileges = privileges.map(Vec::as_slice).unwrap_or_default().iter();
    Some(privileges.filter_map(|one| one.as_document()).collect())
}

fn grants(privilege: &Document, database: &str, need: &Need<'_>) -> bool {
    let actions = privilege.get_array("actions");
    let acts = actions.is_ok_and(|actions| {
        let mut actions = actions.iter().filter_map(|action| action.as_str());
        actions.any(|action| action == need.action || action == "anyAction")
    });
    let Ok(resource) = privilege.get_document("resource") else {
        return false;
    };
    // An empty name stands for any.
    let covers = |key: &str, name: &str| {
        let granted = resource.get_str(key);
        granted.is_ok_and(|granted| granted.is_empty() || granted == name)
    };
    let any = resource.get_bool("anyResource").unwrap_or(false);
    acts && (any || covers("db", database) && covers("collection", need.collection))
}
