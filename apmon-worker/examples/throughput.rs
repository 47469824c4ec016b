//! Measures requests through the pipe, and what they cost the parent.
//!
//! `cargo run -p apmon-worker --example throughput -- [REQUESTS] [MICROSECONDS]`: how many
//! requests, and how long the child works on each.

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // a program that measures time

use std::{
    collections::VecDeque,
    env,
    error::Error,
    process::Command,
    time::{Duration, Instant},
};

use apmon_worker::{Reply, RequestError, Worker, WorkerLimits, serve};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [word, micros] = &arguments[..]
        && word == "worker"
    {
        return child(Duration::from_micros(micros.parse()?));
    }
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (requests, micros) = (number(0, 200_000)?, number(1, 0)?);

    let mut command = Command::new(env::current_exe()?);
    command.args(["worker", &micros.to_string()]);
    let worker = Worker::new(command, WorkerLimits::default());
    let start = Instant::now();
    finish(worker.request(body(0))?)?;
    println!(
        "{requests} requests of {} bytes, {micros} µs of work each",
        body(0).len()
    );
    println!("first answer after {:.1} ms", start.elapsed().as_secs_f64() * 1e3);

    measure("one by one", requests, || {
        for i in 0..requests {
            finish(worker.request(body(i))?)?;
        }
        Ok(())
    })?;
    measure("pipelined", requests, || {
        let mut replies = VecDeque::new();
        for i in 0..requests {
            let mut request = body(i);
            loop {
                match worker.request(request) {
                    Ok(reply) => break replies.push_back(reply),
                    Err(error @ RequestError::QueueFull { .. }) => request = error.into_request(),
                    Err(error) => return Err(error.into()),
                }
                // With the last one all are known, so the thread does not wake for each.
                for reply in replies.drain(..replies.len() / 2).rev() {
                    finish(reply)?;
                }
            }
        }
        replies.into_iter().try_for_each(finish)
    })
}

fn child(work: Duration) -> Result<(), Box<dyn Error>> {
    serve(|request| {
        let start = Instant::now();
        while start.elapsed() < work {
            std::hint::spin_loop();
        }
        request[..8].to_vec()
    })?;
    Ok(())
}

/// About as long as an update of an RRD file.
fn body(number: u64) -> Vec<u8> {
    format!("{number:08} update /var/lib/apmon/site.rrd/switch-ports.rrd 1764532800:1:2:3:4").into_bytes()
}

fn finish(reply: Reply) -> Result<(), Box<dyn Error>> {
    match reply.wait(Duration::from_secs(60)) {
        Ok(outcome) => outcome.map(drop).map_err(Into::into),
        Err(_) => Err("no answer within a minute".into()),
    }
}

fn measure(
    name: &str,
    requests: u64,
    run: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let (start, before) = (Instant::now(), cpu_micros()?);
    run()?;
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), cpu_micros()? - before);
    let requests = u32::try_from(requests).map(f64::from)?;
    println!(
        "{name:<11} {:>9.0} requests/s, {:.2} µs of the parent's CPU each",
        requests / elapsed,
        f64::from(u32::try_from(cpu)?) / requests
    );
    Ok(())
}

/// The processor time of this process, without its children.
fn cpu_micros() -> Result<i64, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}
