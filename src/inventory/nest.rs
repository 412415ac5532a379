//! Dotted names become nested documents: the server sends `process.pid` flat or nested by how many
//! of its neighbours have a value, and MongoDB cannot ask for a name with a dot.

use serde_json::Value;

use super::Row;

/// The row with every dotted name at its top as a nested document.
pub(super) fn nested(row: Row) -> Row {
    if !row.keys().any(|name| name.contains('.')) {
        return row;
    }
    let (dotted, mut out): (Vec<_>, Vec<_>) =
        row.into_iter().partition(|(name, _)| name.contains('.'));
    let mut out: Row = out.drain(..).collect();
    for (name, value) in dotted {
        if let Err(value) = insert(&mut out, &name, value) {
            // A scalar stands where the branch would begin: both are kept.
            out.insert(name.replace('.', "_"), value);
        }
    }
    out
}

/// The value under a dotted path, nested or flat.
pub(super) fn field<'a>(row: &'a Row, path: &str) -> Option<&'a Value> {
    if let Some(value) = row.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    field(row.get(first)?.as_object()?, rest)
}

fn insert(into: &mut Row, path: &str, value: Value) -> Result<(), Value> {
    let Some((first, rest)) = path.split_once('.') else {
        into.entry(path).or_insert(value);
        return Ok(());
    };
    let branch = into
        .entry(first)
        .or_insert_with(|| Value::Object(Row::new()));
    match branch {
        Value::Object(branch) => insert(branch, rest, value),
        _ => Err(value),
    }
}
