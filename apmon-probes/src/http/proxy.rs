//! The proxy between apmon and the target, if one is configured.

use std::io;

use apmon_core::{
    Check, Failure, FailureClass, Phase,
    config::{Host, Remote, ResolveOptions},
    errno,
    text::excerpt,
};
use hyper::header::HeaderValue;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

use super::target::{Target, basic};
use crate::{endpoint::Endpoint, local::Local, recorder::CheckRecorder};

/// The longest answer of a proxy to CONNECT.
const MAX_ANSWER: usize = 16 * 1024;

/// An HTTP proxy (RFC 9110 section 3.7).
pub(crate) struct Proxy {
    endpoint: Endpoint,
    pub(crate) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads `http://user:password@host:port`. An error is in words that follow
    /// `"proxy" ` and quote nothing of it.
    pub(crate) fn read(text: &str, resolve: ResolveOptions) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "must be http://host:port, with user:password@ before the host if it needs a login";
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let host = url.host_str().and_then(Host::parse).ok_or(EXPECTED)?;
        let rest = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
        if url.scheme() != "http" || rest {
            return Err(EXPECTED);
        }
        Ok(Self {
            endpoint: Endpoint {
                remote: Remote { host, resolve },
                port: url.port_or_known_default().unwrap_or(80),
            },
            authorization: basic(&url),
        })
    }

    /// Connects to the proxy, and through it if the target speaks TLS.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        check: &Check,
        recorder: &mut CheckRecorder,
        local: &Local,
    ) -> Result<TcpStream, Failure> {
        let of_proxy = |failure: Failure| Failure::new(failure.class, format!("proxy: {}", failure.reason));
        let mut stream = self
            .endpoint
            .connect(check, recorder, local)
            .await
            .map_err(of_proxy)?;
        if target.is_tls() {
            let answer = check.within("proxy", self.tunnel(&mut stream, target)).await?;
            let status = answer.map_err(|error| of_proxy(errno::failure("CONNECT", &error)))?;
            recorder.done(Phase::Connect);
            check.step("proxy", || format!("CONNECT: {}", excerpt(&status.line, 120)));
            match status.code {
                Some(200..=299) => {}
                Some(code) => {
                    return Err(Failure::new(
                        FailureClass::Status,
                        format!("proxy: status {code}"),
                    ));
                }
                None => {
                    return Err(Failure::new(
                        FailureClass::Protocol,
                        "proxy: the answer to CONNECT is not HTTP",
                    ));
                }
            }
        }
        Ok(stream)
    }

    /// Asks for the tunnel. A TLS server sends nothing before the client does, so
    /// nothing of the target can follow the answer's head.
    async fn tunnel(&self, stream: &mut TcpStream, target: &Target) -> io::Result<Status> {
        let to = format!("{}:{}", target.endpoint.remote.host, target.endpoint.port);
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the head belongs to TLS.
        while !answer.ends_with(b"\n\r\n") && !answer.ends_with(b"\n\n") {
            if answer.len() == MAX_ANSWER {
                let words = format!("the answer does not end within {MAX_ANSWER} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, words));
            }
            answer.push(stream.read_u8().await?);
        }
        Ok(status(&answer))
    }
}

/// The first line of an answer.
pub(crate) struct Status {
    line: String,
    code: Option<u16>,
}

/// Reads `HTTP/1.1 200 Connection established`.
pub(crate) fn status(answer: &[u8]) -> Status {
    let line = answer.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
    let code = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split_ascii_whitespace().nth(1))
        .filter(|code| code.len() == 3)
        .and_then(|code| code.parse().ok());
    Status { line, code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_to_connect_is_read() {
        let code = |text: &str| status(text.as_bytes()).code;
        assert_eq!(code("HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(code("HTTP/1.0 407 Who are you?\r\nX: y\r\n\r\n"), Some(407));
        assert_eq!(code("HTTP/1.1 200\r\n\r\n"), Some(200));
        assert_eq!(code("HTTP/1.0  200 OK\n\n"), Some(200));
        for garbage in ["", "HTTP/1.1", "SSH-2.0-x\r\n", "HTTP/1.1 20 x", "HTTP/1.1 abc"] {
            assert_eq!(code(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn only_a_plain_http_proxy_is_accepted() {
        let read = |text| Proxy::read(text, ResolveOptions::default());
        let proxy = read("http://u:p@proxy.lan:3128").unwrap();
        assert_eq!(proxy.endpoint.port, 3128);
        assert_eq!(proxy.authorization.unwrap(), "Basic dTpw");
        for wrong in [
            "proxy.lan:3128",
            "https://proxy.lan",
            "socks5://proxy.lan",
            "http://proxy.lan/path",
            "",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
