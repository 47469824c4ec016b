//! `address_family`: which addresses of a name are used.

mod lab;

use apmon_core::Verdict;
use lab::{LONG, check, explain, http_server, parse, reason};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_name_is_checked_at_an_address_of_the_requested_family() {
    let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = v4.local_addr().unwrap().port();
    for (family, resolved, verdict) in [
        ("any", "localhost is 127.0.0.1", Verdict::Up),
        ("ipv4", "localhost is 127.0.0.1", Verdict::Up),
        // Nothing listens there.
        ("ipv6", "localhost is ::1", Verdict::Down),
    ] {
        let section =
            format!("type: tcp\nname: x\naddress: tcp://localhost:{port}\naddress_family: {family}");
        let (outcome, steps) = explain(&section, LONG).await;
        assert!(steps.contains(resolved), "{family}: {steps}");
        assert_eq!(outcome.verdict(), verdict, "{family}: {}", reason(&outcome));
    }
    let v6 = TcpListener::bind(("::1", port)).await.unwrap();
    let section = format!("type: tcp\nname: x\naddress: tcp://localhost:{port}\naddress_family: ipv6");
    assert_eq!(reason(&check(&section, LONG).await), "up");
    drop(v6);
    for kind in [
        "type: ping\nname: x\naddress: localhost",
        "type: http\nname: x\naddress: http://localhost:9/",
    ] {
        let (_, steps) = explain(&format!("{kind}\naddress_family: ipv6"), LONG).await;
        assert!(steps.contains("localhost is ::1"), "{kind}: {steps}");
    }
}

#[test]
fn an_address_of_the_other_family_is_an_error() {
    for (section, text) in [
        (
            "type: ping\nname: x\naddress: 127.0.0.1\naddress_family: ipv6",
            "\"address\" is an IPv4 address, but address_family is ipv6",
        ),
        (
            "type: http\nname: x\naddress: 'https://[::1]/'\naddress_family: ipv4",
            "\"address\" is an IPv6 address, but address_family is ipv4",
        ),
        (
            "type: udp\nname: x\naddress: 'udp://[::1]:9'\nsend: x\naddress_family: ipv4",
            "\"address\" is an IPv6 address, but address_family is ipv4",
        ),
        (
            "type: ping\nname: x\naddress: nas\naddress_family: ipv5",
            "\"address_family\" must be any or ipv4 or ipv6, not \"ipv5\"",
        ),
    ] {
        let error = parse(section).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_lead_to_the_other_family() {
    let server =
        http_server("HTTP/1.1 302 Found\r\nLocation: http://[::1]:9/\r\nContent-Length: 0\r\n\r\n").await;
    let section = format!("type: http\nname: x\naddress: http://{server}/\naddress_family: ipv4");
    assert_eq!(
        reason(&check(&section, LONG).await),
        "redirected to an invalid address: ::1 is an IPv6 address, but address_family is ipv4"
    );
}
