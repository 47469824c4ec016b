//! The tools of the field, run as they are meant to be used.

use std::{
    cell::Cell,
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request,
    client::conn::http1::{self, SendRequest},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};

use super::{cost, median};
use crate::{
    fault::{During, Fault},
    process::{self, Running},
    stopwatch::Stopwatch,
};

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 29_115);
const MODULES: &str = "modules:\n  tcp_connect: {prober: tcp}\n  icmp: {prober: icmp}\n  \
    http_2xx: {prober: http, http: {tls_config: {insecure_skip_verify: true}}}\n";
const RUNS: usize = 3;
/// The time for which the exporter is asked in each run.
const ASKING: Duration = Duration::from_secs(4);
/// Connections over which it is asked at the same time, as Prometheus asks for many targets at once.
const CONNECTIONS: usize = 8;
const PINGS: usize = 10_000;

/// One of many addresses of 127/8.
pub(super) fn ping_target(i: usize) -> String {
    format!("127.1.{}.{}", i / 250, i % 250 + 1)
}

/// prometheus-blackbox-exporter, queried over [`CONNECTIONS`] persistent connections, each one
/// probe after another.
pub(super) struct Exporter {
    running: Running,
    runtime: Runtime,
}

impl Exporter {
    pub(super) fn start(folder: &Path) -> Result<Self, Fault> {
        let config = folder.join("blackbox.yml");
        fs::write(&config, MODULES).during("write blackbox.yml")?;
        let name = "prometheus-blackbox-exporter";
        let program = process::find(name).ok_or_else(|| Fault::new(format!("there is no {name}")))?;
        let running = Running::start(name, program, |command| {
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--web.listen-address={ADDRESS}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
        })?;
        if !process::wait_until(Duration::from_secs(5), || TcpStream::connect(ADDRESS).is_ok()) {
            return Err(Fault::new(format!("{name} does not listen on {ADDRESS}")));
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            running,
            runtime: runtime.during("start the exporter's client")?,
        })
    }

    /// CPU milliseconds of a probe by `module`.
    pub(super) fn cost(&self, module: &str, target: &dyn Fn(usize) -> String) -> Result<f64, Fault> {
        let (mut costs, mut rates) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let before = cost::cpu_of(self.running.id())?;
            let watch = Stopwatch::start();
            let probes = self.runtime.block_on(probe(ADDRESS, ASKING, module, target))?;
            let Probes { asked, failed } = probes;
            // A figure of failed probes would mean nothing.
            if failed * 5 > asked {
                return Err(Fault::new(format!(
                    "{failed} of {asked} probes of blackbox_exporter's {module} failed"
                )));
            }
            if failed > 0 {
                println!("   ({failed} of {asked} probes of blackbox_exporter's {module} failed)");
            }
            rates.push(asked as f64 / watch.elapsed().as_secs_f64());
            costs.push((cost::cpu_of(self.running.id())? - before) * 1000.0 / asked as f64);
        }
        println!("   (blackbox_exporter's {module}: {:.0} probes/s)", median(rates));
        Ok(median(costs))
    }
}

/// The number of probes that were made, and of those that did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Probes {
    asked: usize,
    failed: usize,
}

/// Has an exporter make probes for `time`; each has the next target.
async fn probe(
    exporter: SocketAddr,
    time: Duration,
    module: &str,
    target: &dyn Fn(usize) -> String,
) -> Result<Probes, Fault> {
    let watch = Stopwatch::start();
    let probes = Cell::new(Probes::default());
    let connections = (0..CONNECTIONS).map(|_| async {
        let mut connection = connect(exporter).await?;
        while watch.elapsed() < time {
            let Probes { asked, failed } = probes.get();
            probes.set(Probes {
                asked: asked + 1,
                failed,
            });
            if !ask(&mut connection, module, &target(asked)).await? {
                let Probes { asked, failed } = probes.get();
                probes.set(Probes {
                    asked,
                    failed: failed + 1,
                });
            }
        }
        Ok::<(), Fault>(())
    });
    try_join_all(connections).await?;
    Ok(probes.get())
}

async fn connect(exporter: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, Fault> {
    let what = "connect to the exporter";
    let stream = tokio::net::TcpStream::connect(exporter).await.during(what)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.during(what)?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Makes one probe; whether it succeeded.
async fn ask(connection: &mut SendRequest<Empty<Bytes>>, module: &str, target: &str) -> Result<bool, Fault> {
    let what = "ask the exporter";
    let request = Request::get(format!("/probe?module={module}&target={target}"))
        .header(HOST, "exporter")
        .body(Empty::new())
        .during(what)?;
    connection.ready().await.during(what)?;
    let response = connection.send_request(request).await.during(what)?;
    let body = response.into_body().collect().await.during(what)?.to_bytes();
    Ok(String::from_utf8_lossy(&body).contains("probe_success 1"))
}

/// CPU milliseconds of a ping by fping, 10,000 a second.
pub(super) fn fping(folder: &Path) -> Result<f64, Fault> {
    const ROUNDS: usize = 5;
    let list = folder.join("targets");
    let targets: Vec<_> = (0..PINGS).map(ping_target).collect();
    fs::write(&list, targets.join("\n")).during("write targets")?;
    let program = process::find("fping").ok_or_else(|| Fault::new("there is no fping"))?;
    let mut costs = Vec::new();
    for _ in 0..RUNS {
        let mut command = Command::new(&program);
        command
            .args(["-q", "-C", &ROUNDS.to_string(), "-p", "1000", "-i", "0.1", "-f"])
            .arg(&list);
        let cpu = cost::cpu_to_end(&mut command)?;
        costs.push(cpu * 1000.0 / (PINGS * ROUNDS) as f64);
    }
    Ok(median(costs))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        sync::mpsc,
        thread,
    };

    use super::*;

    /// Answers each request of a connection in two chunks. Every second target fails.
    fn serve(stream: TcpStream, targets: &mpsc::Sender<usize>) {
        let mut answer = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let Some(target) = line.strip_prefix("GET /probe?module=tcp&target=") else {
                continue;
            };
            let target: usize = target.trim_end_matches(" HTTP/1.1").parse().unwrap();
            let success = (target + 1) % 2;
            let text = format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                 6\r\nprobe_\r\n9\r\nsuccess {success}\r\n0\r\n\r\n"
            );
            if targets.send(target).is_err() || answer.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }

    #[test]
    fn probes_are_shared_by_all_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, targets) = mpsc::channel();
        let server = thread::spawn(move || {
            for stream in listener.incoming().take(CONNECTIONS) {
                let (stream, sender) = (stream.unwrap(), sender.clone());
                thread::spawn(move || serve(stream, &sender));
            }
        });
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let time = Duration::from_millis(200);
        let probes = runtime.block_on(probe(address, time, "tcp", &|i| i.to_string()));
        let Probes { asked, failed } = probes.unwrap();
        drop(runtime); // closes the connections
        server.join().unwrap();
        let mut targets: Vec<usize> = targets.iter().collect();
        targets.sort_unstable();
        assert!(asked > 0);
        assert_eq!(targets, (0..asked).collect::<Vec<_>>());
        assert_eq!(failed, asked / 2);
    }
}
