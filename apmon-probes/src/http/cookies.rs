//! Cookies that servers set while one check follows their redirects (RFC 6265). A
//! login page may set one and redirect to itself.

use cookie_store::{CookieStore, RawCookie};
use hyper::header::HeaderValue;
use url::Url;

/// The most cookies of a check. Browsers keep about as many of a site.
const MAX_COOKIES: usize = 180;

/// The longest cookie, and the longest header that is sent, in bytes. Servers refuse
/// longer ones.
const MAX_COOKIE: usize = 4096;
const MAX_HEADER: usize = 8190;

/// The cookies of a check. Most have none, and this takes little room there.
#[derive(Default)]
pub(super) struct Cookies(Option<Box<Jar>>);

#[derive(Default)]
struct Jar {
    store: CookieStore,
    count: usize,
}

impl Cookies {
    /// Keeps what the answer of `from` sets.
    pub(super) fn keep(&mut self, from: &Url, set: &[HeaderValue]) {
        for value in set {
            let Ok(text) = std::str::from_utf8(value.as_bytes()) else {
                continue;
            };
            let jar = self.0.get_or_insert_default();
            if jar.count == MAX_COOKIES || text.len() > MAX_COOKIE {
                continue;
            }
            let Ok(mut cookie) = RawCookie::parse(text) else {
                continue;
            };
            if let Some(zone) = whole_zone(&cookie) {
                let is_its_own = from
                    .host_str()
                    .is_some_and(|host| host.eq_ignore_ascii_case(zone));
                if !is_its_own {
                    continue;
                }
                // RFC 6265 section 5.3: it is for this host alone.
                cookie.unset_domain();
            }
            jar.count += 1;
            // One that does not belong to this server is refused.
            let _ = jar.store.insert_raw(&cookie, from);
        }
    }

    /// The header of a request for `to`.
    pub(super) fn header(&self, to: &Url) -> Option<Box<HeaderValue>> {
        let mut header = String::new();
        for (name, value) in self.0.as_ref()?.store.get_request_values(to) {
            if header.len() + name.len() + value.len() + 3 > MAX_HEADER {
                break;
            }
            if !header.is_empty() {
                header.push_str("; ");
            }
            header.push_str(name);
            header.push('=');
            header.push_str(value);
        }
        if header.is_empty() {
            return None;
        }
        let mut header = HeaderValue::from_str(&header).ok()?;
        header.set_sensitive(true);
        Some(Box::new(header))
    }
}

