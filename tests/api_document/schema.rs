//! As much of JSON Schema as the document of the API uses.

use serde_json::Value;

pub(crate) fn resolve<'a>(value: &'a Value, document: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

/// As much of JSON Schema as the document uses. A text is a number if it reads as one, since a query
/// has only texts.
pub(crate) fn fits(schema: &Value, value: &Value, document: &Value) -> Result<(), String> {
    let schema = resolve(schema, document);
    let fault = |what: &str| Err(format!("{value} is not as {what} says: {schema}"));
    if let Some(wanted) = schema.get("const")
        && wanted != value
    {
        return fault("const");
    }
    if let Some(all) = schema["enum"].as_array()
        && !all.contains(value)
    {
        return fault("enum");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let number = value.as_i64().or_else(|| {
        value
            .as_str()
            .filter(|text| !text.starts_with('+'))?
            .parse()
            .ok()
    });
    let is = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        // An empty value counts as none.
        "integer" => number.is_some() || value == "",
        other => panic!("type {other}"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        return fault("type");
    }
    if let Some(number) = number.filter(|_| types.contains(&"integer")) {
        let low = schema["minimum"]
            .as_i64()
            .is_some_and(|least| number < least);
        let high = schema["maximum"].as_i64().is_some_and(|most| number > most);
        if low || high {
            return fault("minimum or maximum");
        }
    }
    if let Some(text) = value.as_str() {
        fits_text(schema, text)?;
    }
    fits_inside(schema, value, document)
}

fn fits_text(schema: &Value, text: &str) -> Result<(), String> {
    let length = u64::try_from(text.chars().count()).unwrap();
    let long = schema["maxLength"]
        .as_u64()
        .is_some_and(|most| length > most);
    let short = schema["minLength"]
        .as_u64()
        .is_some_and(|least| length < least);
    let pattern = schema["pattern"].as_str();
    let other =
        pattern.is_some_and(|pattern| !regex_lite::Regex::new(pattern).unwrap().is_match(text));
    if long || short || other || text.contains('\0') {
        return Err(format!("{text:?} is not as {schema} says"));
    }
    Ok(())
}

fn fits_inside(schema: &Value, value: &Value, document: &Value) -> Result<(), String> {
    let fault = |what: &str| Err(format!("{value}: {what} in {schema}"));
    let named = schema["properties"].as_object();
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return fault(&format!("required {name}"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        match named.and_then(|named| named.get(name)) {
            Some(schema) => fits(schema, inner, document)?,
            None if schema["additionalProperties"] == false => return fault(&format!("no {name}")),
            None => {}
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        if schema.get("items").is_some() {
            fits(&schema["items"], inner, document)?;
        }
    }
    Ok(())
}
