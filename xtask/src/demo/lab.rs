//! The services of the demo: nginx and dnsmasq on loopback, with configuration
//! of their own, as the current user.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use crate::{
    fault::{During, Fault},
    package::{DNSMASQ, NGINX},
    process::{self, Running, wait_until},
    workspace,
};

const WEB: u16 = 18080;
const WEB_PORT: u16 = 18081;
const NAMES: u16 = 15353;

const READY: Duration = Duration::from_secs(5);

pub(super) fn loopback(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// The services, which end when this is dropped.
pub(super) struct Lab {
    directory: PathBuf,
    names: Option<Running>,
    web: Option<Running>,
}

impl Lab {
    /// Writes the services' files and checks that their ports are free.
    pub(super) fn prepare(directory: &Path) -> Result<Self, Fault> {
        for port in [WEB, WEB_PORT, NAMES] {
            TcpListener::bind(loopback(port)).map_err(|error| taken(port, "tcp", &error))?;
        }
        UdpSocket::bind(loopback(NAMES)).map_err(|error| taken(NAMES, "udp", &error))?;
        let directory = directory.to_owned();
        workspace::write(
            &directory.join("www/index.html"),
            "<!doctype html>\n<title>apmon demo</title>\n<h1>apmon demo</h1>\n",
        )?;
        workspace::write(&directory.join("nginx.conf"), &nginx_conf())?;
        fs::create_dir_all(directory.join("tmp")).during("make target/demo/tmp")?;
        Ok(Self {
            directory,
            names: None,
            web: None,
        })
    }

    /// Starts the name server. It answers only for `lab.example`.
    pub(super) fn start_names(&mut self) -> Result<(), Fault> {
        let log = self.directory.join("dnsmasq.log");
        let mut names = Running::start("dnsmasq", program(DNSMASQ.program)?, |command| {
            // In the foreground it keeps its user and ends on Ctrl-C.
            command.args([
                "--no-daemon",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--pid-file=",
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                &format!("--port={NAMES}"),
                "--address=/lab.example/192.0.2.1",
                "--txt-record=lab.example,answer from the lab",
            ]);
            logged(command, &log)
        })?;
        ready(&mut names, NAMES, &log)?;
        self.names = Some(names);
        Ok(())
    }

    /// Starts the web server, the first time or again.
    pub(super) fn start_web(&mut self) -> Result<(), Fault> {
        let log = self.directory.join("nginx.log");
        let directory = &self.directory;
        let mut web = Running::start("nginx", program(NGINX.program)?, |command| {
            command.arg("-p").arg(directory);
            command.args(["-c", "nginx.conf", "-e", "stderr"]);
            logged(command, &log)
        })?;
        ready(&mut web, WEB, &log)?;
        self.web = Some(web);
        Ok(())
    }

    pub(super) fn web_id(&self) -> u32 {
        self.web.as_ref().map_or(0, Running::id)
    }

    /// Ends the web server.
    pub(super) fn stop_web(&mut self) -> Result<(), Fault> {
        if let Some(mut web) = self.web.take() {
            web.stop(READY)?;
        }
        Ok(())
    }
}

fn program(name: &str) -> Result<PathBuf, Fault> {
    process::find(name).ok_or_else(|| Fault::new(format!("{name} is missing")))
}

/// The configuration of nginx as a single process, with paths below its prefix.
fn nginx_conf() -> String {
    format!(
        "\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{
    worker_connections 64;
}}
http {{
    access_log off;
    default_type text/html;
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    server {{
        listen 127.0.0.1:{WEB};
        listen 127.0.0.1:{WEB_PORT};
        root www;
    }}
}}
"
    )
}

/// Sends a service's output to its log instead of between apmon's lines.
fn logged<'a>(command: &'a mut std::process::Command, log: &Path) -> &'a mut std::process::Command {
    match File::create(log).and_then(|file| Ok((file.try_clone()?, file))) {
        Ok((out, err)) => command.stdout(out).stderr(err),
        Err(_) => command.stdout(Stdio::null()).stderr(Stdio::null()),
    }
}

/// Waits until `port` answers.
fn ready(service: &mut Running, port: u16, log: &Path) -> Result<(), Fault> {
    let mut ended = None;
    let answers = wait_until(READY, || {
        ended = service.ended();
        ended.is_some() || TcpStream::connect(loopback(port)).is_ok()
    });
    let why = match ended {
        None if answers => return Ok(()),
        None => format!("nothing answers on 127.0.0.1:{port} within {} s", READY.as_secs()),
        Some(status) => format!("the service for 127.0.0.1:{port} ended at once ({status})"),
    };
    let output = fs::read_to_string(log).unwrap_or_default();
    let tail = output.lines().last().unwrap_or("nothing");
    Err(Fault::new(format!(
        "{why}; {} says: {tail}",
        workspace::shown(log)
    )))
}

pub(super) fn taken(port: u16, protocol: &str, error: &std::io::Error) -> Fault {
    let flag = if protocol == "udp" { "u" } else { "t" };
    Fault::new(format!(
        "the demo needs {protocol} 127.0.0.1:{port}: {error} (to see its owner: ss -lnp{flag} 'sport = :{port}')"
    ))
}
