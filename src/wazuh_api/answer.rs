//! Wazuh's envelope, and what each status means. HTTP says 200 also when every item has failed, and a
//! page that failed must never be taken for an empty one.

mod surrogates;

use serde_json::{Map, Value};

use super::error::{Error, Fault};

/// The answer to one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// `affected_items`; those of a list are objects.
    pub items: Vec<Map<String, Value>>,
    /// `failed_items`: what could not be answered.
    pub failed: Vec<Failed>,
    /// `total_affected_items`: how many there are without paging.
    pub total: u64,
    /// `data` of an answer that has no `affected_items`; else null.
    pub data: Value,
}

/// Agents that one error befell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Wazuh's number for it: 1701 is an agent that does not exist.
    pub code: i64,
    /// Wazuh's words for it.
    pub message: String,
    /// The agents.
    pub ids: Vec<String>,
}

/// What came over the wire.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// An agent that does not exist.
const NO_AGENT: i64 = 1701;
const NO_DATABASE: i64 = 2007;
const TIMEOUT: i64 = 3021;
const BLOCKED: i64 = 6000;

/// Reads the answer to a GET of `path`.
pub(super) fn read(path: &str, reply: &Reply) -> Result<Answer, Fault> {
    if reply.status != 200 {
        return Err(refuse(path, reply));
    }
    let broken = |why: &str| Fault::Transient(format!("{path}: {why}; is this Wazuh's API?"));
    let body = parse(&reply.body).ok_or_else(|| broken("the answer is not JSON"))?;
    let Value::Object(mut body) = body else {
        return Err(broken("the answer is no object"));
    };
    let Some(data) = body.remove("data") else {
        return Err(broken("the answer has no `data`"));
    };
    let answer = unpack(data).map_err(broken)?;
    let gone = answer.items.is_empty() && !answer.failed.is_empty();
    if gone && answer.failed.iter().all(|failed| failed.code == NO_AGENT) {
        let why = format!("{path}: {}", describe(&answer.failed));
        return Err(Error::NoDatabase(why).into());
    }
    Ok(answer)
}

fn parse(body: &[u8]) -> Option<Value> {
    let whole = serde_json::from_slice(body).ok();
    whole.or_else(|| serde_json::from_slice(&surrogates::replaced(body)?).ok())
}

/// Says what is odd about it: a row that is lost here would look as if it had been removed.
fn unpack(data: Value) -> Result<Answer, &'static str> {
    let mut fields = match data {
        Value::Object(fields) if fields.contains_key("affected_items") => fields,
        data => {
            return Ok(Answer {
                data,
                ..Answer::default()
            });
        }
    };
    let Some(Value::Array(items)) = fields.remove("affected_items") else {
        return Err("its `affected_items` are no list");
    };
    let object = |item| match item {
        Value::Object(fields) => Ok(fields),
        _ => Err("one of its `affected_items` is no object"),
    };
    let total = fields.get("total_affected_items").and_then(Value::as_u64);
    let failed = fields.get("failed_items").and_then(Value::as_array);
    Ok(Answer {
        items: items.into_iter().map(object).collect::<Result<_, _>>()?,
        failed: failed.into_iter().flatten().map(read_failed).collect(),
        total: total.ok_or("it has no `total_affected_items`")?,
        data: Value::Null,
    })
}

fn read_failed(failed: &Value) -> Failed {
    let error = failed.get("error");
    let message = error
        .and_then(|error| error.get("message"))
        .and_then(Value::as_str);
    let ids = failed.get("id").and_then(Value::as_array);
    let texts = ids.into_iter().flatten().filter_map(Value::as_str);
    Failed {
        code: error
            .and_then(|error| error.get("code"))
            .and_then(Value::as_i64)
            .unwrap_or(0),
        message: plain(message.unwrap_or_default()),
        ids: texts.map(str::to_owned).collect(),
    }
}

/// What failed, in a line.
pub(super) fn describe(failed: &[Failed]) -> String {
    let one = |failed: &Failed| {
        let ids = failed
            .ids
            .iter()
            .take(5)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        format!("{} ({}) for {ids}", failed.message, failed.code)
    };
    failed
        .iter()
        .take(3)
        .map(one)
        .collect::<Vec<_>>()
        .join("; ")
}

