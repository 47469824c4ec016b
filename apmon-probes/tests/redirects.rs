//! Where redirects lead, and how the server there is identified.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::net::SocketAddr;

use apmon_core::{FailureClass, Outcome};

use lab::{
    check_site, class, http_answers, http_server, ok,
    pki::{CertificateSpec, Pki},
    reason,
    tap::Tap,
};

fn to(place: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
}

/// Checks as a site with `options` in `pki`'s directory does.
async fn check(pki: &Pki, site: &str, address: &str, options: &str) -> Outcome {
    let text = format!(
        "site:\n  name: Lab\n{site}\nmonitors:\n  - type: http\n    name: x\n    address: '{address}'\n{options}\n"
    );
    check_site(&pki.path("lab.yaml"), &text).await
}

const VERIFY: &str = "    ssl_verify: yes\n    ssl_ca_file: root.pem";
const OF_SITE: &str = "  ssl_verify: yes\n  ssl_ca_file: root.pem";

#[tokio::test]
async fn verified_https_never_leads_to_http() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let plain = http_server(ok("")).await;
    let tap = Tap::of(pki.server(&["leaf"]).config(), to(&format!("http://{plain}/"))).await;
    let address = format!("https://{}/", tap.address);
    for (site, options) in [("", VERIFY), (OF_SITE, "")] {
        let outcome = check(&pki, site, &address, options).await;
        assert_eq!(class(&outcome), FailureClass::Pin);
        let wanted =
            format!("redirected from https to http://{plain}/, where no certificate identifies the server");
        assert_eq!(reason(&outcome), wanted);
    }
    let outcome = check(&pki, "", &address, "").await;
    assert_eq!(reason(&outcome), "up");
    let warning = format!("redirected from https to http://{plain}/");
    assert_eq!(outcome.warning_text(), Some(warning));
    // A chain of redirects does not hide it.
    let between = http_server(to(&format!("http://{plain}/"))).await;
    let tap = Tap::of(pki.server(&["leaf"]).config(), to(&format!("http://{between}/"))).await;
    let outcome = check(&pki, "", &format!("https://{}/", tap.address), "").await;
    let warning = format!("redirected from https to http://{between}/");
    assert_eq!((reason(&outcome), outcome.warning_text()), ("up", Some(warning)));
}

#[tokio::test]
async fn every_https_hop_is_verified() {
    let pki = Pki::new();
    pki.leaf("leaf");
    pki.make(&CertificateSpec {
        name: "itself",
        signer: None,
        ..CertificateSpec::default()
    });
    let mut stranger = Tap::of(pki.server(&["itself"]).config(), ok("")).await;
    let leaf = Tap::of(
        pki.server(&["leaf"]).config(),
        to(&format!("https://{}/", stranger.address)),
    )
    .await;
    let plain = http_server(to(&format!("https://{}/", stranger.address))).await;
    let unknown = "certificate is not signed by a trusted authority (issuer CN=itself)";
    for (address, site, options) in [
        (format!("https://{}/", leaf.address), "", VERIFY),
        (format!("https://{}/", leaf.address), OF_SITE, ""),
        // It begins with plain http, and the site verifies.
        (format!("http://{plain}/"), OF_SITE, ""),
    ] {
        let outcome = check(&pki, site, &address, options).await;
        let reason = reason(&outcome);
        let hop = format!("{unknown} (redirected to https://{}/)", stranger.address);
        assert_eq!((reason, class(&outcome)), (&*hop, FailureClass::Tls));
        assert_eq!(stranger.seen().await.bytes, "");
    }
    let outcome = check(&pki, "", &format!("http://{plain}/"), "").await;
    assert_eq!(reason(&outcome), "up");
}

/// An authority says who a server is, not that the body of a request is meant for it.
#[tokio::test]
async fn the_body_of_a_request_follows_a_redirect_to_another_server_only_if_that_one_is_pinned() {
    let pki = Pki::new();
    pki.leaf("leaf");
    let mut other = Tap::of(pki.server(&["leaf"]).config(), ok("")).await;
    let there = format!("https://{}/", other.address);
    let repeat = format!("HTTP/1.1 307 X\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n");
    let first = Tap::of(pki.server(&["leaf"]).config(), repeat).await;
    let address = format!("https://{}/", first.address);
    let outcome = check(&pki, "", &address, &format!("{VERIFY}\n    send: s3cret")).await;
    assert_eq!(
        reason(&outcome),
        format!("redirected to {there}, another server, which must not receive the body of the request")
    );
    let pinned = format!("    ssl_fingerprint: '{}'\n    send: s3cret", pki.pin("leaf"));
    let outcome = check(&pki, "", &address, &pinned).await;
    assert_eq!(reason(&outcome), "up");
    // The first connection that it has had.
    assert!(other.seen().await.bytes.ends_with("s3cret"));
}

#[tokio::test]
async fn a_redirect_loop_is_named_whatever_it_goes_through() {
    let pki = Pki::new();
    let server = http_answers(|request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path {
            "/here" => to("/here"),
            "/a" => to("/b?c=%20"),
            "/b?c=%20" => to("//user:s3cret@127.0.0.1:1/../x"),
            _ => to("/a"),
        }
    })
    .await;
    let at = |server: SocketAddr, path: &str| format!("http://{server}{path}");
    let outcome = check(&pki, "", &at(server, "/here"), "").await;
    assert_eq!(
        reason(&outcome),
        format!("redirects form a loop: http://{server}/here")
    );
    // An absent server, named without its password.
    let options = "    expect: needle";
    let outcome = check(&pki, "", &at(server, "/a"), options).await;
    assert_eq!(
        (reason(&outcome), class(&outcome)),
        (
            "connect: connection refused (redirected to http://user:***@127.0.0.1:1/x)",
            FailureClass::Refused
        )
    );
    // A POST that becomes a GET of the same address is not a loop.
    let server = http_answers(|request| match request.starts_with("POST ") {
        true => to("/"),
        false => ok("done"),
    })
    .await;
    let outcome = check(&pki, "", &at(server, "/"), "    send: x\n    expect: done").await;
    assert_eq!(reason(&outcome), "up");
}

#[tokio::test]
async fn an_invalid_location_is_named() {
    let pki = Pki::new();
    for (place, wanted) in [
        (
            "ftp://user:s3cret@h/",
            "redirected to an invalid address: ftp:// is neither http:// nor https://",
        ),
        (
            "file:///etc/passwd",
            "redirected to an invalid address: file:// is neither http:// nor https://",
        ),
        ("http://", "redirected to an invalid address: empty host"),
        (
            "http://h:99999/",
            "redirected to an invalid address: invalid port number",
        ),
        (
            "http://[::g]/",
            "redirected to an invalid address: invalid IPv6 address",
        ),
        (
            "javascript:alert(1)",
            "redirected to an invalid address: javascript: is neither http:// nor https://",
        ),
    ] {
        let server = http_server(to(place)).await;
        let outcome = check(&pki, "", &format!("http://{server}/"), "").await;
        assert_eq!(
            (reason(&outcome), class(&outcome)),
            (wanted, FailureClass::Protocol),
            "{place}"
        );
    }
}
