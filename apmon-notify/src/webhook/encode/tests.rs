use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use url::Url;

use super::*;

const TEXT: &str = "R&D's \"web\" <1>: 50% + ü; a/b?c=d#e";

#[test]
fn each_encoding_has_its_body() {
    use RequestEncoding::*;
    let table = [
        (
            Url,
            "p=R%26D%27s%20%22web%22%20%3C1%3E%3A%2050%25%20%2B%20%C3%BC%3B%20a%2Fb%3Fc%3Dd%23e&s",
        ),
        (
            Html,
            "p=R&amp;D&#39;s &quot;web&quot; &lt;1&gt;: 50% + ü; a/b?c=d#e&s",
        ),
        (Csvquoted, "p=\"R&D's \"\"web\"\" <1>: 50% + ü; a/b?c=d#e\"&s"),
        (Json, r#"{"message":"p=R&D's \"web\" <1>: 50% + ü; a/b?c=d#e&s"}"#),
    ];
    for (encoding, expected) in table {
        assert_eq!(body(encoding, "p=", TEXT, "&s"), expected, "{encoding:?}");
    }
}

#[test]
fn each_encoding_has_its_url() {
    use RequestEncoding::*;
    let table = [
        (Url, "R%26D%27s%20%22w%22%20%3C1%3E"),
        (
            Html,
            "R%26amp%3BD%26%2339%3Bs%20%26quot%3Bw%26quot%3B%20%26lt%3B1%26gt%3B",
        ),
        (Csvquoted, "%22R%26D%27s%20%22%22w%22%22%20%3C1%3E%22"),
    ];
    for (encoding, expected) in table {
        assert_eq!(
            url("https://h/a?b=c", encoding, "&m=", "R&D's \"w\" <1>", "&z"),
            format!("https://h/a?b=c&m={expected}&z"),
            "{encoding:?}"
        );
    }
}

#[test]
fn text_of_the_operator_keeps_its_structure() {
    let table = [
        // (endpoint, prefix, suffix, expected)
        (
            "https://h/a",
            "?x=1&y[]=%20&m=",
            "&z=a b",
            "https://h/a?x=1&y[]=%20&m=T&z=a%20b",
        ),
        ("https://h/a/", "ü/", ".txt", "https://h/a/%C3%BC/T.txt"),
        ("https://h/a?m=", "<b>", "</b>", "https://h/a?m=%3Cb%3ET%3C/b%3E"),
        (
            "https://h/?m=",
            "100% ",
            "#alerts",
            "https://h/?m=100%25%20T%23alerts",
        ),
        ("https://h/?m=", "%zz%4", "%", "https://h/?m=%25zz%254T%25"),
        ("https://h/a#frag", "", "", "https://h/a%23fragT"),
        (
            "https://h/a",
            "\"\\^`{|}",
            "\n",
            "https://h/a%22%5C%5E%60%7B%7C%7DT%0A",
        ),
    ];
    for (endpoint, prefix, suffix, expected) in table {
        let url = url(endpoint, RequestEncoding::Url, prefix, "T", suffix);
        assert_eq!(url, expected);
        assert_eq!(Url::parse(&url).unwrap().as_str(), expected);
    }
}

#[test]
fn the_notification_never_becomes_part_of_the_host_name() {
    let table = [
        ("https://h", "", "https://h/T"),
        ("https://h", "/x/", "https://h/x/T"),
        ("https://h", "?m=", "https://h?m=T"),
        ("https://h", ".evil/", "https://h/.evil/T"),
        ("https://h:8", "0/", "https://h:8/0/T"),
        ("https://u:p@h", "@x", "https://u:p@h/@xT"),
    ];
    for (endpoint, prefix, expected) in table {
        assert_eq!(url(endpoint, RequestEncoding::Url, prefix, "T", ""), expected);
    }
}

fn parse_csv(field: &str) -> Option<String> {
    let inner = field.strip_prefix('"')?.strip_suffix('"')?;
    let text = inner.replace("\"\"", "\u{0}");
    (!text.contains('"')).then(|| text.replace('\u{0}', "\""))
}

proptest! {
    #[test]
    fn percent_encoding_can_be_decoded(text in any::<String>()) {
        let encoded = percent(&text);
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        prop_assert_eq!(percent_decode_str(&encoded).decode_utf8().unwrap(), text);
    }

    #[test]
    fn csv_quoting_can_be_decoded(text in "[^\u{0}]*") {
        prop_assert_eq!(parse_csv(&csv(&text)), Some(text));
    }

    #[test]
    fn any_text_arrives_as_a_single_query_value(
        text in any::<String>(),
        encoding in prop_oneof![
            Just(RequestEncoding::Url), Just(RequestEncoding::Html), Just(RequestEncoding::Csvquoted)
        ],
    ) {
        let url = Url::parse(&url("http://h/a", encoding, "?m=", &text, "&z=1")).unwrap();
        let pairs: Vec<_> = url.query_pairs().collect();
        let sent = match encoding {
            RequestEncoding::Html => html(&text),
            RequestEncoding::Csvquoted => csv(&text),
            _ => text,
        };
        prop_assert_eq!(&pairs[0].1, &sent);
        prop_assert_eq!(pairs.len(), 2);
        prop_assert_eq!(url.fragment(), None);
    }

    #[test]
    fn no_prefix_text_or_suffix_changes_the_host(
        prefix in any::<String>(), text in any::<String>(), suffix in any::<String>(),
    ) {
        for endpoint in ["http://h.example", "http://h.example:8080/x", "http://[::1]?a=b"] {
            let with = Url::parse(&url(endpoint, RequestEncoding::Html, &prefix, &text, &suffix)).unwrap();
            prop_assert_eq!(with.origin(), Url::parse(endpoint).unwrap().origin());
        }
    }
}
