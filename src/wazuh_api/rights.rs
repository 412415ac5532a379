//! What the user may do: `/security/users/me/policies`, which everyone may ask. Wazuh does not refuse
//! a list of agents to somebody who may not see them: it is empty, or shorter.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The user's policies, as Wazuh has put them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// By action, then resource; whether it is allowed.
    policies: BTreeMap<String, BTreeMap<String, bool>>,
    /// `rbac_mode: black`: what is not forbidden is allowed.
    black: bool,
}

/// How far one right goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Every agent.
    All,
    /// Only these resources, `agent:group:windows`.
    Some(Vec<String>),
    /// None.
    None,
}

impl Rights {
    /// From the answer's `data`.
    pub(super) fn read(data: &Value) -> Self {
        let empty = Map::new();
        let all = data.as_object().unwrap_or(&empty);
        let resources = |value: &Value| -> Option<BTreeMap<String, bool>> {
            let resources = value.as_object()?.iter();
            Some(
                resources
                    .map(|(name, effect)| (name.clone(), effect == "allow"))
                    .collect(),
            )
        };
        let policies = all
            .iter()
            .filter_map(|(action, value)| Some((action.clone(), resources(value)?)));
        Self {
            policies: policies.collect(),
            black: all.get("rbac_mode").is_some_and(|mode| mode == "black"),
        }
    }

    /// On which agents this action (`syscheck:read`) is allowed.
    pub fn reach(&self, action: &str) -> Reach {
        let Some(resources) = self.policies.get(action) else {
            return if self.black { Reach::All } else { Reach::None };
        };
        let is_all = |name: &str| matches!(name, "agent:id:*" | "*:*:*" | "agent:group:*");
        let denied = resources.values().any(|allowed| !allowed);
        let mut allowed = resources
            .iter()
            .filter(|(_, allowed)| **allowed)
            .map(|(name, _)| name);
        // An agent may be in no group: only the first two are really all.
        let whole = resources
            .iter()
            .any(|(name, allowed)| *allowed && is_all(name) && name != "agent:group:*");
        match (whole || self.black, denied) {
            (true, false) => Reach::All,
            _ => match allowed.next() {
                None if !(self.black && denied) => Reach::None,
                first => Reach::Some(first.into_iter().chain(allowed).cloned().collect()),
            },
        }
    }

    /// Actions that do more than read, which nobody needs here.
    pub fn excess(&self) -> Vec<&str> {
        let reads = |action: &str| {
            let verb = action.rsplit(':').next().unwrap_or_default();
            verb == "status" || verb.starts_with("read")
        };
        let all = self.policies.iter();
        let granted = all.filter(|(_, resources)| resources.values().any(|allowed| *allowed));
        granted
            .map(|(action, _)| action.as_str())
            .filter(|action| !reads(action))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reach(policies: &Value) -> Reach {
        Rights::read(policies).reach("agent:read")
    }

    #[test]
    fn the_reach_of_a_right_is_all_some_or_none() {
        let allow =
            |resource: &str| json!({ "agent:read": { resource: "allow" }, "rbac_mode": "white" });
        assert_eq!(reach(&allow("agent:id:*")), Reach::All);
        let group = "agent:group:windows";
        assert_eq!(reach(&allow(group)), Reach::Some(vec![group.to_owned()]));
        assert_eq!(reach(&json!({ "rbac_mode": "white" })), Reach::None);
        assert_eq!(
            reach(&json!({ "agent:read": { "agent:id:*": "deny" } })),
            Reach::None
        );
        let but = json!({ "agent:read": { "agent:id:*": "allow", "agent:id:004": "deny" } });
        assert_ne!(reach(&but), Reach::All);
        assert_eq!(reach(&json!({ "rbac_mode": "black" })), Reach::All);
        assert_eq!(reach(&Value::Null), Reach::None);
    }

    #[test]
    fn more_than_reading_is_named() {
        let policies = json!({
            "agent:read": { "agent:id:*": "allow" },
            "agent:delete": { "agent:id:*": "allow" },
            "cluster:status": { "*:*:*": "allow" },
            "security:read_config": { "*:*:*": "allow" },
            "rbac_mode": "white",
        });
        assert_eq!(Rights::read(&policies).excess(), ["agent:delete"]);
    }
}
