//! What the query of a request asks of a list: filter, order, fields, page.

use super::http::{Answer, Request};
use super::json::Json;

/// The parameters that every list takes, and those of some.
const KNOWN: [&str; 16] = [
    "offset",
    "limit",
    "sort",
    "select",
    "search",
    "q",
    "pretty",
    "wait_for_complete",
    "distinct",
    "status",
    "agents_list",
    "type",
    "name",
    "arch",
    "file",
    "raw",
];

pub struct Query {
    pub offset: usize,
    pub limit: usize,
    /// Field, and whether the order is the reverse one.
    pub sort: Vec<(String, bool)>,
    pub select: Vec<String>,
    filter: Vec<Vec<Term>>,
    status: Vec<String>,
    kind: Option<String>,
    pub agents: Option<Vec<String>>,
    /// All that decides which rows there are and how they look: the key of a cache.
    pub view: String,
}

struct Term {
    field: String,
    operator: char,
    value: String,
}

fn bad(detail: &str, error: Option<i64>) -> Answer {
    Answer::problem(400, "Bad Request", detail, error)
}

impl Query {
    /// `knows` says which fields the list has.
    pub fn read(request: &Request, knows: impl Fn(&str) -> bool) -> Result<Self, Answer> {
        for (name, _) in request.query() {
            if !KNOWN.contains(&name.as_str()) {
                let detail = format!("Extra query parameter(s) {name} not in spec");
                return Err(bad(&detail, None));
            }
        }
        let text = |name: &str| request.parameter(name).unwrap_or_default();
        let list = |name: &str| -> Vec<String> {
            let text = text(name);
            let items = text.split(',').filter(|item| !item.is_empty());
            items.map(str::to_owned).collect()
        };
        let sort: Vec<_> = list("sort").iter().map(|field| direction(field)).collect();
        if let Some((field, _)) = sort.iter().find(|(field, _)| !knows(field)) {
            let detail = format!("Not a valid sort field: Allowed sort fields: …. Fields: {field}");
            return Err(bad(&detail, Some(1403)));
        }
        let select = list("select");
        if let Some(field) = select.iter().find(|field| !knows(field)) {
            let detail =
                format!("Not a valid select field: Allowed select fields: …. Fields: {field}");
            return Err(bad(&detail, Some(1724)));
        }
        let (offset, limit) = (
            number(request, "offset", 0)?,
            number(request, "limit", 500)?,
        );
        if !(1..=100_000).contains(&limit) {
            let detail = format!("{limit} is not a limit between 1 and 100000");
            return Err(bad(&detail, None));
        }
        let agents = request
            .parameter("agents_list")
            .map(|_| list("agents_list"));
        Ok(Self {
            offset,
            limit,
            filter: filter(&text("q"), knows)?,
            status: list("status"),
            kind: request.parameter("type"),
            agents,
            view: format!(
                "{}|{}|{}|{}|{}",
                text("sort"),
                text("select"),
                text("q"),
                text("status"),
                text("type")
            ),
            sort,
            select,
        })
    }

    /// The rows that are asked for, in order, with only the fields asked for.
    pub fn apply(&self, mut rows: Vec<Json>, always: &str) -> Vec<Json> {
        rows.retain(|row| self.wants(row));
        rows.sort_by(|one, other| {
            let compare = |(field, reverse): &(String, bool)| {
                let order = Json::order(one.at(field), other.at(field));
                if *reverse { order.reverse() } else { order }
            };
            let mut fields = self.sort.iter().map(compare);
            fields
                .find(|order| order.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        if self.select.is_empty() {
            return rows;
        }
        rows.iter().map(|row| self.pick(row, always)).collect()
    }

    fn pick(&self, row: &Json, always: &str) -> Json {
        let mut picked = Json::Object(Vec::new());
        for field in self.select.iter().map(String::as_str).chain([always]) {
            if let Some(value) = row.at(field) {
                picked.set(field, value.clone());
            }
        }
        picked
    }

    fn wants(&self, row: &Json) -> bool {
        let is =
            |field: &str, wanted: &String| row.at(field).and_then(Json::as_text) == Some(wanted);
        let status = self.status.is_empty() || self.status.iter().any(|one| is("status", one));
        let kind = self.kind.iter().all(|kind| is("type", kind));
        let listed = self.agents.as_ref();
        let listed =
            listed.is_none_or(|ids| ids.iter().any(|id| is("id", id) || row.at("id").is_none()));
        let any = |any: &Vec<Term>| any.iter().any(|term| term.holds(row));
        status && kind && listed && self.filter.iter().all(any)
    }
}

impl Term {
    fn holds(&self, row: &Json) -> bool {
        let text = match row.at(&self.field) {
            Some(Json::Text(text)) => text.clone(),
            Some(Json::List(items)) => {
                let mut items = items.iter().filter_map(Json::as_text);
                return items.any(|item| item == self.value) == (self.operator == '=');
            }
            Some(other) => other.to_string(),
            None => return self.operator == '!',
        };
        // Times end in +00:00 or Z, whoever writes them.
        let plain = |time: &str| {
            time.trim_end_matches("+00:00")
                .trim_end_matches('Z')
                .to_lowercase()
        };
        let (text, value) = (plain(&text), plain(&self.value));
        let numbers = text.parse::<i64>().ok().zip(value.parse::<i64>().ok());
        let order = numbers.map_or_else(|| text.cmp(&value), |(one, other)| one.cmp(&other));
        match self.operator {
            '=' => order.is_eq(),
            '!' => order.is_ne(),
            '<' => order.is_lt(),
            '>' => order.is_gt(),
            _ => text.contains(&value),
        }
    }
}

fn direction(field: &str) -> (String, bool) {
    let field = field.trim_start_matches([' ', '+']);
    let reverse = field.strip_prefix('-');
    (reverse.unwrap_or(field).to_owned(), reverse.is_some())
}

fn number(request: &Request, name: &str, default: usize) -> Result<usize, Answer> {
    let Some(text) = request.parameter(name) else {
        return Ok(default);
    };
    let fault = || {
        bad(
            &format!("'{text}' is not of type 'integer' - '{name}'"),
            None,
        )
    };
    text.parse().map_err(|_| fault())
}

/// `a=1;b!=2,c>3`: a semicolon is AND, a comma is OR.
fn filter(q: &str, knows: impl Fn(&str) -> bool) -> Result<Vec<Vec<Term>>, Answer> {
    let all = q.split(';').filter(|part| !part.is_empty());
    all.map(|any| any.split(',').map(|term| read_term(term, &knows)).collect())
        .collect()
}

fn read_term(text: &str, knows: impl Fn(&str) -> bool) -> Result<Term, Answer> {
    let at = text.find(['=', '!', '<', '>', '~']);
    let Some((field, rest)) = at.and_then(|at| text.split_at_checked(at)) else {
        return Err(bad(
            "Parameters query not valid: the syntax is wrong",
            Some(1407),
        ));
    };
    if !knows(field) {
        let detail = format!("Parameter query field is not valid: {field}");
        return Err(bad(&detail, Some(1408)));
    }
    let operator = rest.chars().next().unwrap_or('=');
    let value = rest
        .trim_start_matches("!=")
        .trim_start_matches(['=', '<', '>', '~']);
    Ok(Term {
        field: field.to_owned(),
        operator,
        value: value.to_owned(),
    })
}
