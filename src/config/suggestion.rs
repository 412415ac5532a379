//! Turns serde's words for a wrong key into ours, with the nearest key that is known.

/// The line for an unknown key.
pub(super) fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> String {
    let distance = |known: &&str| strsim::damerau_levenshtein(key, known);
    let nearest = known.min_by_key(distance);
    match nearest {
        Some(nearest) if distance(&nearest) <= 3.min(key.len() / 2) => {
            format!("unknown key `{key}`; did you mean `{nearest}`?")
        }
        _ => format!("unknown key `{key}`; see the annotated sample of custom-mongo.toml"),
    }
}

/// serde says: unknown field `a`, expected one of `b`, `c` (or: expected `b`); missing field `a`.
pub(super) fn explain(error: &toml::de::Error) -> String {
    let message = error.message().lines().next().unwrap_or_default();
    if let Some(key) = message.strip_prefix("missing field ") {
        return format!("{key} is missing");
    }
    if !message.starts_with("unknown field") {
        return message.to_owned();
    }
    let mut names = message.split('`').skip(1).step_by(2);
    match names.next() {
        Some(key) => unknown(key, names),
        None => message.to_owned(),
    }
}
