//! A value as text and as JSON.

use apmon_snmp_client::{Value, Varbind};
use serde_json::json;

use crate::console::ascii_controls;

/// A line for a value: `1.3.6.1.2.1.1.5.0 = STRING: office-switch`, or
/// `{"oid":"1.3.6.1.2.1.1.5.0","type":"STRING","value":"office-switch"}` as JSON.
pub(super) fn line(varbind: &Varbind, as_json: bool) -> String {
    match as_json {
        true => ascii_controls(&object(varbind).to_string()),
        false => varbind.to_string(),
    }
}

fn object(varbind: &Varbind) -> serde_json::Value {
    let value = &varbind.value;
    let kind = match value {
        Value::NoSuchObject => "noSuchObject",
        Value::NoSuchInstance => "noSuchInstance",
        Value::EndOfMibView => "endOfMibView",
        Value::Unreadable(_) => "unreadable",
        value => value.type_name(),
    };
    let shown = match value {
        value if !value.exists() => json!(null),
        Value::Null => json!(null),
        Value::Integer(number) => json!(number),
        // Unchanged: the JSON is escaped as a whole.
        Value::Octets(octets) if kind == "STRING" => json!(String::from_utf8_lossy(octets)),
        value => match value.unsigned() {
            Some(number) => json!(number),
            None => json!(value.to_string()),
        },
    };
    json!({"oid": varbind.oid.to_string(), "type": kind, "value": shown})
}

#[cfg(test)]
mod tests {
    use apmon_snmp_client::Oid;

    use super::*;

    #[test]
    fn values_as_text_and_as_json() {
        let text = |octets: &[u8]| Value::Octets(octets.to_vec());
        for (value, line_expected, json_expected) in [
            (
                Value::Integer(-3),
                "1.3.6 = INTEGER: -3",
                r#""INTEGER","value":-3"#,
            ),
            (
                text("Büro \u{202e}\n".as_bytes()),
                r"1.3.6 = STRING: Büro \u{202e}\n",
                r#""STRING","value":"Büro \u202e\n""#,
            ),
            (
                text(&[0, 0x1b, 0xff]),
                "1.3.6 = Hex-STRING: 00 1B FF",
                r#""Hex-STRING","value":"00 1B FF""#,
            ),
            (
                Value::Counter64(u64::MAX),
                "1.3.6 = Counter64: 18446744073709551615",
                r#""Counter64","value":18446744073709551615"#,
            ),
            (
                Value::TimeTicks(360_001),
                "1.3.6 = Timeticks: (360001) 0:01:00:00.01",
                r#""Timeticks","value":360001"#,
            ),
            (
                Value::Oid(Oid::from([1, 3])),
                "1.3.6 = OID: 1.3",
                r#""OID","value":"1.3""#,
            ),
            (
                Value::NoSuchObject,
                "1.3.6 = no such object",
                r#""noSuchObject","value":null"#,
            ),
        ] {
            let varbind = Varbind::new([1, 3, 6], value);
            assert_eq!(line(&varbind, false), line_expected);
            assert_eq!(
                line(&varbind, true),
                format!(r#"{{"oid":"1.3.6","type":{json_expected}}}"#)
            );
        }
    }
}