/// What a status other than 200 means.
pub(super) fn refuse(path: &str, reply: &Reply) -> Fault {
    let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = problem.get("error").and_then(Value::as_i64).unwrap_or(0);
    let detail = problem
        .get("detail")
        .or(problem.get("title"))
        .and_then(Value::as_str);
    let detail = plain(detail.unwrap_or("without a reason that Wazuh would give"));
    let status = reply.status;
    let number = if code == 0 {
        String::new()
    } else {
        format!("/{code}")
    };
    let why = format!("{path}: {status}{number} {detail}");
    match (status, code) {
        (400, NO_DATABASE) => Error::NoDatabase(why).into(),
        (401, _) => Fault::Unauthorized(why),
        (403, BLOCKED) => Error::BadLogin(why).into(),
        (403, _) => Error::Forbidden(why).into(),
        (404, _) => Error::Absent(why).into(),
        (429, _) => Fault::Limited,
        (500, TIMEOUT) => Fault::TooLarge(why),
        (500.., _) => Fault::Transient(why),
        (300..400, _) => Error::Settings(format!(
            "{path}: the server sends us elsewhere ({status}); is wazuh_api.url right?"
        ))
        .into(),
        _ => Error::Refused(why).into(),
    }
}

/// A line that others wrote, as one line of bounded length.
fn plain(text: &str) -> String {
    let letters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    letters.take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            body: body.as_bytes().to_vec(),
        }
    }

    fn refusal(status: u16, body: &str) -> Fault {
        read("/agents", &reply(status, body)).unwrap_err()
    }

    fn list(items: &str, total: u64, failed: &str, error: u8) -> String {
        format!(
            r#"{{"data":{{"affected_items":[{items}],"total_affected_items":{total},"total_failed_items":0,"failed_items":[{failed}]}},"message":"m","error":{error}}}"#
        )
    }

    const GONE: &str = r#"{"error":{"code":1701,"message":"Agent does not exist","remediation":"r"},"id":["99999"]}"#;

    #[test]
    fn items_failures_and_totals_are_taken_apart() {
        let answer = read(
            "/agents",
            &reply(200, &list(r#"{"id":"004"}"#, 604, GONE, 2)),
        )
        .unwrap();
        assert_eq!((answer.items.len(), answer.total), (1, 604));
        assert_eq!(answer.items[0]["id"], "004");
        assert_eq!(answer.failed[0].code, 1701);
        assert_eq!(answer.failed[0].ids, ["99999"]);
        let plain = r#"{"data":{"agent:read":{"agent:id:*":"allow"}},"message":"m","error":0}"#;
        let answer = read("/x", &reply(200, plain)).unwrap();
        assert_eq!(answer.data["agent:read"]["agent:id:*"], "allow");
        assert!(answer.items.is_empty());
    }

    #[test]
    fn an_agent_that_is_gone_is_not_an_empty_answer() {
        let fault = refusal(200, &list("", 0, GONE, 1));
        assert!(
            matches!(fault, Fault::Final(Error::NoDatabase(_))),
            "{fault:?}"
        );
        let never =
            r#"{"title":"Bad Request","detail":"There is no database for agent 007","error":2007}"#;
        let fault = refusal(400, never);
        assert!(
            matches!(fault, Fault::Final(Error::NoDatabase(_))),
            "{fault:?}"
        );
        let down = GONE.replace("1701", "3022");
        let answer = read("/agents", &reply(200, &list("", 0, &down, 1))).unwrap();
        assert_eq!(answer.failed[0].code, 3022);
    }

    #[test]
    fn every_status_has_its_meaning() {
        let problem = |code: i64| format!(r#"{{"title":"t","detail":"d","error":{code}}}"#);
        let said = |status, code| format!("{:?}", refusal(status, &problem(code)));
        for (status, code, meaning) in [
            (400, 1403, "Final(Refused"),
            (403, 4000, "Final(Forbidden"),
            (403, 6000, "Final(BadLogin"),
            (404, 1122, "Final(Absent"),
            (404, 0, "Final(Absent"),
            (413, 0, "Final(Refused"),
            (429, 6001, "Limited"),
            (401, 0, "Unauthorized"),
            (500, 1017, "Transient"),
            (500, 3021, "TooLarge"),
            (502, 0, "Transient"),
            (302, 0, "Final(Settings"),
        ] {
            assert!(
                said(status, code).starts_with(meaning),
                "{status}/{code}: {}",
                said(status, code)
            );
        }
    }

    #[test]
    fn what_is_not_wazuhs_is_not_believed() {
        for body in [
            "<html>",
            "[]",
            "{}",
            r#"{"data":{"affected_items":[]}}"#,
            r#"{"data":{"affected_items":{},"total_affected_items":1}}"#,
            r#"{"data":{"affected_items":["004"],"total_affected_items":1}}"#,
            "",
        ] {
            assert!(matches!(refusal(200, body), Fault::Transient(_)), "{body}");
        }
    }

    #[test]
    fn what_others_wrote_stays_one_line() {
        let body = format!(r#"{{"detail":"a\nb{}"}}"#, "x".repeat(1_000));
        let Fault::Transient(why) = refusal(500, &body) else {
            panic!("another meaning")
        };
        assert!(!why.contains('\n') && why.len() < 400, "{why}");
    }
}
