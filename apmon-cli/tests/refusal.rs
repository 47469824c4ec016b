//! What a receiver answers when it refuses a notification, and where people find it.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)] // a panic fails the test

mod support;

use support::{Behaviour, Lab, Receiver, Service, Site, wait_until};

#[test]
fn the_answer_of_a_refusal_is_in_the_log_the_status_and_the_history() {
    let (lab, echo, web) = (Lab::new(), Receiver::new(Behaviour::Echo(400)), Service::closed());
    let hook = format!(
        "name: hook, endpoint_url: \"{}\", request_method: POST, request_encoding: JSON",
        echo.url("/path-t0ken?key=key-t0ken")
    );
    let site = Site::new("Home")
        .option("max_retries: 1")
        .option("check_every_n_secs: 1")
        .webhook_with(&hook)
        .watch_service("web", &web);
    lab.write("home.yaml", site.text());
    let mut daemon = lab.start(&["run", "home.yaml"]);
    // The receiver repeats the request.
    let answer = "answered 400 Bad Request (answer: POST /***?key=***";
    daemon.wait_for_err(answer);
    let status = lab.run(&["status", "--json", "home.yaml"]);
    assert!(status.text().contains(answer), "{}", status.text());
    wait_until("the refusal in the history", || {
        let output = lab.run(&["history", "--json", "home.yaml"]);
        output.assert_code(0);
        let failure = output.json()["sites"][0]["monitors"][0]["incidents"][0]["failures"][0].clone();
        let is_refused = failure["result"] == "refused" && failure["channel"] == "webhook:hook";
        (is_refused && failure["error"].as_str()?.contains(answer)).then_some(())
    });
    let history = lab.run(&["history", "home.yaml", "web"]);
    history.assert_code(0);
    assert!(history.text().contains(answer), "{}", history.text());
    let all = [status.text(), history.text(), daemon.stop().text()].concat();
    assert!(!all.contains("t0ken"), "{all}");
}
