//! Reloads of the daemon: SIGHUP, and site files that change.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use support::{Behaviour, Lab, Receiver, Service, Signal, Site, wait_until};

#[test]
fn sighup_reloads_the_site_file() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    lab.write(
        "home.yaml",
        Site::every_second("HomeLab", &receiver)
            .watch_service("web", &web)
            .text(),
    );
    let mut daemon = lab.start(&["run", "-v", "home.yaml"]);
    daemon.wait_for_err("INFO HomeLab: watching 1 monitor");
    daemon.signal(Signal::Hangup);
    // The file has not changed: the signal is the reason.
    daemon.wait_for_err("site file reloaded changed=0 watched=1");
}

#[test]
fn a_changed_site_file_is_reloaded() {
    let (lab, receiver) = (Lab::new(), Receiver::new(Behaviour::Answer(200)));
    let (web, nas, printer) = (Service::open(), Service::closed(), Service::closed());
    let home = || Site::every_second("HomeLab", &receiver).watch_service("web", &web);
    lab.write("home.yaml", home().watch_service("printer", &printer).text());
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.wait_for_out("NEW OUTAGE: printer in HomeLab ");
    daemon.wait_for_err("DEBUG web: Up in ");
    lab.replace("home.yaml", home().watch_service("nas", &nas).text());
    daemon.wait_for_err("site file reloaded changed=1 watched=2");
    daemon.wait_for_out("##### NO LONGER WATCHED: printer in HomeLab is no longer watched at ");
    daemon.wait_for_out("NEW OUTAGE: nas in HomeLab ");
    web.close();
    daemon.wait_for_out("NEW OUTAGE: web in HomeLab ");
    receiver.wait_for(4);
}

#[test]
fn a_site_file_with_errors_is_rejected_and_the_previous_one_stays() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Answer(200)), Service::open());
    let good = Site::every_second("HomeLab", &receiver)
        .watch_service("web", &web)
        .text();
    lab.write("home.yaml", &good);
    let mut daemon = lab.start(&["run", "-vv", "home.yaml"]);
    daemon.wait_for_err("DEBUG web: Up in ");
    lab.replace(
        "home.yaml",
        good.replace("type: tcp", "type: tcp, chekc_every_n_secs: 5"),
    );
    daemon.wait_for_err("ERROR home.yaml: rejected; the site keeps its previous configuration");
    daemon.wait_for_err("unknown option \"chekc_every_n_secs\"; did you mean \"check_every_n_secs\"?");
    web.close();
    daemon.wait_for_out("NEW OUTAGE: web in HomeLab ");
    lab.replace("home.yaml", "site: [");
    daemon.signal(Signal::Hangup);
    wait_until("the second rejection", || {
        let errors = daemon.err();
        let rejections = errors
            .iter()
            .filter(|line| line.contains("rejected; the site keeps"));
        (rejections.count() == 2).then_some(())
    });
    web.reopen();
    daemon.wait_for_out("RECOVERY: web in HomeLab ");
    daemon.stop().assert_code(0);
}

#[test]
fn an_argument_that_names_no_site_is_listed_as_one_that_does_not_run() {
    let (lab, web) = (Lab::new(), Service::open());
    lab.write("one.yaml", Site::new("One").watch_service("web", &web).text());
    let mut daemon = lab.start(&["run", "-v", "one.yaml", "nowhere"]);
    daemon.wait_for_err("1 of 2 sites is not running");
    let socket = lab.path("state/one.statefile.sock");
    let mut stream = wait_until("the socket", || UnixStream::connect(&socket).ok());
    let request = b"GET /api/v1/sites HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let sites = body["sites"].as_array().unwrap();
    let site = sites.iter().find(|site| site["site"] == "nowhere").unwrap();
    assert_eq!(site["running"], false);
    assert_eq!(site["given"], lab.path("nowhere").display().to_string());
    let reason = site["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("nowhere: no such file, and no daemon has registered"),
        "{reason}"
    );
    assert_eq!(sites.len(), 2);
    daemon.stop().assert_code(0);
}

#[test]
fn an_invalid_site_starts_once_its_file_is_corrected() {
    let (lab, receiver, web) = (
        Lab::new(),
        Receiver::new(Behaviour::Answer(200)),
        Service::closed(),
    );
    let text = |name| {
        Site::every_second(name, &receiver)
            .watch_service("web", &web)
            .text()
    };
    lab.write("one.yaml", text("One"));
    lab.write("two.yaml", text("Two").replace("address", "adress"));
    let mut daemon = lab.start(&["run", "one.yaml", "two.yaml"]);
    daemon.wait_for_err("unknown option \"adress\"; did you mean \"address\"?");
    daemon.wait_for_err("1 of 2 sites is not running yet; retrying");
    daemon.wait_for_out("NEW OUTAGE: web in One ");
    let status = lab.run(&["status", "two.yaml"]);
    status.assert_code(1);
    let why = format!(
        "the daemon (process {}) does not run this site: two.yaml:",
        daemon.pid()
    );
    let error = &status.logged("ERROR")[0];
    assert!(
        error.contains(&why) && error.contains("unknown option \"adress\""),
        "{error}"
    );
    lab.replace("two.yaml", text("Two"));
    daemon.wait_for_out("NEW OUTAGE: web in Two ");
    let status = lab.run(&["status", "two.yaml"]);
    status.assert_code(0);
    assert!(status.out[1].starts_with("daemon since "), "{}", status.text());
    receiver.wait_for(2);
    daemon.stop().assert_code(0);
    assert_eq!(lab.state("two").read()["web"]["is_up"], false);
}
