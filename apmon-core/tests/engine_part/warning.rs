//! What is logged of parts that are not watched.

use std::fmt::{Debug, Write as _};

use super::*;
use tracing::{field, span, subscriber};

/// Collects the warnings logged while it is set.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl field::Visit for Text {
            fn record_debug(&mut self, field: &field::Field, value: &dyn Debug) {
                write!(self.0, "{field}={value:?} ").unwrap();
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0.trim_end().to_owned());
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Runs a monitor with these parts for five minutes, beside one named `switch/taken`.
async fn warnings(parts: Vec<Part>) -> Vec<String> {
    let warnings = Warnings::default();
    let _guard = subscriber::set_default(warnings.clone());
    let (says, other) = (Says::new(&[]), Says::new(&[]));
    says.set(up(), parts);
    let monitors = [says.monitor(policy()), other.named("switch/taken", policy())];
    let (mut stage, _, _) = stage(monitors);
    stage.run_for(secs(300)).await;
    stage.stop().await;
    let warnings = warnings.0.lock().unwrap();
    warnings.clone()
}

#[tokio::test(start_paused = true)]
async fn each_part_that_is_not_watched_is_reported_once() {
    let names = ["", &"x".repeat(300), "eth0", "eth0", "taken"];
    let parts = names.map(|name| Part::new(name, up()));
    let expected = [
        "message=a part without a name is not watched monitor=\"switch\"",
        "message=a part is not watched because its name has 300 bytes, more than 255 monitor=\"switch\"",
        "message=part \"eth0\" is listed twice; only its first result counts monitor=\"switch\"",
        "message=part \"taken\" is not watched because \"switch/taken\" is also the name of a monitor or of another \
         part; rename one of them monitor=\"switch\"",
    ];
    assert_eq!(warnings(parts.to_vec()).await, expected);
}

#[tokio::test(start_paused = true)]
async fn that_there_are_too_many_parts_is_reported_once() {
    let parts = (0..100_000).map(|n| Part::new(format!("eth{n}"), up()));
    let expected = "message=at most 1000 parts of a monitor are watched, and this one has 100000; divide them among \
                    several monitors monitor=\"switch\"";
    assert_eq!(warnings(parts.collect()).await, [expected]);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_bad_names_does_not_fill_the_log() {
    let parts = (0..500).map(|n| Part::new(format!("{n}{}", "x".repeat(300)), up()));
    assert_eq!(warnings(parts.collect()).await.len(), 20);
}
