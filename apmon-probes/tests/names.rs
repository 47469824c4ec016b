//! What `install` provides to kinds of other crates, in a namespace with a hosts
//! file and a resolv.conf of our own, against a real name server, unbound.
#![cfg(feature = "hickory")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{
    net::{IpAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    Attempts, Check, Failure, FailureClass, Names, Outcome, ProbeTarget, Reach, Services, Trace, Verdict,
    config::{AddressFamily, Host, NameResolution, Remote, ResolveOptions},
};
use tokio::time::Instant;

use lab::{LONG, check_within};

const FILES: &str = "APMON_TEST_FILES_IN_NAMESPACE";
const NAME: &str = "names_are_resolved_in_both_directions_for_kinds_of_other_crates";

/// Runs this test again in a namespace with files of our own and port 53 free.
#[test]
fn names_are_resolved_in_both_directions_for_kinds_of_other_crates() {
    if let Some(files) = std::env::var_os(FILES) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(inside(Path::new(&files)));
        return;
    }
    let files = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("hosts", "127.0.0.1 localhost\n10.0.0.7 NAS.lan nas\n"),
        (
            "resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:10 attempts:1\n",
        ),
    ] {
        std::fs::write(files.path().join(name), text).unwrap();
    }
    let script = "set -e; cd \"$0\"; ip link set lo up
        for file in hosts resolv.conf; do mount --bind $file /etc/$file; done
        exec \"$@\"";
    let status = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--net",
            "sh",
            "-c",
            script,
        ])
        .arg(files.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(FILES, files.path())
        .status()
        .expect("this test needs unshare (apt install util-linux)");
    assert!(
        status.success(),
        "it failed in its namespace; it needs unshare --user --mount --net, mount --bind, and ip (apt install iproute2)"
    );
}

/// A real name server on port 53.
struct Unbound(Child);

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Unbound {
    /// Starts it, and waits until it answers.
    async fn start(directory: &Path) -> Self {
        let config = format!(
            "server:\n  username: ''\n  chroot: ''\n  directory: {}\n  pidfile: ''\n  use-syslog: no\n\
             \x20 interface: 127.0.0.1@53\n  do-daemonize: no\n  module-config: iterator\n\
             \x20 local-data: 'switch.example. 60 IN A 127.0.0.6'\n\
             \x20 local-data: 'switch.example. 60 IN AAAA 2001:db8::6'\n\
             \x20 local-data-ptr: '10.0.0.7 60 liar.example'\n\
             \x20 local-data-ptr: '10.0.0.8 60 tv.example'\n\
             \x20 local-data-ptr: '2001:db8::8 60 six.example'\n\
             \x20 local-data: '9.0.0.10.in-addr.arpa. 60 IN PTR a\\032b\\027[2J\\010.example.'\n\
             \x20 local-zone: 'secret.example.' refuse\n\
             \x20 local-zone: '1.168.192.in-addr.arpa.' refuse\n\
             remote-control:\n  control-enable: no\n",
            directory.display()
        );
        let file = directory.join("unbound.conf");
        std::fs::write(&file, config).unwrap();
        // Debian keeps it in a directory that only root's PATH has.
        let program = match Path::new("/usr/sbin/unbound") {
            path if path.exists() => path,
            _ => Path::new("unbound"),
        };
        let child = Command::new(program)
            .args(["-d", "-c"])
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs unbound (apt install unbound)");
        let server = Self(child);
        let end = Instant::now() + LONG;
        while UdpSocket::bind("127.0.0.1:53").is_ok() {
            assert!(Instant::now() < end, "unbound does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server
    }
}

async fn name_of(names: &Arc<dyn Names>, ip: &str) -> Option<String> {
    names.name_of(ip.parse().unwrap(), Instant::now() + LONG).await
}

fn remote(host: &str, family: AddressFamily, by: NameResolution) -> Remote {
    Remote {
        host: Host::parse(host).unwrap(),
        resolve: ResolveOptions { family, by },
    }
}

/// The addresses that a check of `remote` goes to.
async fn addresses(remote: &Remote, services: &Services, check: &Check) -> Result<String, Failure> {
    let target = ProbeTarget {
        remote,
        names: &*services.names(),
        network: &*services.network(),
    };
    let mut attempts = Attempts::of(target, Reach::default(), check).await?;
    let checks = attempts.all();
    let addresses = checks.iter().map(|check| check.address().unwrap().to_string());
    Ok(addresses.collect::<Vec<_>>().join(", "))
}

async fn inside(files: &Path) {
    let _server = Unbound::start(files).await;
    let services = Services::default();
    apmon_probes::install(&services);
    let names = services.names();

    for (ip, name) in [
        ("10.0.0.7", Some("NAS.lan")),
        ("10.0.0.8", Some("tv.example")),
        ("2001:db8::8", Some("six.example")),
        ("10.0.0.10", None),
        ("192.168.1.1", None),
    ] {
        assert_eq!(name_of(&names, ip).await.as_deref(), name, "{ip}");
    }
    let evil = name_of(&names, "10.0.0.9").await.unwrap();
    assert!(evil.bytes().all(|byte| byte.is_ascii_graphic()), "{evil:?}");
    assert!(evil.starts_with('a') && evil.ends_with(".example"), "{evil}");

    for by in [NameResolution::Dns, NameResolution::System] {
        for (host, family, to) in [
            ("switch.example", AddressFamily::Any, "127.0.0.6, 2001:db8::6"),
            ("switch.example", AddressFamily::Ipv6, "2001:db8::6"),
            ("nas", AddressFamily::Any, "10.0.0.7"),
            ("2001:db8::9", AddressFamily::Any, "2001:db8::9"),
        ] {
            let trace = Trace::start();
            let check = check_within(LONG).with_trace(Arc::clone(&trace));
            let found = addresses(&remote(host, family, by), &services, &check).await;
            assert_eq!(found.unwrap(), to, "{host} {by:?}");
            let shown = !host.contains(':');
            let steps = trace.steps();
            assert_eq!(
                steps.iter().any(|step| step.name == "resolve"),
                shown,
                "{steps:?}"
            );
        }
    }
    for (host, verdict, reason) in [
        (
            "gone.invalid",
            Verdict::Down,
            "resolve: no such name: gone.invalid",
        ),
        (
            "web.secret.example",
            Verdict::Unknown,
            "resolve: the name server answered Query Refused",
        ),
    ] {
        let remote = remote(host, AddressFamily::Any, NameResolution::Dns);
        let failure = addresses(&remote, &services, &check_within(LONG)).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.reason, reason);
        assert_eq!(Outcome::failed(failure).verdict(), verdict, "{host}");
    }

    // There is only loopback here, and no route to anywhere else.
    let network = services.network();
    assert_eq!(network.fault([127, 0, 0, 1].into()), None);
    let to = IpAddr::from([198, 51, 100, 7]);
    let fault = network.fault(to).unwrap();
    assert_eq!(fault.class, FailureClass::NoRoute);
    let error = UdpSocket::bind("0.0.0.0:0")
        .unwrap()
        .connect((to, 161))
        .unwrap_err();
    let failure = network.failure("send", to, &error);
    assert_eq!(failure.class, FailureClass::NoRoute, "{failure}");
}
