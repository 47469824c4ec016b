//! Whatever there is instead of a file, a socket or a database: apmon neither hangs nor grows.
#![cfg(all(unix, feature = "sqlite"))]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    process::Command,
    thread,
};

use support::{Behaviour, Lab, Receiver, Service, Site, TIMEOUT};

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn an_option_that_names_no_regular_file_is_an_error_at_once() {
    let lab = Lab::new();
    make_pipe(&lab.path("pipe"));
    fs::create_dir(lab.path("directory")).unwrap();
    for (file, wrong) in [
        ("/dev/zero", "is a pipe or a device, not a regular file"),
        ("pipe", "is a pipe or a device, not a regular file"),
        ("directory", "is a directory, not a file"),
    ] {
        for monitor in [
            format!("type: http, address: https://h/, ssl_verify: yes, ssl_ca_file: {file}"),
            format!("type: ports, address: snmp://h, community_file: {file}"),
            format!("type: host, address: snmp://h, user: u, auth_protocol: sha, auth_password_file: {file}"),
            format!("type: ports, address: snmp://h, allow_macs: {file}"),
        ] {
            lab.write(
                "home.yaml",
                format!("site: {{name: s}}\nmonitors: [{{name: a, {monitor}}}]\n"),
            );
            let output = lab.run(&["--test-config", "home.yaml"]);
            output.assert_code(1);
            assert!(output.text().contains(wrong), "{monitor}: {}", output.text());
            assert!(output.took < TIMEOUT);
        }
    }
}

#[test]
fn a_reload_with_such_a_file_is_rejected_and_so_is_the_next_one() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    make_pipe(&lab.path("pipe"));
    let good = Site::every_second("HomeLab", &receiver).watch_service("web", &web);
    let text = good.text();
    lab.write("home.yaml", &text);
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.wait_for_err("DEBUG web: Up in ");
    for (n, file) in ["pipe", "/dev/zero", "pipe"].iter().enumerate() {
        let monitor = format!(
            "type: http, name: tls{n}, address: \"https://127.0.0.1:1/\", ssl_verify: yes, ssl_ca_file: \"{file}\""
        );
        let site = Site::every_second("HomeLab", &receiver).watch_service("web", &web);
        lab.replace("home.yaml", site.watch(&monitor).text());
        daemon.wait_for_err(&format!("monitor \"tls{n}\": \"ssl_ca_file\" "));
    }
    lab.replace("home.yaml", good.watch_service("nas", &Service::closed()).text());
    daemon.wait_for_err("site file reloaded");
    web.close();
    daemon.wait_for_out("NEW OUTAGE: web in HomeLab ");
}

/// Answers every request on the socket of `home` with `head`, and then `body` again and again.
fn listen(lab: &Lab, head: &'static str, body: &'static [u8]) {
    fs::create_dir_all(lab.path("state")).unwrap();
    let socket = UnixListener::bind(lab.path("state/home.statefile.sock")).unwrap();
    thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let mut result = stream.write_all(head.as_bytes());
                while result.is_ok() && !body.is_empty() {
                    result = stream.write_all(body);
                }
                let _ = stream.read(&mut [0]); // until the client gives up
            });
        }
    });
}

#[test]
fn status_believes_no_socket() {
    for (head, body, wrong) in [
        ("", &b""[..], "no answer within 7 secs"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            b"",
            "no answer within 7 secs",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            &[b' '; 1 << 16],
            "longer than 134217728 bytes",
        ),
        ("", &[b'x'; 1 << 16], "does not answer"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"",
            "does not answer",
        ),
    ] {
        let lab = Lab::new();
        listen(&lab, head, body);
        let output = lab.run(&["status"]);
        output.assert_code(1);
        let text = output.text();
        // A machine that is too slow for all these bytes runs out of time before.
        assert!(
            text.contains(wrong) || text.contains("no answer within 7 secs"),
            "{head:?}: {text}"
        );
        assert!(output.took < TIMEOUT);
    }
}

#[test]
fn status_believes_no_database_and_no_state_file() {
    for name in ["home.statefile.db", "home.statefile.json"] {
        for kind in ["pipe", "device", "directory", "hole"] {
            let lab = Lab::new();
            fs::create_dir_all(lab.path("state")).unwrap();
            let path = lab.path("state").join(name);
            match kind {
                "pipe" => make_pipe(&path),
                "device" => std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
                "directory" => fs::create_dir(&path).unwrap(),
                _ => fs::File::create(&path).unwrap().set_len(1 << 40).unwrap(),
            }
            for verb in ["status", "history"] {
                let output = lab.run(&[verb]);
                output.assert_code(1);
                assert!(output.text().contains(name), "{kind}: {}", output.text());
                assert!(output.took < TIMEOUT, "{kind}");
            }
        }
    }
}
