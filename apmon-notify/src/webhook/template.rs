//! Templates: `{{name}}` is replaced by a value, `{{name:80}}` by at most 80
//! characters of it.
//!
//! Values are inserted into strings that are never parsed afterwards, so that no
//! value can break the structure around it.

use std::borrow::Cow;

use serde_json::Value;

/// The error of a template that cannot be filled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("there is no value {{{{{0}}}}}")]
    Unknown(String),
    #[error("{{{{ without a closing }}}}")]
    Open,
}

/// The replacement of a name.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Filling<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A value, which need not be text; it must be the whole string.
    Whole(Cow<'a, Value>),
    /// An optional value that is not given: the string or member around it is left
    /// out as well.
    Absent,
}

/// Looks up the replacement of a name.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<Filling<'a>> + 'a;

/// Fills `template` with its values, each passed through `escape`, as a whole or
/// character by character. `None` if one of them is absent.
pub(crate) fn text(
    template: &str,
    lookup: &Lookup<'_>,
    escape: &dyn Fn(&str, &str) -> String,
) -> Result<Option<String>, TemplateError> {
    let (mut filled, mut rest) = (String::with_capacity(template.len()), template);
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(TemplateError::Open)?;
        let (name, limit) = match name.split_once(':') {
            Some((name_only, limit)) => {
                let limit = limit
                    .parse()
                    .map_err(|_| TemplateError::Unknown(name.to_owned()))?;
                (name_only, Some(limit))
            }
            None => (name, None),
        };
        filled.push_str(before);
        let value = lookup(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
        let value = match &value {
            Filling::Absent => return Ok(None),
            Filling::Text(text) => &**text,
            Filling::Whole(value) => match value.as_str() {
                Some(text) => text,
                None => return Err(TemplateError::Unknown(name.to_owned())),
            },
        };
        let escape = |text: &str| escape(name, text);
        filled.push_str(&limit.map_or_else(|| escape(value), |limit| cut(value, limit, &escape)));
        rest = after;
    }
    filled.push_str(rest);
    Ok(Some(filled))
}

/// Fills the strings of a tree. Members with an absent value are left out.
pub(crate) fn tree(
    node: &Value,
    lookup: &Lookup<'_>,
    escape: &dyn Fn(&str, &str) -> String,
) -> Result<Option<Value>, TemplateError> {
    Ok(match node {
        Value::String(template) => {
            let name = template
                .strip_prefix("{{")
                .and_then(|rest| rest.strip_suffix("}}"));
            match name.and_then(lookup) {
                Some(Filling::Whole(value)) => Some(value.into_owned()),
                _ => text(template, lookup, escape)?.map(Value::String),
            }
        }
        Value::Array(items) => {
            let mut filled = Vec::with_capacity(items.len());
            for item in items {
                filled.extend(tree(item, lookup, escape)?);
            }
            Some(Value::Array(filled))
        }
        Value::Object(members) => {
            let mut filled = serde_json::Map::new();
            for (name, member) in members {
                if let Some(member) = tree(member, lookup, escape)? {
                    filled.insert(name.clone(), member);
                }
            }
            Some(Value::Object(filled))
        }
        other => Some(other.clone()),
    })
}

/// `text` escaped and cut to at most `limit` UTF-16 code units. Some services count
/// these; no service accepts fewer of them than characters.
fn cut(text: &str, limit: usize, escape: &dyn Fn(&str) -> String) -> String {
    let whole = escape(text);
    if units(&whole) <= limit {
        return whole;
    }
    let (mut shown, mut room) = (String::new(), limit.saturating_sub(3));
    for c in text.chars() {
        let c = escape(c.encode_utf8(&mut [0; 4]));
        match room.checked_sub(units(&c)) {
            Some(rest) => room = rest,
            None => break,
        }
        shown.push_str(&c);
    }
    shown + "..."
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lookup<'a>(name: &str, number: &'a Value) -> Option<Filling<'a>> {
        Some(match name {
            "name" => Filling::Text("a \"b\"\n{{name}} ü".into()),
            "long" => Filling::Text("0123456789".into()),
            "number" => Filling::Whole(Cow::Borrowed(number)),
            "none" => Filling::Absent,
            _ => return None,
        })
    }

    fn filled(template: Value) -> Result<Option<Value>, TemplateError> {
        let number = json!(4);
        tree(&template, &|name| lookup(name, &number), &|_, text| {
            text.to_owned()
        })
    }

    #[test]
    fn values_are_inserted_as_text_and_not_parsed() {
        let template =
            json!({"a": "<{{name}}>", "b": ["{{long:10}}", "{{long:9}}"], "c": "{{number}}", "d": 1});
        let expected =
            json!({"a": "<a \"b\"\n{{name}} ü>", "b": ["0123456789", "012345..."], "c": 4, "d": 1});
        assert_eq!(filled(template), Ok(Some(expected)));
    }

    #[test]
    fn strings_and_members_with_an_absent_value_are_left_out() {
        let template = json!({"a": "x {{none}}", "b": ["{{none}}", "c"]});
        assert_eq!(filled(template), Ok(Some(json!({"b": ["c"]}))));
    }

    #[test]
    fn a_broken_template_is_reported() {
        for (template, error) in [
            ("{{unknown}}", "there is no value {{unknown}}"),
            ("{{name:x}}", "there is no value {{name:x}}"),
            ("{{name", "{{ without a closing }}"),
            ("{{number}} of them", "there is no value {{number}}"),
        ] {
            assert_eq!(filled(json!(template)).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        let cut = |text: &str, limit| cut(text, limit, &str::to_owned);
        assert_eq!(cut("😀😀😀", 5), "😀...");
        assert_eq!(cut("😀😀😀", 6), "😀😀😀");
        assert_eq!(cut("abcdef", 2), "...");
    }

    /// Nor does it split an escape sequence.
    #[test]
    fn a_limit_counts_the_escaped_text() {
        let cut = |limit| cut("a&&b", limit, &|text| text.replace('&', "&amp;"));
        assert_eq!(cut(12), "a&amp;&amp;b");
        assert_eq!(cut(11), "a&amp;...");
        assert_eq!(cut(8), "a...");
    }
}
