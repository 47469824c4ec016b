//! What the kernel takes for a connection: the calls of a tcp check in one loop, with nothing
//! around them.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::{cost, median};
use crate::{
    fault::{During, Fault},
    stopwatch::Stopwatch,
};

const RUNS: usize = 3;
const WINDOW: Duration = Duration::from_secs(5);
const EVENTS: usize = 256;

/// CPU milliseconds of a connection, made `rate` times a second at even distances.
pub(super) fn connections(rate: usize, target: &dyn Fn(usize) -> String) -> Result<f64, Fault> {
    let mut costs = Vec::new();
    for _ in 0..RUNS {
        costs.push(connect(rate, target)?);
    }
    Ok(median(costs))
}

fn connect(rate: usize, target: &dyn Fn(usize) -> String) -> Result<f64, Fault> {
    let targets = (0..rate).map(|i| target(i).parse::<SocketAddr>());
    let targets: Vec<_> = targets.collect::<Result<_, _>>().during("read the targets")?;
    let mut poll = Poll::new().during("create an epoll instance")?;
    let mut events = Events::with_capacity(EVENTS);
    // The place of a connection is its token.
    let mut open: Vec<Option<TcpStream>> = Vec::new();
    let interval = Duration::from_secs(1) / rate.max(1) as u32;
    let before = cost::cpu_of(std::process::id())?;
    let began = Stopwatch::start();
    let mut started = 0_usize;
    while began.elapsed() < WINDOW {
        while let due = interval * started as u32
            && due <= began.elapsed()
        {
            let mut stream = TcpStream::connect(targets[started % targets.len()]).during("connect")?;
            let place = open.iter().position(Option::is_none).unwrap_or(open.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut stream, Token(place), interest)
                .during("register a connection")?;
            match open.get_mut(place) {
                Some(free) => *free = Some(stream),
                None => open.push(Some(stream)),
            }
            started += 1;
        }
        let wait = (interval * started as u32).saturating_sub(began.elapsed());
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result.during("wait for connections")?,
        }
        for event in &events {
            let Some(stream) = open.get_mut(event.token().0).and_then(Option::take) else {
                continue;
            };
            let error = stream.take_error().during("read the error of a connection")?;
            if let Some(error) = error {
                return Err(Fault::new(format!(
                    "a connection of the bare loop failed: {error}"
                )));
            }
        }
    }
    let cpu = cost::cpu_of(std::process::id())? - before;
    Ok(cpu * 1000.0 / started as f64)
}
