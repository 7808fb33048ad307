//! `${NAME}`, `${NAME:-default}`, `${NAME:?message}` in any scalar of the configuration; `$${` is a `${` that is meant.

/// Replaces each form in `text`, which then has at most `most` bytes; nothing if there is none.
///
/// # Errors
/// What a person has to set, or how the form is written.
pub(super) fn expand(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    most: usize,
) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, inside) = (&rest[..start], &rest[start + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = inside;
            continue;
        }
        expanded.push_str(before);
        let end = inside.find('}').ok_or("`${` without its `}`; where it is meant as it stands, write `$${`")?;
        expanded.push_str(&value_of(&inside[..end], variable)?);
        rest = &inside[end + 1..];
        if expanded.len() + rest.len() > most {
            return Err("`${…}` make the file too long: some variable holds too much".to_owned());
        }
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

fn value_of(form: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, otherwise) = form.split_once(':').map_or((form, None), |(name, otherwise)| (name, Some(otherwise)));
    let named = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !named || name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        // What stands there may be a part of a secret.
        return Err("a `${…}` does not name a variable: letters, digits and _ only".to_owned());
    }
    let set = variable(name);
    match otherwise.map(|text| (text.get(..1), text.get(1..).unwrap_or_default())) {
        None => set.ok_or_else(|| {
            format!("the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        }),
        Some((Some("-"), default)) => Ok(set.filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())),
        Some((Some("?"), message)) => set
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("the environment variable {name} is not set: {message}")),
        // What was meant for a default may be a secret.
        Some(_) => Err(format!("`${{{name}:…}}`: after the `:` comes `-default` or `?message`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let environment = |name: &str| match name {
            "HOST" => Some("es.local".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let expanded = |text: &str| expand(text, &environment, 50);
        assert_eq!(expanded("no form, not even $HOST or $"), Ok(None));
        for (text, value) in [
            ("${HOST}", "es.local"),
            ("http://${HOST}:${PORT:-9200}/", "http://es.local:9200/"),
            ("${EMPTY}|${EMPTY:-x}|${HOST:?must be there}", "|x|es.local"),
            ("${NONE:-}", ""),
            ("${NONE:-a:b}", "a:b"),
            ("$${HOST} and $${ and ${HOST}", "${HOST} and ${ and es.local"),
            ("$$${HOST}$", "$${HOST}$"),
        ] {
            assert_eq!(expanded(text), Ok(Some(value.to_owned())), "{text}");
        }
        for (text, part) in [
            ("${NONE}", "NONE is not set; set it, or write ${NONE:-default}"),
            ("${NONE:?ask Jo}", "NONE is not set: ask Jo"),
            ("${EMPTY:?ask Jo}", "EMPTY is not set: ask Jo"),
            ("${HOST", "without its"),
            ("${}", "does not name"),
            ("${A B}", "does not name"),
            ("${9}", "does not name"),
            ("${HOST:+x}", "after the `:`"),
            ("${HOST:}", "after the `:`"),
            ("${HOST}${HOST}${HOST}${HOST}${HOST}${HOST}${HOST}", "too long"),
        ] {
            let error = expanded(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