/// The domain of a cookie that is meant for every host of a zone in which anybody may have one:
/// `com`, `co.uk`. Not all of them have such names, but these are what Python's cookiejar knows, too,
/// and a list of all would be larger than everything else here (docs/decisions/0034).
fn whole_zone<'c>(cookie: &'c RawCookie<'_>) -> Option<&'c str> {
    const SECOND_LEVEL: &[&str] = &[
        "co", "ac", "com", "edu", "org", "net", "gov", "mil", "int", "aero", "biz", "cat", "coop", "info",
        "jobs", "mobi", "museum", "name", "pro", "travel", "eu",
    ];
    let domain = cookie.domain()?.trim_start_matches('.');
    let is_zone = match domain.rsplit_once('.') {
        None => true,
        Some((second, top)) => {
            top.len() == 2
                && SECOND_LEVEL
                    .iter()
                    .any(|known| second.eq_ignore_ascii_case(known))
        }
    };
    is_zone.then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(from: &str, set: &[&str], to: &str) -> String {
        let mut cookies = Cookies::default();
        let set: Vec<_> = set
            .iter()
            .map(|text| HeaderValue::from_str(text).unwrap())
            .collect();
        cookies.keep(&from.parse().unwrap(), &set);
        let header = cookies.header(&to.parse().unwrap());
        assert!(header.as_ref().is_none_or(|header| header.is_sensitive()));
        header.map_or_else(String::new, |header| header.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_go_where_they_belong_and_nowhere_else() {
        let page = "http://nas.lan/login/form";
        for (set, to, header) in [
            ("s=1", "http://nas.lan/login/", "s=1"),
            ("s=1", "http://nas.lan/", ""), // the default path is that of the page
            ("s=1; Path=/", "http://nas.lan/", "s=1"),
            ("s=1; Path=/", "http://nas.lan:8080/", "s=1"), // RFC 6265 section 8.5
            ("s=1; Path=/", "https://nas.lan/", "s=1"),
            ("s=1; Path=/", "http://other.lan/", ""),
            ("s=1; Path=/", "http://www.nas.lan/", ""),
            ("s=1; Path=/; Domain=nas.lan", "http://www.nas.lan/", "s=1"),
            ("s=1; Path=/; Domain=.nas.lan", "http://nas.lan/", "s=1"),
            ("s=1; Path=/; Domain=other.lan", "http://other.lan/", ""),
            ("s=1; Path=/; Domain=lan", "http://other.lan/", ""),
            ("s=1; Path=/; Domain=.lan", "http://nas.lan/", ""),
            ("s=1; Path=/; Secure", "http://nas.lan/", ""),
            ("s=1; Path=/; Max-Age=0", "http://nas.lan/", ""),
            (
                "s=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                "http://nas.lan/",
                "",
            ),
            ("s=1; Path=/; HttpOnly; SameSite=Strict", "http://nas.lan/", "s=1"),
            ("=; ;;", "http://nas.lan/", ""),
        ] {
            assert_eq!(sent(page, &[set], to), header, "{set} to {to}");
        }
        let several = ["a=1; Path=/", "b=x y; Path=/", "a=2; Path=/", "c; Path=/"];
        assert_eq!(sent(page, &several, "http://nas.lan/"), "a=2; b=x y");
        // Zones in which anybody may have a host. The host of that name keeps its cookie for itself.
        for (from, set, to, header) in [
            ("http://a.co.uk/", "s=1; Domain=co.uk", "http://b.co.uk/", ""),
            (
                "http://a.co.uk/",
                "s=1; Domain=a.co.uk",
                "http://www.a.co.uk/",
                "s=1",
            ),
            (
                "http://sso.example.com/",
                "s=1; Domain=example.com",
                "http://www.example.com/",
                "s=1",
            ),
            ("http://co.uk/", "s=1; Domain=.CO.UK", "http://a.co.uk/", ""),
            ("http://lan/", "s=1; Domain=lan", "http://other.lan/", ""),
            ("http://lan/", "s=1; Domain=LAN", "http://lan/", "s=1"),
        ] {
            assert_eq!(sent(from, &[set], to), header, "{set} from {from} to {to}");
        }
        let secure = sent("https://nas.lan/", &["s=1; Secure"], "https://nas.lan/");
        assert_eq!(secure, "s=1");
    }

    #[test]
    fn a_flood_of_cookies_is_cut() {
        let many: Vec<_> = (0..1000)
            .map(|i| format!("c{i}={}; Path=/", "x".repeat(100)))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let header = sent("http://nas.lan/", &many, "http://nas.lan/");
        assert!((8000..=MAX_HEADER).contains(&header.len()), "{}", header.len());
        let long = format!("s={}", "x".repeat(MAX_COOKIE));
        assert_eq!(sent("http://nas.lan/", &[&long], "http://nas.lan/"), "");
    }

    proptest::proptest! {
        #[test]
        fn redirects_and_cookies_cause_no_panic(lines in "(( ?[ -~]{0,20}|//h/|https?://[a-z.:@0-9]{0,9}|ä| s=1; Domain=[a-z.]{0,6})\n){0,9}", bytes: Vec<u8>) {
            crate::http::fuzz_redirects(lines.as_bytes());
            crate::http::fuzz_redirects(&bytes);
        }
    }
}
