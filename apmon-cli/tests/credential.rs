//! Secrets of channels that systemd passes to the service as credentials.
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Receiver, Service, Site, run};

#[test]
fn a_secret_may_be_a_credential_of_systemd() {
    let (lab, receiver, web) = (Lab::new(), Receiver::new(Behaviour::Echo(400)), Service::open());
    let hook = format!(
        "preset: gotify, url: \"{}\", token_file: gotify-token",
        receiver.url("")
    );
    let site = Site::new("Home").webhook_with(&hook).watch_service("web", &web);
    lab.write("home.yaml", site.text());
    let credentials = lab.path("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let test = || {
        let mut command = lab.apmon(&["--test-webhooks", "home.yaml"]);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        let output = run(command);
        output.assert_code(1);
        output.text()
    };
    let output = test();
    let missing = "token_file: gotify-token cannot be read: No such file or directory";
    assert!(output.contains(missing), "{output}");
    assert!(receiver.requests().is_empty());
    std::fs::write(credentials.join("gotify-token"), "cr3d-t0ken\n").unwrap();
    let output = test();
    assert_eq!(receiver.requests()[0].header("x-gotify-key"), "cr3d-t0ken");
    assert!(
        output.contains("answered 400 Bad Request (answer: POST /message"),
        "{output}"
    );
    assert!(!output.contains("cr3d"), "{output}");
    // A file beside the site file comes first.
    lab.write("gotify-token", "b3side-t0ken");
    test();
    assert_eq!(receiver.requests()[1].header("x-gotify-key"), "b3side-t0ken");
}
