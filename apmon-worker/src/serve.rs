//! The child: reads requests, has them carried out, and writes the answers.

use std::{
    fs::File,
    io::{self, BufReader, Write as _, stderr, stdin, stdout},
    os::fd::{AsFd as _, OwnedFd},
};

use nix::{
    sys::signal::{SigSet, Signal},
    unistd::{dup2_stdin, dup2_stdout},
};

use crate::frame::{self, GREETING, MAX_FRAME, TooLong};

/// How much of the requests is read by one call.
const CHUNK: usize = 64 << 10;

/// Answers requests with `handler` until the parent closes the pipe or is gone: the main
/// function of a child.
///
/// Call it before anything is written to the standard output, and on the main thread before
/// others are started, so that they inherit its signals. From then on the pipe is on other
/// descriptors: what C code prints goes to the standard error, whose end is part of errors, and
/// its standard input is empty.
///
/// SIGINT, SIGTERM and SIGHUP are blocked: systemd sends SIGTERM to all processes of a service
/// at once, and the parent may still have something to write.
///
/// # Errors
///
/// If the pipe cannot be set up or breaks, and if a request or an answer is longer than
/// [`MAX_FRAME`]. Return the error from `main`, and the parent shows it.
pub fn serve(mut handler: impl FnMut(&[u8]) -> Vec<u8>) -> io::Result<()> {
    leave_the_end_to_the_parent()?;
    let (input, mut output) = take_pipes()?;
    let mut input = BufReader::with_capacity(CHUNK, input);
    let (mut request, mut out) = (Vec::new(), Vec::new());
    send(&mut output, &mut out, GREETING)?;
    while frame::read(&mut input, &mut request)? {
        let answer = handler(&request);
        // Before the next request is begun: an answer that was kept back would be lost if that
        // one killed this process, and the parent would blame the wrong request.
        match send(&mut output, &mut out, &answer) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            result => result?,
        }
    }
    Ok(())
}

fn leave_the_end_to_the_parent() -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    // The end of the input is enough between two requests. But C code that hangs would outlive
    // a parent that was killed, and keep its locks.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}

/// Moves the pipes to descriptors that C code does not know, and that no process inherits.
fn take_pipes() -> io::Result<(File, File)> {
    let own = |fd: io::Result<OwnedFd>| fd.map(File::from);
    let input = own(stdin().as_fd().try_clone_to_owned())?;
    let output = own(stdout().as_fd().try_clone_to_owned())?;
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(stderr())?;
    Ok((input, output))
}

/// Writes one frame by one call, with `out` as its memory.
fn send(output: &mut File, out: &mut Vec<u8>, answer: &[u8]) -> io::Result<()> {
    frame::reset(out);
    frame::append(out, answer).map_err(|TooLong(length)| {
        let text = format!("an answer of {length} bytes is longer than {MAX_FRAME} bytes");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })?;
    output.write_all(out)
}
