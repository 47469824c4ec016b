//! Templates: `{{name}}` stands for a value, `{{name:80}}` for at most so much of it.
//!
//! Values are put into strings that are never parsed afterwards, so that none
//! of them can break what they stand in.

use serde_json::Value;

/// Why a template cannot be filled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("no value is called {{{{{0}}}}}")]
    Unknown(String),
    #[error("a {{{{ without its }}}}")]
    Open,
}

/// What a name stands for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Filling<'a> {
    /// This.
    Text(std::borrow::Cow<'a, str>),
    /// This, where it stands alone; it need not be text.
    Whole(&'a Value),
    /// An option that may be left out, and was: what holds it is left out too.
    Absent,
}

/// Names and what they stand for.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<Filling<'a>> + 'a;

/// `template` with its values, each passed through `escape`, which sees them
/// whole or character by character. `None` where one of them is absent.
pub(crate) fn text(
    template: &str,
    lookup: &Lookup<'_>,
    escape: &dyn Fn(&str, &str) -> String,
) -> Result<Option<String>, Broken> {
    let (mut filled, mut rest) = (String::with_capacity(template.len()), template);
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(Broken::Open)?;
        let (name, limit) = match name.split_once(':') {
            Some((word, limit)) => {
                let limit = limit.parse().map_err(|_| Broken::Unknown(name.to_owned()))?;
                (word, Some(limit))
            }
            None => (name, None),
        };
        filled.push_str(before);
        let value = lookup(name).ok_or_else(|| Broken::Unknown(name.to_owned()))?;
        let value = match &value {
            Filling::Absent => return Ok(None),
            Filling::Text(text) => text,
            Filling::Whole(Value::String(text)) => text.as_str(),
            Filling::Whole(_) => return Err(Broken::Unknown(name.to_owned())),
        };
        let escape = |text: &str| escape(name, text);
        filled.push_str(&limit.map_or_else(|| escape(value), |limit| cut(value, limit, &escape)));
        rest = after;
    }
    filled.push_str(rest);
    Ok(Some(filled))
}

/// The tree with its strings filled. Members that hold an absent value are left out.
pub(crate) fn tree(
    node: &Value,
    lookup: &Lookup<'_>,
    escape: &dyn Fn(&str, &str) -> String,
) -> Result<Option<Value>, Broken> {
    Ok(match node {
        Value::String(template) => {
            let name = template
                .strip_prefix("{{")
                .and_then(|rest| rest.strip_suffix("}}"));
            match name.and_then(lookup) {
                Some(Filling::Whole(value)) => Some(value.clone()),
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

/// `text` escaped, at most `limit` units of UTF-16, by which some services
/// count: never less than they would take by characters.
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
            "number" => Filling::Whole(number),
            "none" => Filling::Absent,
            _ => return None,
        })
    }

    fn filled(template: Value) -> Result<Option<Value>, Broken> {
        let number = json!(4);
        tree(&template, &|name| lookup(name, &number), &|_, text| {
            text.to_owned()
        })
    }

    #[test]
    fn values_are_text_and_nothing_else() {
        let template =
            json!({"a": "<{{name}}>", "b": ["{{long:10}}", "{{long:9}}"], "c": "{{number}}", "d": 1});
        let expected =
            json!({"a": "<a \"b\"\n{{name}} ü>", "b": ["0123456789", "012345..."], "c": 4, "d": 1});
        assert_eq!(filled(template), Ok(Some(expected)));
    }

    #[test]
    fn what_holds_an_absent_value_is_left_out() {
        let template = json!({"a": "x {{none}}", "b": ["{{none}}", "c"]});
        assert_eq!(filled(template), Ok(Some(json!({"b": ["c"]}))));
    }

    #[test]
    fn a_broken_template_says_so() {
        for (template, error) in [
            ("{{nobody}}", "no value is called {{nobody}}"),
            ("{{name:x}}", "no value is called {{name:x}}"),
            ("{{name", "a {{ without its }}"),
            ("{{number}} of them", "no value is called {{number}}"),
        ] {
            assert_eq!(filled(json!(template)).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_cut_never_halves_a_character() {
        let cut = |text: &str, limit| cut(text, limit, &str::to_owned);
        assert_eq!(cut("😀😀😀", 5), "😀...");
        assert_eq!(cut("😀😀😀", 6), "😀😀😀");
        assert_eq!(cut("abcdef", 2), "...");
    }

    /// Nor what stands for it.
    #[test]
    fn a_limit_holds_for_what_is_sent() {
        let cut = |limit| cut("a&&b", limit, &|text| text.replace('&', "&amp;"));
        assert_eq!(cut(12), "a&amp;&amp;b");
        assert_eq!(cut(11), "a&amp;...");
        assert_eq!(cut(8), "a...");
    }
}
